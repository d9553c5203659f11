"""What a modality promises: from a raw input (bytes, a path, a ``str``) to decoded media, within limits.

A modality owns decoding for all its embedders, so that a picture is decoded once however many embedders look
at it, and every embedder sees the same pixels. A new modality is one subclass of :class:`Modality` with one
method, registered under the entry-point group ``multimodal_embedders.modalities``. One whose media can be had
smaller for less writes a second, :meth:`Modality.decode_reduced`, and says by :attr:`Modality.margin` how much
must remain.
"""

from __future__ import annotations

import dataclasses
import errno
import os
import stat
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, TypeAlias

import numpy as np
import numpy.typing as npt

from embedders.errors import BadInput, EmbedError, SetupError, Status, UsageError, nearest

__all__ = ["Decoded", "Limits", "Modality", "Pixels", "Samples", "Waveform", "read_file"]

Pixels: TypeAlias = npt.NDArray[np.uint8]
"""A decoded picture: RGB, upright, shape ``(height, width, 3)``."""

Samples: TypeAlias = npt.NDArray[np.float32]
"""Mono audio samples, shape ``(n,)``, full scale at 1.0."""

# Programming errors say that the code is wrong, not the input: they are never turned into a row's status.
PROGRAMMING_ERRORS = (NameError, ImportError, AttributeError, NotImplementedError)

# what a network file system or a tired disk says once and not again
TRANSIENT = frozenset({errno.EIO, errno.ESTALE, errno.EINTR, errno.ETIMEDOUT})
PAUSES = (0.05, 0.2)
"""Seconds before a file that failed so is tried again."""


@dataclass(frozen=True)
class Limits:
    """What one input may cost before it is refused with status ``limit``.

    ``pixels`` is Pillow's own threshold for decompression bombs; ``aspect`` (longer side over shorter) bounds
    what resizing the shorter side to a model's input can blow up to; ``seconds`` bounds decoded audio.
    """

    bytes: int = 1 << 30
    pixels: int = 89_478_485
    aspect: int = 10_000
    seconds: float = 3600.0
    characters: int = 1_000_000

    @classmethod
    def of(cls, values: Mapping[str, float]) -> Limits:
        """Limits with some values replaced by name; raises UsageError for an unknown or non-positive one."""
        known = {field.name: field.type for field in dataclasses.fields(cls)}
        for name, value in values.items():
            if name not in known:
                raise UsageError(f"There is no limit named {name!r}", nearest(name, known))
            if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
                raise UsageError(f"The limit {name!r} is {value!r}; it must be a positive number")
        typed = {n: float(v) if n == "seconds" else int(v) for n, v in values.items()}
        return cls(**typed)  # type: ignore[arg-type]  # the names were checked just above


@dataclass(frozen=True)
class Decoded:
    """Media, and what decoding had to do to get it (``downmixed``, ``first_frame_of_12``), kept in the row."""

    media: Any
    flags: tuple[str, ...] = ()


@dataclass(frozen=True)
class Waveform:
    """Decoded audio: mono float32 ``samples`` of shape ``(n,)`` at ``rate`` Hz."""

    samples: Samples
    rate: int

    @property
    def seconds(self) -> float:
        """Duration in seconds."""
        return len(self.samples) / self.rate

    def at(self, rate: int) -> Samples:
        """The samples at another rate in Hz, by soxr's high-quality resampler: the only one in this package.

        Equal rates return the samples unchanged. Different resamplers give audibly equal but numerically
        different samples, so there is exactly one, and it is part of every audio fingerprint.
        """
        if rate == self.rate:
            return self.samples
        import soxr

        resampled = soxr.resample(self.samples, self.rate, rate, quality="HQ")
        return np.ascontiguousarray(resampled, dtype=np.float32)


class Modality(ABC):
    """One kind of input and its decoder. Stateless and thread-safe; touches no device.

    Subclasses set the class attributes and implement :meth:`decode_content`; :meth:`accept` checks media that
    the caller decoded already.
    """

    name: ClassVar[str]
    """The first half of its embedders' names, and the field name that a folder's files get."""
    suffixes: ClassVar[frozenset[str]]
    """Lower-case file suffixes with their dot: what a folder is searched for. The content decides the format."""
    inline: ClassVar[bool] = False
    """True where a ``str`` in a table is the input itself; otherwise it is the path of a file."""
    defaults: ClassVar[tuple[str, ...]] = ()
    """Embedders of a run without choice; the first is what the modality's name alone stands for."""
    margin: ClassVar[int | None] = None
    """How many times larger than an embedder wants them media remain where decoding reduces them; None: never."""

    @property
    def policy(self) -> Mapping[str, Any]:
        """Every decoding decision that changes media, as plain JSON values; part of the fingerprint."""
        return {}

    def policy_at(self, at_least: int | None) -> Mapping[str, Any]:
        """The policy of :meth:`decode` with this ``at_least``; differs only where :meth:`decode_reduced` does."""
        return self.policy

    def kept(self, side: int | None) -> int | None:
        """The ``at_least`` of an embedder with that ``media_side``: a power of two times the margin, or None.

        Embedders that want 224, 232 and 256 pixels get the same, so that one decoding serves them all, and each
        gets what it would get alone.
        """
        return None if side is None or self.margin is None else self.margin * (1 << (side - 1).bit_length())

    @abstractmethod
    def decode_content(self, content: bytes, limits: Limits) -> Decoded:
        """Decode the whole content of a file; raise BadInput for what cannot become media.

        Called from several threads at once. Any other exception is reported as ``corrupt``.
        """

    def decode_reduced(self, content: bytes, limits: Limits, at_least: int) -> Decoded:
        """The same, smaller where that costs less, as long as the shorter side keeps ``at_least`` units.

        How much smaller follows from the content and ``at_least`` alone; limits hold for what the file declares,
        and what is refused in full is refused here with the same status.
        """
        return self.decode_content(content, limits)

    def accept(self, media: Any, limits: Limits) -> Decoded:
        """Check media that the caller made; the default refuses it."""
        raise BadInput(Status.INVALID, "TYPE", f"{type(media).__name__} is not an input of modality {self.name!r}")

    def decode(self, raw: Any, limits: Limits | None = None, at_least: int | None = None) -> Decoded:
        """Turn ``bytes``, a ``Path`` or media into :class:`Decoded`; whatever is wrong with them is a BadInput.

        In full and exactly, or with ``at_least`` as :meth:`decode_reduced` says; media are never reduced.
        """
        limits = limits or Limits()
        try:
            if isinstance(raw, Path):
                raw = read_file(raw, limits)
            if isinstance(raw, bytes | bytearray | memoryview):
                content = bytes(raw)
                if len(content) > limits.bytes:
                    raise _too_large(len(content), limits)
                if at_least is None:
                    return self.decode_content(content, limits)
                return self.decode_reduced(content, limits, at_least)
            return self.accept(raw, limits)
        except (EmbedError, *PROGRAMMING_ERRORS):
            raise
        except MemoryError as error:
            raise BadInput(Status.LIMIT, "MEMORY", "decoding needs more memory than there is") from error
        except (KeyboardInterrupt, SystemExit, GeneratorExit):
            raise
        except BaseException as error:  # whatever decoders like to raise; a panic in Rust is no Exception
            message = f"{type(error).__name__}: {error}"
            raise BadInput(Status.CORRUPT, "DECODE", message) from error


def read_file(path: Path, limits: Limits, root: Path | None = None) -> bytes:
    """The content of a regular file; with ``root``, only of one that really lies under it.

    The path is taken literally: nothing expands ``~``, ``$HOME``, ``file:`` or percent signs. Links are followed
    before the file is opened and never while it is, so one that is exchanged in between leads nowhere.

    Raises BadInput: ``not_found``; ``unreadable`` (permission, a folder, a pipe, a device, a disk that fails three
    times); ``blocked`` (outside ``root``, by ``..``, an absolute path or a link); ``limit`` (more than
    ``limits.bytes``, known before any is read, or than memory); ``changed`` (written to while it was read).
    Raises SetupError where this process may open no more files, which says nothing about this one.
    """
    pauses = iter(PAUSES)
    while True:
        try:
            return _read_once(path, limits, root)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise BadInput(Status.NOT_FOUND, "NO_FILE", f"there is no file {str(path)!r}") from error
        except MemoryError as error:
            raise BadInput(Status.LIMIT, "MEMORY", f"{str(path)!r} does not fit into memory") from error
        except (OSError, ValueError) as error:
            reason = getattr(error, "errno", None)
            if reason in (errno.EMFILE, errno.ENFILE):
                cure = "Allow more (ulimit -n), or use fewer threads"
                raise SetupError(f"This process has too many open files: {error}", cure) from error
            pause = next(pauses, None) if reason in TRANSIENT else None
            if pause is None:
                raise BadInput(Status.UNREADABLE, "READ", f"{str(path)!r}: {error}") from error
        time.sleep(pause)


def _read_once(path: Path, limits: Limits, root: Path | None) -> bytes:
    descriptor = _open(path, root)
    try:
        before = os.fstat(descriptor)
        _check_file(path, before)
        if before.st_size > limits.bytes:
            raise _too_large(before.st_size, limits)
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            content = file.read(before.st_size + 1)  # one more, to notice growth without reading all of it
        after = os.fstat(descriptor)
    finally:
        os.close(descriptor)
    if (len(content), after.st_size, after.st_mtime_ns) != (before.st_size, before.st_size, before.st_mtime_ns):
        raise BadInput(Status.CHANGED, "CHANGED", f"{str(path)!r} was written to while it was read")
    return content


def _open(path: Path, root: Path | None) -> int:
    """A descriptor of a file, which under ``root`` is found without following a single link."""
    # O_NONBLOCK: opening a pipe nobody writes to would wait for ever
    reading = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
    if root is None:
        _check_file(path, os.stat(path))
        return os.open(path, reading)
    base, real = os.path.realpath(root), os.path.realpath(path)
    if os.path.commonpath([real, base]) != base:
        raise BadInput(Status.BLOCKED, "PATH", f"{str(path)!r} leads outside {str(root)!r}")
    *folders, name = Path(real).relative_to(base).parts or (".",)
    passing = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_CLOEXEC
    held = os.open(base, passing)
    try:
        for folder in folders:
            inner = os.open(folder, passing | os.O_NOFOLLOW, dir_fd=held)
            os.close(held)
            held = inner
        _check_file(path, os.stat(name, dir_fd=held, follow_symlinks=False))
        return os.open(name, reading | os.O_NOFOLLOW, dir_fd=held)
    finally:
        os.close(held)


def _check_file(path: Path, found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise BadInput(Status.UNREADABLE, "NOT_A_FILE", f"{str(path)!r} is not a regular file")


def _too_large(size: int, limits: Limits) -> BadInput:
    return BadInput(Status.LIMIT, "BYTES", f"{size} bytes; the limit is {limits.bytes}")

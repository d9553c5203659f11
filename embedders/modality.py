"""What a modality promises: from a raw input (bytes, a path, a ``str``) to decoded media, within limits.

A modality owns decoding for all its embedders, so that a picture is decoded once however many embedders look
at it, and every embedder sees the same pixels. A new modality is one subclass of :class:`Modality` with one
method, registered under the entry-point group ``multimodal_embedders.modalities``.
"""

from __future__ import annotations

import dataclasses
import os
import stat
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, TypeAlias

import numpy as np
import numpy.typing as npt

from embedders.errors import BadInput, EmbedError, Status, UsageError, nearest

__all__ = ["Decoded", "Limits", "Modality", "Pixels", "Samples", "Waveform", "read_file"]

Pixels: TypeAlias = npt.NDArray[np.uint8]
"""A decoded picture: RGB, upright, shape ``(height, width, 3)``."""

Samples: TypeAlias = npt.NDArray[np.float32]
"""Mono audio samples, shape ``(n,)``, full scale at 1.0."""

# Programming errors say that the code is wrong, not the input: they are never turned into a row's status.
PROGRAMMING_ERRORS = (NameError, ImportError, AttributeError, NotImplementedError)


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

    @property
    def policy(self) -> Mapping[str, Any]:
        """Every decoding decision that changes media, as plain JSON values; part of the fingerprint."""
        return {}

    @abstractmethod
    def decode_content(self, content: bytes, limits: Limits) -> Decoded:
        """Decode the whole content of a file; raise BadInput for what cannot become media.

        Called from several threads at once. Any other exception is reported as ``corrupt``.
        """

    def accept(self, media: Any, limits: Limits) -> Decoded:
        """Check media that the caller made; the default refuses it."""
        raise BadInput(Status.INVALID, "TYPE", f"{type(media).__name__} is not an input of modality {self.name!r}")

    def decode(self, raw: Any, limits: Limits | None = None) -> Decoded:
        """Turn ``bytes``, a ``Path`` or media into :class:`Decoded`; raises nothing but BadInput."""
        limits = limits or Limits()
        try:
            if isinstance(raw, Path):
                raw = read_file(raw, limits)
            if isinstance(raw, bytes | bytearray | memoryview):
                content = bytes(raw)
                if len(content) > limits.bytes:
                    raise _too_large(len(content), limits)
                return self.decode_content(content, limits)
            return self.accept(raw, limits)
        except (EmbedError, *PROGRAMMING_ERRORS):
            raise
        except MemoryError as error:
            raise BadInput(Status.LIMIT, "MEMORY", "decoding needs more memory than there is") from error
        except Exception as error:  # decoders raise whatever they like on damaged input
            message = f"{type(error).__name__}: {error}"
            raise BadInput(Status.CORRUPT, "DECODE", message) from error


def read_file(path: Path, limits: Limits, root: Path | None = None) -> bytes:
    """The content of a regular file; with ``root``, only of one that really lies under it.

    Raises BadInput: ``not_found``, ``unreadable`` (permission, a folder, a pipe, a device), ``blocked``
    (outside ``root``, by ``..``, an absolute path or a link), ``limit`` (more than ``limits.bytes``).
    """
    try:
        if root is not None:
            real = os.path.realpath(path)
            base = os.path.realpath(root)
            if os.path.commonpath([real, base]) != base:
                raise BadInput(Status.BLOCKED, "PATH", f"{str(path)!r} leads outside {str(root)!r}")
        # O_NONBLOCK: opening a pipe nobody writes to would wait forever before fstat can refuse it
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise BadInput(Status.NOT_FOUND, "NO_FILE", f"there is no file {str(path)!r}") from error
    except (OSError, ValueError) as error:
        raise BadInput(Status.UNREADABLE, "OPEN", f"{str(path)!r}: {error}") from error
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise BadInput(Status.UNREADABLE, "NOT_A_FILE", f"{str(path)!r} is not a regular file")
        if found.st_size > limits.bytes:
            raise _too_large(found.st_size, limits)
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            return file.read()
    except OSError as error:
        raise BadInput(Status.UNREADABLE, "READ", f"{str(path)!r}: {error}") from error
    finally:
        os.close(descriptor)


def _too_large(size: int, limits: Limits) -> BadInput:
    return BadInput(Status.LIMIT, "BYTES", f"{size} bytes; the limit is {limits.bytes}")

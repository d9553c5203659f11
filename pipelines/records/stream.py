"""Reading a file's bytes: plain, gzip or Zstandard, and never more of them than the file can honestly hold."""

from __future__ import annotations

import gzip
import io
import os
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

from embedders.errors import UsageError
from pipelines.records.damage import Damaged

__all__ = ["LINE_CHARACTERS", "open_bytes"]

LINE_CHARACTERS = 1 << 24
"""The longest line or cell that is read: far above any caption, far below what would exhaust memory."""

RATIO = 200
"""Tables shrink by 3 to 50, media hardly; a file that grows by more than this was made to exhaust a machine."""

RATIO_FREE = 1 << 24
"""Decompressed bytes below which the ratio does not matter."""

GZIP = (".gz", ".tgz")
ZSTANDARD = (".zst",)


@contextmanager
def open_bytes(path: Path) -> Iterator[BinaryIO]:
    """The bytes of a file, decompressed where its name ends in ``.gz``, ``.tgz`` or ``.zst``.

    Raises UsageError for a file that cannot be opened. While reading it raises Damaged: ``READ`` for a failing
    disk, ``DAMAGED`` for compressed bytes that are cut or broken, ``RATIO`` for those that grow without end.
    """
    try:
        file = path.open("rb", buffering=1 << 16)
    except OSError as error:
        raise UsageError(f"'{path}' cannot be read: {error.strerror or error}") from error
    with file:
        try:
            inflate = _inflater(path, file)
            if inflate is None:
                yield file
            else:
                with io.BufferedReader(_Bounded(inflate, os.fstat(file.fileno()).st_size), 1 << 16) as stream:
                    yield cast(BinaryIO, stream)
        except (EOFError, zlib.error, OSError) as error:
            # the decompressors' own complaints are OSErrors too, but without a number
            if isinstance(error, OSError) and error.errno is not None:
                raise Damaged("READ", f"reading failed: {error.strerror}") from error
            raise Damaged("DAMAGED", f"the file is damaged: {error}") from error


def _inflater(path: Path, file: BinaryIO) -> Callable[[int], bytes] | None:
    suffix = path.suffix.lower()
    if suffix in GZIP:
        return gzip.GzipFile(fileobj=file).read1
    if suffix in ZSTANDARD:
        import pyarrow as pa

        inflate: Callable[[int], bytes] = pa.CompressedInputStream(file, "zstd").read
        return inflate
    return None


class _Bounded(io.RawIOBase):
    """Decompressed bytes, until there are too many of them for the file they come from."""

    def __init__(self, inflate: Callable[[int], bytes], compressed: int) -> None:
        self.inflate = inflate
        self.left = max(RATIO_FREE, RATIO * compressed)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        chunk = self.inflate(len(buffer))
        self.left -= len(chunk)
        if self.left < 0:
            raise Damaged(
                "RATIO", f"the file grows more than {RATIO} times; decompress it yourself if you trust it"
            )
        buffer[: len(chunk)] = chunk
        return len(chunk)

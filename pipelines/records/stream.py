"""Reading a table's bytes: plain or gzip, with every failure named after the file."""

from __future__ import annotations

import gzip
import io
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

from embedders.errors import UsageError

__all__ = ["LINE_CHARACTERS", "open_bytes"]

LINE_CHARACTERS = 1 << 24
"""The longest line or cell that is read: far above any caption, far below what would exhaust memory."""

GZIP_RATIO = 200
"""Tables shrink by 3 to 50; a file that grows by more than this was made to fill a disk."""

GZIP_FREE = 1 << 26
"""Decompressed bytes below which the ratio does not matter."""


@contextmanager
def open_bytes(path: Path) -> Iterator[BinaryIO]:
    """The bytes of a file, decompressed where its name ends in ``.gz``.

    Raises UsageError, while reading too, for what cannot be read, is damaged, or decompresses without end.
    """
    try:
        if path.suffix.lower() == ".gz":
            with gzip.open(path) as inflated, io.BufferedReader(_Bounded(inflated, path), 1 << 16) as stream:
                yield cast(BinaryIO, stream)
        else:
            with path.open("rb", buffering=1 << 16) as file:
                yield file
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise UsageError(f"'{path}' is damaged: {error}", "Compress or copy it again") from error
    except OSError as error:
        raise UsageError(f"'{path}' cannot be read: {error.strerror or error}") from error


class _Bounded(io.RawIOBase):
    """Decompressed bytes, until there are too many of them for the file they come from."""

    def __init__(self, inflated: gzip.GzipFile, path: Path) -> None:
        self.inflated = inflated
        self.path = path
        self.left = max(GZIP_FREE, GZIP_RATIO * os.path.getsize(path))

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        chunk = self.inflated.read1(len(buffer))
        self.left -= len(chunk)
        if self.left < 0:
            raise UsageError(
                f"'{self.path}' grows more than {GZIP_RATIO} times when it is decompressed",
                "Decompress it yourself if you trust it",
            )
        buffer[: len(chunk)] = chunk
        return len(chunk)

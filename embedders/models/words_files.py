"""Files of word vectors: the bytes behind a path, mapped into memory, and what their beginning says."""

from __future__ import annotations

import contextlib
import gzip
import mmap
import tempfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from embedders.errors import SetupError

__all__ = ["Content", "Heading", "broken", "is_number", "mapped", "read_heading"]

Content = bytes | mmap.mmap
"""The bytes of a file, inflated where it is compressed."""

FASTTEXT = (793712314).to_bytes(4, "little")
"""How fastText's own files begin (``fasttext.cc``)."""
GZIP, ZSTANDARD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
FOREIGN = {
    b"\x80": ("a pickle, as gensim's save writes", "Write it by save_word2vec_format or save_facebook_model"),
    b"PK": ("a zip archive", "Unpack it, and give the file inside"),
    b"\xef\xbb\xbf": ("text with a byte order mark", "Save it without"),
}
HEAD = 1 << 20
"""Bytes within which the first line ends: 4,096 numbers need a twentieth."""
BLOCK = 1 << 22
INFLATED = 100
"""How many times larger than its compressed file a file may be: vectors as text shrink by about 3."""
INFLATED_FREE = 1 << 28
"""Bytes below which that does not matter."""


@dataclass(frozen=True)
class Heading:
    """What the beginning of a file says, before its entries are looked at."""

    format: str
    """``text``; ``headless``, text without the first line of two numbers; ``binary``; ``fasttext``."""
    dim: int
    begin: int = 0
    """Where the entries begin."""
    words: int | None = None
    """How many entries the first line promises."""


def broken(path: Path, what: str, cure: str = "Fetch it again, or train again") -> SetupError:
    """The error for a file that is one of word vectors, and not whole."""
    return SetupError(f"The word vectors {path} are broken: {what}", cure)


def is_number(field: bytes) -> bool:
    """Whether Python reads it as a finite number or not: ``nan`` is one here, ``0.1x`` and nothing are none."""
    try:
        float(field)
    except ValueError:
        return False
    return True


def read_heading(path: Path) -> Heading:
    """The format and size of a file of word vectors, by its content, reading no more than its beginning.

    Raises SetupError for any other file, for a first line that cannot be true, and for what cannot be read.
    """
    with _reading(path) as (read, packed):
        head = read(HEAD)
    for begin, (what, cure) in FOREIGN.items():
        if head.startswith(begin):
            raise SetupError(f"{path} is {what}, and no file of word vectors", cure)
    if head.startswith(FASTTEXT):
        dim = int.from_bytes(head[8:12], "little", signed=True)
        if dim < 1:
            raise broken(path, f"its vectors have {dim} dimensions")
        return Heading("fasttext", dim)
    end = head.find(b"\n")
    fields = head[: max(end, 0)].split()
    wrong = next((field for field in fields[1:] if not is_number(field)), None)
    if len(fields) < 2 or wrong is not None:
        found = f"{wrong!r} in its first line is no number" if wrong else f"it begins with {head[:40]!r}"
        rule = "The first line must be a count and a dimension, or a word and its numbers, parted by single spaces"
        raise SetupError(f"{path} is no file of word vectors: {found[:80]}", rule)
    if len(fields) > 2 or not all(field.isdigit() and len(field) < 19 for field in fields):
        return Heading("headless", len(fields) - 1)
    words, dim = int(fields[0]), int(fields[1])
    size = path.stat().st_size
    # an entry is at least a word of one byte and as many digits with a space
    if not words or not dim or (not packed and words * (1 + 2 * dim) > size):
        promised = f"its first line promises {words:,} words of {dim:,} numbers, and it has {size:,} bytes"
        raise broken(path, promised)
    # no text holds control characters, and no table of float32 is without
    binary = any(byte < 32 and byte not in b"\t\n\r" for byte in head[end : end + (1 << 16)])
    return Heading("binary" if binary else "text", dim, end + 1, words)


def mapped(path: Path) -> Content:
    """The content of a file that is not empty, mapped into memory; a compressed one by way of a temporary file.

    Raises SetupError for what cannot be read and for compressed bytes that are damaged or grow without end.
    """
    with _reading(path) as (read, packed), contextlib.ExitStack() as stack:
        if packed:
            file: IO[bytes] = stack.enter_context(tempfile.TemporaryFile())
            left = max(INFLATED_FREE, INFLATED * path.stat().st_size)
            while block := read(BLOCK):
                left -= len(block)
                if left < 0:
                    cure = "Decompress it yourself if you trust it"
                    raise broken(path, f"it grows to more than {INFLATED} times its size", cure)
                file.write(block)
            file.flush()
        else:
            file = stack.enter_context(path.open("rb"))
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[tuple[Callable[[int], bytes], bool]]:
    """How to read the content, and whether it is inflated on the way; the first bytes tell."""
    try:
        with path.open("rb") as file:
            begin = file.read(4)
            file.seek(0)
            if begin.startswith(GZIP):
                yield gzip.GzipFile(fileobj=file).read, True
            elif begin == ZSTANDARD:
                import pyarrow as pa

                yield pa.CompressedInputStream(file, "zstd").read, True
            else:
                yield file.read, False
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise SetupError(f"The word vectors {path} cannot be read ({error})", "Fetch the file again") from error

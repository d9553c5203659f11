"""Vectors straight from the pages of a Parquet file, where they lie as they would in memory.

Parquet knows no fixed-size lists: a reader decodes two levels for every number, which takes ten times as long as
reading the numbers. A column of vectors as this package writes it needs none of that. Whatever is not to the byte
as it is written here is left to pyarrow, which also says what is wrong with it.
"""

from __future__ import annotations

import functools
import os
import zlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import pyarrow.parquet as pq

__all__ = ["plain_vectors"]

DATA_PAGE = 0
ENCODINGS = [0, 3, 3]
"""The kind of page that is read here, and how its numbers and their levels are encoded: plainly, by RLE. See
parquet.thrift, also for the places of fields below."""

NUMBER, STRUCT = 5, 12
"""Kinds of values in Thrift's compact protocol."""

DEPTH = 2
"""How deep a page's header is nested: in it that of its data, in that its statistics, which are empty."""

LEVELS_KNOWN = 256
"""Level sections that are remembered as good: all parts of a column have the same few."""


def plain_vectors(file: BinaryIO, metadata: pq.FileMetaData, name: str, dim: int) -> npt.NDArray[Any] | None:
    """A column of vectors, ``(n, dim)`` of the type that is stored; None where pyarrow has to look at it.

    Every page's checksum is verified, and that its rows are ``dim`` numbers each and none of them null.
    """
    pieces: list[npt.NDArray[Any]] = []
    for index in range(metadata.num_row_groups):
        group = metadata.row_group(index)
        chunk = next((c for c in map(group.column, range(group.num_columns)) if c.path_in_schema == name), None)
        dtype = None if chunk is None else _dtype(chunk)
        if chunk is None or dtype is None:
            return None
        start, size = chunk.data_page_offset, chunk.total_compressed_size
        if start < 0 or not 0 < size <= os.fstat(file.fileno()).st_size:
            return None
        file.seek(start)
        try:
            found = [np.frombuffer(page, dtype) for page in _pages(file.read(size), dim, dtype.itemsize)]
        except (LookupError, TypeError, ValueError):
            return None
        if sum(map(len, found)) != group.num_rows * dim:
            return None
        pieces += found
    if not pieces:
        return None
    return (pieces[0] if len(pieces) == 1 else np.concatenate(pieces)).reshape(-1, dim)


def _dtype(chunk: pq.ColumnChunkMetaData) -> np.dtype[Any] | None:
    if chunk.compression != "UNCOMPRESSED" or chunk.has_dictionary_page or set(chunk.encodings) != {"PLAIN", "RLE"}:
        return None
    stored: dict[str, np.dtype[Any]] = {"FLOAT": np.dtype("<f4"), "FIXED_LEN_BYTE_ARRAY": np.dtype("<f2")}
    return stored.get(chunk.physical_type)


def _pages(content: bytes, dim: int, width: int) -> Iterator[memoryview]:
    """The numbers of each page; raises what it comes across where one is not as it is written here."""
    view, at, before = memoryview(content), 0, 0
    while at < len(view):
        header, at = _struct(view, at)
        size, numbers = header[2], header[5]
        if (header[1], header[3]) != (DATA_PAGE, size) or [numbers[place] for place in (2, 3, 4)] != ENCODINGS:
            raise ValueError("another kind of page")
        count = numbers[1]
        body = view[at : at + size]
        if zlib.crc32(body) != header[4] & 0xFFFFFFFF:
            raise ValueError("another checksum")
        rows, start = _section(body, 0)
        _, start = _section(body, start)
        # as many numbers as places: no place is null
        if len(body) != size or size - start != count * width or not _regular(rows, count, before % dim, dim):
            raise ValueError("other rows")
        yield body[start:]
        at, before = at + size, before + count


def _section(body: memoryview, at: int) -> tuple[bytes, int]:
    """Levels behind their length in bytes."""
    end = at + 4 + int.from_bytes(body[at : at + 4], "little")
    return bytes(body[at + 4 : end]), end


@functools.lru_cache(LEVELS_KNOWN)
def _regular(levels: bytes, count: int, begun: int, dim: int) -> bool:
    """Whether ``count`` repetition levels begin a row at every ``dim``-th number, after ``begun`` of a row."""
    found, at, filled = np.ones(count, np.uint8), 0, 0
    while filled < count:
        header, at = _varint(levels, at)
        if header & 1:  # groups of eight levels, a bit each
            end = at + (header >> 1)
            run = np.unpackbits(np.frombuffer(levels[at:end], np.uint8), bitorder="little")[: count - filled]
        else:  # one level, so many times
            end = at + 1
            run = np.full(min(header >> 1, count - filled), levels[at], np.uint8)
        found[filled : filled + len(run)] = run
        at, filled = end, filled + len(run)
    return bool(np.array_equal(np.flatnonzero(found == 0), np.arange(-begun % dim, count, dim)))


def _struct(view: memoryview, at: int, depth: int = 0) -> tuple[dict[int, Any], int]:
    """A struct of numbers and of such structs in Thrift's compact protocol, by the places of its fields."""
    found: dict[int, Any] = {}
    place = 0
    while kind := view[at]:
        at, place = at + 1, place + (kind >> 4)
        if place in found:  # the long form, for places far apart
            raise ValueError("another kind of field")
        if kind & 15 == NUMBER:
            number, at = _varint(view, at)
            found[place] = number >> 1 ^ -(number & 1)
        elif kind & 15 == STRUCT and depth < DEPTH:
            found[place], at = _struct(view, at, depth + 1)
        else:
            raise ValueError("another kind of value")
    return found, at + 1


def _varint(view: bytes | memoryview, at: int) -> tuple[int, int]:
    number = shift = 0
    while shift < 35:
        byte = view[at]
        number |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return number, at
    raise ValueError("a number of more than 32 bits")

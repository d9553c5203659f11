"""The cells of a vector set, found by record or by the content that they were made of."""

from __future__ import annotations

import functools
from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import accumulate
from typing import Literal

import numpy as np
import numpy.typing as npt

from pipelines.vectors import Cells, Commit, Schema, Storage
from pipelines.vectors.schema import vectors_of
from pipelines.vectors.vector_set import read_part

__all__ = ["Held", "Row"]

CACHED_BYTES = 256 << 20
"""Parts up to this many bytes together stay in memory: a source in another order jumps between them."""

CACHED_PARTS = 4
"""And so many at least: consecutive records of a source lie in few parts, even where some are new."""


@dataclass(frozen=True)
class _Part:
    """The rows of a part in memory."""

    ids: list[str]
    stored: dict[str, list[str | None]]
    checksums: dict[str, list[str | None]]
    cells: dict[str, Cells]


@dataclass(frozen=True)
class Row:
    """One row of a set: the part that holds it, and its place there."""

    part: _Part
    place: int

    def stored(self, field: str) -> str | None:
        """A field's value as it is stored."""
        return self.part.stored[field][self.place]

    def checksum(self, field: str) -> str | None:
        """The SHA-256 of what was embedded, None where nothing could be read."""
        return self.part.checksums[field][self.place]

    def cells(self, column: str) -> Cells:
        """The cells of its part in a column; its own is at ``place``."""
        return self.part.cells[column]


class Held:
    """The rows of some committed parts.

    In memory are 16 bytes per row, as many per field, and the parts that were looked into last; every hit is
    compared in full. Sets of ten million rows are meant to be looked into, in about the order of their rows: where
    the order is another and the set is large, parts are read again and again.
    """

    def __init__(self, storage: Storage, schema: Schema, commits: Iterable[Commit], by_content: bool) -> None:
        self.storage = storage
        self.schema = schema
        self.commits = sorted(commits, key=lambda commit: commit.start)
        self._starts = [0, *accumulate(commit.rows for commit in self.commits)]
        largest = max((commit.bytes for commit in self.commits), default=1)
        self._part = functools.lru_cache(max(CACHED_PARTS, CACHED_BYTES // largest))(self._read)
        self._ids = _Index(self._all("id"))
        fields = schema.fields if by_content else ()
        self._contents = {field: _Index(self._all(f"{field}_sha256")) for field in fields}

    def by_id(self, name: str) -> Row | None:
        """The row of a record."""
        return self._first(self._ids.rows(name), lambda row: row.part.ids[row.place] == name)

    def by_content(self, field: str, checksum: str | None, name: str) -> Row | None:
        """A row with this content in a field: the record's own, if it has it, or the first one."""
        if checksum is None:
            return None
        own = self.by_id(name)
        if own is not None and own.checksum(field) == checksum:
            return own
        return self._first(self._contents[field].rows(checksum), lambda row: row.checksum(field) == checksum)

    def _first(self, rows: Iterable[int], wanted: Callable[[Row], bool]) -> Row | None:
        for number in rows:
            index = bisect_right(self._starts, number) - 1
            row = Row(self._part(index), number - self._starts[index])
            if wanted(row):
                return row
        return None

    def _all(self, name: str) -> Iterator[str | None]:
        for commit in self.commits:
            yield from read_part(self.storage, commit, self.schema, [name]).column(0).to_pylist()

    def _read(self, index: int) -> _Part:
        table = read_part(self.storage, self.commits[index], self.schema)

        def values(name: str) -> list[str | None]:
            found: list[str | None] = table.column(name).to_pylist()
            return found

        cells = {
            info.name: Cells(
                vectors_of(table.column(info.name).combine_chunks()).astype(np.float32),
                table.column(f"{info.name}_status").to_pylist(),
                values(f"{info.name}_error"),
                table.column(f"{info.name}_flags").to_pylist(),
            )
            for info in self.schema.columns
        }
        fields = self.schema.fields
        return _Part(
            table.column("id").to_pylist(),
            {field: values(field) for field in fields},
            {field: values(f"{field}_sha256") for field in fields},
            cells,
        )


class _Index:
    """Rows by a name or checksum, of which 64 bits are kept; None stands for no row."""

    def __init__(self, names: Iterable[str | None]) -> None:
        found, rows = array("q"), array("q")
        for row, name in enumerate(names):
            if name is not None:
                found.append(hash(name))
                rows.append(row)
        unsorted = np.array(found, np.int64)
        order = np.argsort(unsorted, kind="stable")
        self._keys: npt.NDArray[np.int64] = unsorted[order]
        self._rows: npt.NDArray[np.int64] = np.array(rows, np.int64)[order]

    def rows(self, name: str) -> Iterator[int]:
        """The rows that may have this name, in order."""
        left, right = (int(np.searchsorted(self._keys, hash(name), side)) for side in _SIDES)
        for place in range(left, right):  # one by one: of a blank page there may be a million
            yield int(self._rows[place])


_SIDES: tuple[Literal["left"], Literal["right"]] = ("left", "right")

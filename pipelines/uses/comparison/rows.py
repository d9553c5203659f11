"""Two vector sets side by side: which rows belong together, and what is known of them, in a few bytes per row."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from embedders import Status
from pipelines.vectors import VectorColumn, VectorSet
from pipelines.vectors.manifest import Manifest
from pipelines.vectors.vector_set import read_part

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["OK", "STATUSES", "Both", "Rows", "tables"]

STATUSES = (*(status.value for status in Status), "unknown")
"""By their number; what is none of them was made up."""

OK = STATUSES.index(Status.OK.value)

Rows: TypeAlias = npt.NDArray[np.intp]
Hashes: TypeAlias = npt.NDArray[np.bytes_]


def tables(vs: VectorSet, columns: list[str]) -> Iterator[tuple[slice, pa.Table]]:
    """Some columns as they are stored, one part at a time, each with the rows that it holds."""
    manifest = Manifest.read(vs.storage)
    for part in manifest.parts:
        yield slice(part.start, part.start + part.rows), read_part(vs.storage, part, manifest.schema, columns)


@dataclass(frozen=True)
class _Side:
    """One set: 16 bytes per row for the id and for each field's content, one for each column's status."""

    ids: Hashes
    contents: Mapping[str, Hashes]
    statuses: Mapping[str, npt.NDArray[np.uint8]]

    @classmethod
    def of(cls, vs: VectorSet) -> _Side:
        import pyarrow as pa
        import pyarrow.compute as pc

        ids = np.empty(len(vs), "S16")
        contents = {field: np.empty(len(vs), "S16") for field in vs.fields}
        statuses = {name: np.empty(len(vs), np.uint8) for name in vs}
        known = pa.array(STATUSES)
        wanted = ["id", *(f"{field}_sha256" for field in contents), *(f"{name}_status" for name in statuses)]
        for rows, table in tables(vs, wanted):
            ids[rows] = _hashes(table.column("id"))
            for field, hashes in contents.items():
                hashes[rows] = _hashes(table.column(f"{field}_sha256"))
            for name, numbers in statuses.items():
                found = pc.index_in(table.column(f"{name}_status"), known)
                numbers[rows] = found.fill_null(len(STATUSES) - 1).to_numpy()
        return cls(ids, contents, statuses)


class Both:
    """Two sets, joined by id: ``rows`` are the places of the common records in the one and in the other."""

    def __init__(self, a: VectorSet, b: VectorSet) -> None:
        self._a, self._b = _Side.of(a), _Side.of(b)
        order = np.argsort(self._b.ids)
        found = np.searchsorted(self._b.ids, self._a.ids, sorter=order)
        places = order[np.minimum(found, len(order) - 1)]
        there = self._b.ids[places] == self._a.ids
        self.rows: tuple[Rows, Rows] = (np.flatnonzero(there), places[there])
        self.only_a: Rows = np.flatnonzero(~there)
        self.only_b: Rows = np.setdiff1d(np.arange(len(b)), places[there])

    def same_content(self, field_a: str, field_b: str) -> npt.NDArray[np.bool_]:
        """Per common record whether both were made of the same bytes; two that are not recorded are the same."""
        one, other = self._a.contents[field_a], self._b.contents[field_b]
        return np.asarray(one[self.rows[0]] == other[self.rows[1]])

    def statuses(self, column: str) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
        """Per common record the number of its status in the one and in the other."""
        return self._a.statuses[column][self.rows[0]], self._b.statuses[column][self.rows[1]]

    def unchanged(self, a: VectorColumn, b: VectorColumn) -> npt.NDArray[np.bool_]:
        """Per common record whether it has a vector in both columns, made of the same content."""
        was, now = self.statuses(a.info.name)
        return np.asarray(self.same_content(a.info.field, b.info.field) & (was == OK) & (now == OK))


def _hashes(column: Any) -> list[bytes]:
    """16 bytes per string, none for what is null."""
    return [
        b"" if word is None else hashlib.blake2b(word.encode(), digest_size=16).digest()
        for word in column.to_pylist()
    ]

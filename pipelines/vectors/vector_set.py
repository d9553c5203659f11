"""Reading a vector set back: ids, vectors, statuses, and the whole as a table for any tool.

::

    vs = VectorSet.open("vectors")
    vs.ids                        # (n,) str
    vs["image_clip"].vectors      # (n, 512) float32, memory-mapped; NaN where not ok
    vs["image_clip"].ok           # (n,) bool
    vs.failures()                 # a table: id, column, status, error
"""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from embedders.errors import RefusedError, Status, UsageError, nearest
from pipelines.vectors import cache
from pipelines.vectors.manifest import MANIFEST, Commit, Manifest
from pipelines.vectors.nearest import Hit, nearest_rows
from pipelines.vectors.reading import CURE_OF_PARTS, read_part, read_vectors
from pipelines.vectors.run import RUN, Run
from pipelines.vectors.schema import ColumnInfo, numbers, strings
from pipelines.vectors.storage import Storage

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    import pyarrow as pa

__all__ = ["VectorColumn", "VectorSet", "read_part"]

READERS = 2
"""Threads that read vectors ahead of whoever takes them: checksums take as long as reading does."""


class VectorSet:
    """A finished vector set on disk, opened for reading; needs neither torch nor an embedder."""

    def __init__(self, storage: Storage, manifest: Manifest) -> None:
        self.storage = storage
        self.manifest = manifest.values
        self.fields = manifest.schema.fields
        self.columns = {info.name: VectorColumn(self, info) for info in manifest.schema.columns}
        self._schema = manifest.schema
        self._parts = manifest.parts
        self._rows = manifest.rows

    @classmethod
    def open(cls, path: str | Path) -> VectorSet:
        """Open a finished set.

        Raises UsageError if there is none, RefusedError if it is unfinished, damaged or of a later format.
        """
        storage = Storage(Path(path))
        if not storage.exists(MANIFEST):
            if storage.exists(RUN):
                raise _unfinished(storage)
            raise UsageError(f"There is no vector set in {str(path)!r}", "embed run SOURCE -o FOLDER makes one")
        vector_set = cls(storage, Manifest.read(storage))
        for part in vector_set._parts:
            if not storage.exists(part.file) or storage.size(part.file) != part.bytes:
                raise RefusedError(
                    f"{str(storage.path(part.file))!r} is missing or not what was committed", CURE_OF_PARTS
                )
        return vector_set

    def __len__(self) -> int:
        return self._rows

    def __getitem__(self, name: str) -> VectorColumn:
        if name not in self.columns:
            raise UsageError(f"There is no column {name!r}", nearest(name, self.columns))
        return self.columns[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.columns)

    def __contains__(self, name: object) -> bool:
        return name in self.columns

    def __repr__(self) -> str:
        width = max((len(name) for name in self.columns), default=0)
        lines = [f"VectorSet({str(self.storage.root)!r}): {len(self):,} records"]
        for name, column in self.columns.items():
            counts = ", ".join(f"{n:,} {status}" for status, n in column.statuses.items())
            lines.append(f"  {name:<{width}}  {column.info.dim:>5} {column.info.dtype}  {column.space}  {counts}")
        return "\n".join(lines)

    @functools.cached_property
    def ids(self) -> npt.NDArray[np.str_]:
        """The records' ids in order, shape ``(n,)``."""
        return _strings(self.to_arrow(["id"]))

    def failures(self) -> pa.Table:
        """One row per failed cell: ``id``, ``column``, ``status``, ``error``; absent fields have not failed."""
        import pyarrow as pa
        import pyarrow.compute as pc

        pieces = []
        fine = strings([status.value for status in Status if not status.failed])
        for name in self.columns:
            wanted = ["id", f"{name}_status", f"{name}_error"]
            kinds = pa.schema([self._schema.arrow().field(column) for column in wanted])
            parts = [part for part in self._parts if any(Status(s).failed for s in _found(part, name))]
            table = pa.concat_tables(
                [pa.Table.from_batches([], kinds), *(self._read(part, wanted) for part in parts)]
            )
            failed = table.filter(pc.invert(pc.is_in(table.column(1), fine)))
            label = strings([name] * failed.num_rows)
            arrays = [failed.column(0), label, failed.column(1), failed.column(2)]
            pieces.append(pa.table(arrays, names=["id", "column", "status", "error"]))
        return pa.concat_tables(pieces)

    def to_arrow(self, columns: list[str] | None = None) -> pa.Table:
        """All rows as one Arrow table, or only some of its columns, as they are stored."""
        import pyarrow as pa

        return pa.concat_tables([self._read(part, columns) for part in self._parts])

    def take(self, rows: Sequence[int], columns: list[str] | None = None) -> pa.Table:
        """Some rows by their place, in the order asked for; only the parts that hold them are read."""
        import pyarrow as pa

        pieces, places = [], np.empty(len(rows), np.int64)
        wanted, read = np.asarray(rows, np.int64), 0
        if wanted.size and not (wanted.min() >= 0 and wanted.max() < len(self)):
            raise UsageError(f"Rows are 0 to {len(self) - 1}, not {wanted.min()} to {wanted.max()}")
        for part in self._parts:
            inside = np.flatnonzero((wanted >= part.start) & (wanted < part.start + part.rows))
            if inside.size:
                places[inside] = np.arange(read, read + inside.size)
                pieces.append(self._read(part, columns).take(numbers(wanted[inside] - part.start)))
                read += inside.size
        if not pieces:
            return self._read(self._parts[0], columns).slice(0, 0)
        return pa.concat_tables(pieces).take(numbers(places))

    def to_pandas(self, columns: list[str] | None = None) -> pd.DataFrame:
        """The same as a pandas frame; a vector is a numpy array per row."""
        frame: pd.DataFrame = self.to_arrow(columns).to_pandas()
        return frame

    def to_polars(self, columns: list[str] | None = None) -> pl.DataFrame:
        """The same as a polars frame; a vector column has type ``Array(Float32, dim)``."""
        import polars as pl

        frame = pl.from_arrow(self.to_arrow(columns))
        assert isinstance(frame, pl.DataFrame)
        return frame

    def _read(self, part: Commit, columns: list[str] | None) -> pa.Table:
        return read_part(self.storage, part, self._schema, columns)


def _found(part: Commit, column: str) -> list[str]:
    """The statuses that cells of a column have in a part."""
    return [status for status, rows in part.statuses[column].items() if rows]


def _strings(table: pa.Table) -> npt.NDArray[np.str_]:
    """A table's first column; its strings exist in Python one part at a time."""
    import pyarrow.compute as pc

    column = table.column(0)
    width = pc.max(pc.utf8_length(column)).as_py() or 1
    found, at = np.empty(len(column), f"U{width}"), 0
    for chunk in column.chunks:
        found[at : at + len(chunk)] = chunk.to_pylist()
        at += len(chunk)
    return found


def _unfinished(storage: Storage) -> RefusedError:
    try:
        planned = str(len(Run.read(storage).parts))
    except RefusedError as error:
        return RefusedError(str(error), "Run the same command again, or remove the folder")
    found = sum(name.endswith(".json") for name in storage.names("commits"))
    return RefusedError(
        f"The run in {str(storage.root)!r} has not finished: {found} of {planned} parts are committed",
        "Run the same command again: it goes on from there",
    )


class VectorColumn:
    """One column of a vector set: the vectors of one field by one embedder."""

    def __init__(self, owner: VectorSet, info: ColumnInfo) -> None:
        self._owner = owner
        self.info = info

    def __repr__(self) -> str:
        return f"VectorColumn({self.info.name!r}, ({len(self._owner)}, {self.info.dim}), {self.space!r})"

    @property
    def space(self) -> str:
        """Vectors of two columns may be compared if and only if these are equal."""
        return self.info.space

    @functools.cached_property
    def vectors(self) -> npt.NDArray[np.float32]:
        """Shape ``(n, dim)``, memory-mapped, read-only; NaN where not ok.

        The first access writes the cache file it maps; a set in a read-only folder is read into memory.
        """
        owner = self._owner
        shape = (len(owner), self.info.dim)
        return cache.mapped(owner.storage, self.info.name, shape, self.stored)

    @functools.cached_property
    def status(self) -> npt.NDArray[np.str_]:
        """What became of each cell, shape ``(n,)``."""
        pieces = []
        for part in self._owner._parts:
            found = _found(part, self.info.name)
            if len(found) == 1:  # as in most parts: nothing needs to be read
                pieces.append(np.full(part.rows, found[0]))
            else:
                pieces.append(_strings(self._owner._read(part, [f"{self.info.name}_status"])))
        return np.concatenate(pieces)

    @property
    def ok(self) -> npt.NDArray[np.bool_]:
        """Which rows hold a vector, shape ``(n,)``."""
        return np.asarray(self.status == Status.OK.value, dtype=np.bool_)

    @property
    def statuses(self) -> Mapping[str, int]:
        """Rows per status, from the manifest."""
        counts: Mapping[str, int] = self._owner.manifest["statuses"][self.info.name]
        return counts

    @property
    def flags(self) -> Mapping[str, int]:
        """Rows per flag, from the manifest: how many texts were truncated, how many sounds downmixed."""
        counts: Mapping[str, int] = self._owner.manifest["flags"][self.info.name]
        return counts

    def search(self, vectors: npt.NDArray[np.floating], k: int = 10) -> list[Hit] | list[list[Hit]]:
        """The ``k`` rows of largest cosine, best first: for ``(dim,)`` a list, for ``(m, dim)`` one per query.

        Exact; rows that are not ok are never found, and where there are fewer than ``k`` others, all of them are.
        The caller sees to it that the vectors are of this column's space. Raises UsageError for ``k`` below 1,
        vectors of another dimension, not finite or zero, and for a column without vectors.
        """
        if not self.statuses.get(Status.OK.value):
            raise UsageError(f"The column {self.info.name!r} holds no vector to search")
        queries = np.asarray(vectors)
        rows, scores = nearest_rows(self.vectors, np.atleast_2d(queries), k, unit=self.info.normalized)
        ids = self._owner.ids
        found = [
            [Hit(str(ids[row]), int(row), float(score)) for row, score in zip(*pair, strict=True)]
            for pair in zip(rows, scores, strict=True)
        ]
        return found[0] if queries.ndim == 1 else found

    def stored(self) -> Iterator[npt.NDArray[np.float32]]:
        """The vectors as they stand in the parts, piece by piece in order; nothing is cached."""
        owner = self._owner

        def read(part: Commit) -> npt.NDArray[np.float32]:
            return read_vectors(owner.storage, part, owner._schema, self.info).astype(np.float32, copy=False)

        with ThreadPoolExecutor(READERS) as threads:
            ahead: deque[Future[npt.NDArray[np.float32]]] = deque()
            for part in owner._parts:
                ahead.append(threads.submit(read, part))
                if len(ahead) > READERS:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()

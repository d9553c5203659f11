"""Reading one part's file: only what a set of these columns and rows can be is let in."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy.typing as npt

from embedders.errors import RefusedError, StorageError
from pipelines.vectors.manifest import Commit
from pipelines.vectors.pages import plain_vectors
from pipelines.vectors.schema import ColumnInfo, Schema, vectors_of
from pipelines.vectors.storage import CURE, Storage

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

__all__ = ["CURE_OF_PARTS", "read_part", "read_vectors"]

CURE_OF_PARTS = "The command that made the set makes this part again; embed verify lists all that is wrong"

FEW = 3
"""Columns that are read before threads of pyarrow's cost more than they save."""


def read_part(storage: Storage, part: Commit, schema: Schema, columns: list[str] | None = None) -> pa.Table:
    """A part's rows, or some of their columns.

    Raises RefusedError where its file is not one of these columns and rows, StorageError where it cannot be read.
    """
    with _opened(storage, part, schema) as (file, _):
        return file.read(columns=columns, use_threads=columns is None or len(columns) > FEW)


def read_vectors(storage: Storage, part: Commit, schema: Schema, column: ColumnInfo) -> npt.NDArray[Any]:
    """A part's vectors in one column, ``(rows, dim)`` as they are stored; raises what :func:`read_part` raises."""
    with _opened(storage, part, schema) as (file, plain):
        found = plain_vectors(plain, file.metadata, f"{column.name}.list.element", column.dim)
        return vectors_of(file.read(columns=[column.name]).column(0).combine_chunks()) if found is None else found


@contextlib.contextmanager
def _opened(storage: Storage, part: Commit, schema: Schema) -> Iterator[tuple[pq.ParquetFile, BinaryIO]]:
    """A part's file, for pyarrow and as it is, once its rows and columns are known to be those of the set."""
    import pyarrow.parquet as pq

    path = storage.path(part.file)
    try:
        # pages are read as they come: to fetch a whole file ahead is for storage that is far away
        reading = {"pre_buffer": False, "page_checksum_verification": True}
        with path.open("rb") as plain, pq.ParquetFile(path, **reading) as file:
            # before anything is read: a made-up file decides neither types nor how much memory it takes
            if file.metadata.num_rows != part.rows:
                raise ValueError(f"it has {file.metadata.num_rows} rows; {part.rows} were committed")
            if not file.schema_arrow.equals(schema.arrow()):
                raise ValueError("its columns are not those of the set")
            yield file, plain
    except (OSError, ValueError) as error:
        # what the system says has a number; of what stands in the file pyarrow speaks without one
        if isinstance(error, OSError) and error.errno not in (None, errno.ENOENT):
            raise StorageError(f"{str(path)!r} cannot be read: {os.strerror(error.errno)}", CURE) from error
        raise RefusedError(f"{str(path)!r} is damaged ({error})", CURE_OF_PARTS) from error

"""Rows of Parquet files, a batch at a time; only the columns that are wanted are read."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from embedders.errors import BadInput, Status, UsageError
from pipelines.records.rows import Row, first_repeated

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

__all__ = ["Parquet"]

BATCH_ROWS = 1024
BATCH_BYTES = 4 << 20
"""Rows converted at once, at most, and about how large they may be: a row may hold a whole encoded picture."""


class Parquet:
    """A Parquet file: strings, binary (encoded media) and null arrive as such, other types as Python values.

    The format does not enforce that strings are UTF-8: a row where it is not is ``invalid``. Page checksums are
    verified where the file has them. Raises UsageError, naming the file, for damage anywhere else.
    """

    unit = "row"

    def __init__(self, path: Path) -> None:
        self.path = path

    def names(self) -> tuple[str, ...]:
        """The top-level columns of the schema."""
        with self._reading() as file:
            names: list[str] = file.schema_arrow.names
        repeated = first_repeated(names)
        if repeated is not None:
            raise UsageError(f"'{self.path}' has more than one column {repeated!r}", "Rename all but one")
        return tuple(names)

    def rows(self, columns: Collection[str]) -> Iterator[Row]:
        """All rows, with the values of ``columns``."""
        number = 0
        with self._reading() as file:
            for batch in file.iter_batches(_batch_rows(file, columns), columns=list(columns)):
                names = batch.schema.names
                read = [_values(column) for column in batch.columns]
                whole = not any(UnicodeDecodeError in map(type, column) for column in read)
                for values in zip(*read, strict=True) if read else ((),) * batch.num_rows:
                    number += 1
                    row = dict(zip(names, values, strict=True))
                    yield Row(number, row) if whole else _row(number, row)
            if number != file.metadata.num_rows:
                raise ValueError(f"{number} rows; its footer promises {file.metadata.num_rows}")

    @contextmanager
    def _reading(self) -> Iterator[pq.ParquetFile]:
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            # a buffer without pre-buffering streams a column's pages; any other choice loads whole row groups
            with pq.ParquetFile(
                self.path, buffer_size=1 << 20, pre_buffer=False, page_checksum_verification=True
            ) as file:
                yield file
        except (pa.ArrowException, OSError, ValueError, MemoryError) as error:
            raise UsageError(
                f"'{self.path}' is damaged or no Parquet file: {error}", "Write or copy it again"
            ) from error


def _batch_rows(file: pq.ParquetFile, columns: Collection[str]) -> int:
    """Rows to convert at once, by the size of the largest ones on average."""
    most = 1.0
    for index in range(file.metadata.num_row_groups):
        group = file.metadata.row_group(index)
        chunks = [group.column(place) for place in range(group.num_columns)]
        read = [c for c in chunks if any(f"{c.path_in_schema}.".startswith(f"{name}.") for name in columns)]
        size = sum(chunk.total_uncompressed_size for chunk in read)
        most = max(most, size / max(group.num_rows, 1))
    return max(1, min(BATCH_ROWS, int(BATCH_BYTES / most)))


def _row(number: int, values: dict[str, Any]) -> Row:
    broken = [name for name, value in values.items() if isinstance(value, UnicodeDecodeError)]
    if not broken:
        return Row(number, values)
    message = f"row {number}: the string in column {broken[0]!r} is not UTF-8"
    readable = {name: value for name, value in values.items() if name not in broken}
    return Row(number, readable, BadInput(Status.INVALID, "REC_ENCODING", message))


def _values(column: pa.Array) -> list[Any]:
    """Python values of a column; a string that is not UTF-8 becomes the error that decoding it raises."""
    import pyarrow as pa

    try:
        column.validate(full=True)
        values: list[Any] = column.to_pylist()
    except (pa.ArrowException, ValueError):
        if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
            # also what Python has no type for, such as times in nanoseconds; raises again where it is damage
            shown: list[Any] = column.cast(pa.string()).to_pylist()
            return shown
        raw = column.cast(pa.binary() if pa.types.is_string(column.type) else pa.large_binary())
        raw.validate(full=True)
        return [_decoded(value) for value in raw.to_pylist()]
    return values


def _decoded(value: bytes | None) -> str | UnicodeDecodeError | None:
    try:
        return None if value is None else value.decode()
    except UnicodeDecodeError as error:
        return error

"""A table as a source: one row, one record; columns are fields."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

from embedders.errors import UsageError, nearest
from pipelines.records.damage import Damaged, SourceError
from pipelines.records.delimited import Delimited
from pipelines.records.jsonl import JsonLines
from pipelines.records.parquet import Parquet
from pipelines.records.record import Record, portable, valid_id
from pipelines.records.rows import Row, Rows

__all__ = ["FORMATS", "TableSource", "table_suffix"]

PLAIN: dict[str, Callable[[Path], Rows]] = {
    ".csv": lambda path: Delimited(path, ","),
    ".tsv": lambda path: Delimited(path, "\t"),
    ".jsonl": JsonLines,
    ".ndjson": JsonLines,
}

FORMATS: dict[str, Callable[[Path], Rows]] = {
    **{suffix + packed: rows for suffix, rows in PLAIN.items() for packed in ("", ".gz", ".zst")},
    ".parquet": Parquet,
}
"""Readers by lower-case suffix."""


class TableSource:
    """CSV, TSV, JSON Lines (each also as ``.gz`` or ``.zst``) or Parquet, read in a stream as often as asked.

    Ids come from ``id_column``; by default from a column called ``id``, and where there is none from the row's
    position, counted from 0 and padded to sort (``00000017``). Every column is a field, except one called ``id``:
    another id column may well hold the path too. ``columns`` reads only these fields, which is what makes wide
    Parquet files fast. Paths in a table are relative to the folder it lies in.

    A row that cannot be used keeps its place as a record with a problem, under its id where that can be read,
    else its file and line, ``table.jsonl:17`` (in Parquet the row). Where a table of lines is damaged beyond
    single rows, the rows before are kept and the rest is one of :meth:`errors`. Raises UsageError for damage in
    front of the first row or anywhere in Parquet, another encoding, an unknown column and a missing id.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        id_column: str | None = None,
        columns: Sequence[str] | None = None,
    ) -> None:
        self.path = Path(path)
        suffix = table_suffix(self.path)
        if suffix is None:
            raise UsageError(f"'{self.path}' is no table that can be read", f"Tables end in {', '.join(FORMATS)}")
        if not self.path.is_file():
            raise UsageError(f"There is no file '{self.path}'")
        self.format = suffix.removeprefix(".")
        self.root = Path(os.path.abspath(self.path)).parent
        self.id_column = id_column
        self._rows = FORMATS[suffix](self.path)
        self._error: SourceError | None = None
        try:
            names = self._rows.names()
        except Damaged as damage:
            raise UsageError(f"No row can be read: {self._located(damage, 1, 0)}") from damage
        self._names = names
        self._require(*([id_column] if id_column is not None else []), *(columns or []))
        self._id = id_column or ("id" if "id" in names else None)
        self._fields = tuple(columns) if columns is not None else tuple(n for n in names if n != "id")

    def only(self, columns: Sequence[str]) -> TableSource:
        """The same table with these fields alone: the others are not read, and the names of all not again."""
        self._require(*columns)
        twin = copy.copy(self)
        twin._fields, twin._error = tuple(columns), None
        return twin

    def records(self) -> Iterator[Record]:
        """One record per row, in the order of the file."""
        wanted = dict.fromkeys((*self._fields, *([self._id] if self._id is not None else [])))
        for position, row in enumerate(self._whole_rows(wanted)):
            identifier = self._identifier(position, row)
            if row.problem is not None:
                yield Record(identifier, {}, row.problem)
            else:
                yield Record(identifier, {name: row.values.get(name) for name in self._fields})

    def fields(self) -> tuple[str, ...]:
        """The columns, in the order of the file or as asked for."""
        return self._fields

    def describe(self) -> dict[str, Any]:
        """Kind, path, format, id column and fields."""
        return {
            "kind": "table",
            "path": portable(str(self.path)),
            "format": self.format,
            "id_column": self._id,
            "fields": list(self._fields),
        }

    def notes(self) -> dict[str, Any]:
        """Nothing: a table has no rows that are passed over."""
        return {}

    def errors(self) -> list[SourceError]:
        """Where the table breaks off, once a pass came that far."""
        return [] if self._error is None else [self._error]

    def _require(self, *columns: str) -> None:
        for name in columns:
            if name not in self._names:
                raise UsageError(f"'{self.path}' has no column {name!r}", nearest(name, self._names))

    def _whole_rows(self, columns: Collection[str]) -> Iterator[Row]:
        """Rows up to where the table breaks off."""
        read, last = 0, 0
        try:
            for row in self._rows.rows(columns):
                yield row
                read, last = read + 1, row.number
        except Damaged as damage:
            self._error = self._located(damage, last + 1, read)

    def _located(self, damage: Damaged, line: int, read: int) -> SourceError:
        at = line if damage.at is None else damage.at
        return SourceError(portable(self.path.name), self._rows.unit, at, read, damage.code, damage.reason)

    def _identifier(self, position: int, row: Row) -> str:
        value = row.values.get(self._id) if self._id is not None else None
        if row.problem is not None and not value:
            return f"{portable(self.path.name)}:{row.number}"
        if self._id is None:
            return f"{position:08d}"
        if type(value) is str and value.isascii() and value:
            return value
        cure = f"Fill the column {self._id!r}, or name another id column"
        return valid_id(value, f"'{self.path}', {self._rows.unit} {row.number}", cure)


def table_suffix(path: Path) -> str | None:
    """The suffix by which a path is a table, or None."""
    return next((suffix for suffix in FORMATS if path.name.lower().endswith(suffix)), None)

"""Writing a vector set: the plan first, then one part after the other, the manifest last.

A part exists once its commit record does; a set is complete once its manifest is there. Nothing that a reader
may meet before that can be taken for more than it is.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from embedders.errors import ContractError, RefusedError
from pipelines.vectors.schema import FORMAT, ColumnInfo, Schema
from pipelines.vectors.storage import Storage

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Commit", "Writer", "refuse_foreign"]


@dataclass(frozen=True)
class Commit:
    """What is known of a committed part, as it stands in its commit record and in the manifest."""

    part: int
    file: str
    start: int
    rows: int
    bytes: int
    sha256: str
    statuses: Mapping[str, Mapping[str, int]]
    """Rows per status, per column."""
    flags: Mapping[str, Mapping[str, int]]
    """Rows per flag, per column."""


class Writer:
    """Writes one vector set into a new or empty folder.

    ``run`` is everything that the run was asked for, as plain JSON; it is written before the first part.
    Raises RefusedError if the folder holds anything, StorageError for whatever the disk refuses.
    """

    def __init__(self, out: Path, schema: Schema, run: Mapping[str, Any], storage: Storage | None = None) -> None:
        self.storage = storage or Storage(out)
        self.schema = schema
        self.commits: list[Commit] = []
        refuse_foreign(self.storage)
        self.storage.create()
        described = {"fields": list(schema.fields), "columns": [column.to_json() for column in schema.columns]}
        self.storage.write_json("run.json", {"format": FORMAT, **described, **run})

    def commit(self, part: int, table: pa.Table, seconds: Mapping[str, float]) -> Commit:
        """Make a part of consecutive rows durable; parts come in order. ``seconds`` per stage are recorded."""
        import pyarrow.parquet as pq

        if part != len(self.commits):
            raise ContractError(f"Part {part} was committed after {len(self.commits)} parts; they come in order")
        name = f"data/part-{part:06d}.parquet"
        options = self.schema.parquet_options()
        self.storage.write(name, lambda file: pq.write_table(table, file, **options))
        with self.storage.path(name).open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        statuses = {c.name: _counts(table.column(f"{c.name}_status")) for c in self.schema.columns}
        flags = {
            c.name: _counts(table.column(f"{c.name}_flags").combine_chunks().flatten()) for c in self.schema.columns
        }
        start = sum(commit.rows for commit in self.commits)
        found = Commit(part, name, start, table.num_rows, self.storage.size(name), digest, statuses, flags)
        record = {**asdict(found), "seconds": {stage: round(s, 3) for stage, s in seconds.items()}}
        self.storage.write_json(f"commits/part-{part:06d}.json", record)
        self.commits.append(found)
        return found

    def finish(self) -> None:
        """Write the manifest: from now on the set is complete."""
        self.storage.write_json(
            "manifest.json",
            {
                "format": FORMAT,
                "state": "complete",
                "rows": sum(commit.rows for commit in self.commits),
                "fields": list(self.schema.fields),
                "columns": [column.to_json() for column in self.schema.columns],
                "statuses": self._totals([commit.statuses for commit in self.commits]),
                "flags": self._totals([commit.flags for commit in self.commits]),
                "parts": [asdict(commit) for commit in self.commits],
            },
        )

    def _totals(self, counted: Sequence[Mapping[str, Mapping[str, int]]]) -> dict[str, dict[str, int]]:
        totals: dict[str, Counter[str]] = {column.name: Counter() for column in self.schema.columns}
        for columns in counted:
            for name, counts in columns.items():
                totals[name].update(counts)
        return {name: dict(sorted(counts.items())) for name, counts in totals.items()}


def refuse_foreign(storage: Storage) -> None:
    """Raise RefusedError, saying what stands there, unless the folder is absent or empty."""
    out = str(storage.root)
    if storage.exists("manifest.json"):
        raise RefusedError(f"A finished vector set stands in {out!r}", "Choose another folder, or remove this one")
    if storage.exists("run.json"):
        planned = len(storage.read_json("run.json").get("plan", {}).get("parts", ()))
        found = len(storage.names("commits"))
        raise RefusedError(
            f"An unfinished run stands in {out!r}: {found} of {planned} parts are committed",
            "Choose another folder, or remove this one",
        )
    if storage.root.is_dir() and storage.names("."):
        first = ", ".join(storage.names(".")[:3])
        raise RefusedError(f"{out!r} holds other files ({first})", "Choose another folder")
    if storage.root.exists() and not storage.root.is_dir():
        raise RefusedError(f"{out!r} is a file", "Choose another folder")


def columns_of(values: Mapping[str, Any]) -> tuple[ColumnInfo, ...]:
    """The columns named in a manifest."""
    return tuple(ColumnInfo.from_json(column) for column in values["columns"])


def _counts(column: Any) -> dict[str, int]:
    counted = column.value_counts()
    return {str(entry["values"]): int(entry["counts"]) for entry in counted.to_pylist()}

"""What stands in a commit record and in the manifest, and what the files of a part are called.

Whatever is read here may have been cut, flipped, swapped or made up: every value is checked before it is used, and
a file that a record names lies in ``data/`` and nowhere else.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

from embedders.errors import RefusedError, Status
from pipelines.vectors.run import Run, digest_of, explained, is_count, require, schema_of
from pipelines.vectors.schema import FORMAT, Schema
from pipelines.vectors.storage import Storage

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = [
    "MANIFEST",
    "Commit",
    "Manifest",
    "commit_file",
    "commit_record",
    "count_cells",
    "manifest_values",
    "part_file",
    "read_commit",
]

MANIFEST = "manifest.json"

PART_FILE = re.compile(r"data/part-(\d{6,12})(?:\.g(?:[2-9]|[1-9]\d{1,5}))?\.parquet")
DIGEST = re.compile(r"[0-9a-f]{64}")
STATUSES = frozenset(status.value for status in Status)

Counts = Mapping[str, Mapping[str, int]]


def part_file(part: int, generation: int = 1) -> str:
    """The file of a part's rows; rows made anew are a later generation, under a name of its own."""
    return f"data/part-{part:06d}{f'.g{generation}' * (generation > 1)}.parquet"


def commit_file(part: int) -> str:
    """The file of a part's commit record."""
    return f"commits/part-{part:06d}.json"


@dataclass(frozen=True)
class Commit:
    """What is known of a committed part, as it stands in its commit record and in the manifest."""

    part: int
    file: str
    start: int
    rows: int
    bytes: int
    sha256: str
    statuses: Counts
    """Rows per status, per column."""
    flags: Counts
    """Rows per flag, per column."""

    @classmethod
    def from_json(cls, values: Any, columns: Sequence[str]) -> Commit:
        """The inverse of ``asdict``; raises ValueError for what cannot be a commit of a set with these columns."""
        names = {field.name for field in fields(cls)}
        require(isinstance(values, dict) and set(values) == names, "it has not the entries of a commit")
        for name in ("part", "start", "rows", "bytes"):
            require(is_count(values[name]), f"{name!r} is no count")
        named = PART_FILE.fullmatch(values["file"]) if isinstance(values["file"], str) else None
        if named is None or values["file"].partition(".")[0] != part_file(values["part"]).partition(".")[0]:
            raise ValueError(f"it names {values['file']!r}, which is no file of its part")
        digest = values["sha256"]
        require(isinstance(digest, str) and DIGEST.fullmatch(digest) is not None, "its SHA-256 is none")
        for name in ("statuses", "flags"):
            require(_are_counts(values[name], columns), f"its {name} are not those of the set's columns")
        for counts in values["statuses"].values():
            require(STATUSES.issuperset(counts), "it counts a status that does not exist")
            require(sum(counts.values()) == values["rows"], "its statuses do not add up to its rows")
        return cls(**values)


@dataclass(frozen=True)
class Manifest:
    """What a finished set holds; the only source of file names for its readers."""

    values: Mapping[str, Any]
    schema: Schema
    parts: tuple[Commit, ...]
    rows: int

    @classmethod
    def read(cls, storage: Storage) -> Manifest:
        """The manifest of a folder; RefusedError where it is damaged or of a later format."""
        values = storage.read_json(MANIFEST)
        with explained(storage, MANIFEST):
            require(
                isinstance(values, dict) and is_count(values.get("format")), "it is no manifest of a vector set"
            )
            if values["format"] > FORMAT:
                raise RefusedError(
                    f"{str(storage.root)!r} has format {values['format']}; this version reads up to {FORMAT}",
                    "Upgrade multimodal-embedders",
                )
            require(values.get("state") == "complete", "it does not say that the set is complete")
            schema = schema_of(values)
            names = [column.name for column in schema.columns]
            for key in ("statuses", "flags"):
                require(_are_counts(values.get(key), names), f"its {key} are not those of its columns")
            require(isinstance(values.get("parts"), list), "it lists no parts")
            parts = tuple(Commit.from_json(part, names) for part in values["parts"])
            rows = 0
            for part in parts:
                require(part.start == rows, f"part {part.part} does not begin where the one before it ends")
                rows += part.rows
            require(bool(parts) and values.get("rows") == rows, "its parts do not add up to its rows")
        return cls(values, schema, parts, rows)


def count_cells(table: pa.Table, schema: Schema) -> tuple[Counts, Counts]:
    """Rows per status and rows per flag of a part, each per column."""
    statuses, flags = {}, {}
    for name in (column.name for column in schema.columns):
        statuses[name] = _counts(table.column(f"{name}_status"))
        flags[name] = _counts(table.column(f"{name}_flags").combine_chunks().flatten())
    return statuses, flags


def commit_record(commit: Commit, run: Run, seconds: Mapping[str, float]) -> dict[str, Any]:
    """A commit as it is stored: with the seconds that each stage took, and sealed."""
    record = {**asdict(commit), "seconds": {stage: round(s, 3) for stage, s in seconds.items()}}
    return {**record, "seal": digest_of([run.digest, record])}


def read_commit(storage: Storage, part: int, run: Run) -> Commit:
    """A part's commit record; RefusedError where it is missing, damaged, or of another run or part.

    The seal is a hash of the record and of its run, so that no digit of either can have changed since.
    """
    name = commit_file(part)
    if not storage.exists(name):
        raise RefusedError(f"{str(storage.path(name))!r} is missing")
    with explained(storage, name):
        record = storage.read_json(name)
        require(isinstance(record, dict), "it is no commit record")
        seal = record.pop("seal", None)
        require(seal == digest_of([run.digest, record]), "it was changed, or belongs to another run")
        record.pop("seconds", None)
        commit = Commit.from_json(record, [column.name for column in run.schema.columns])
        planned = run.parts[part]
        fits = (commit.part, commit.start, commit.rows) == (part, planned.start, planned.rows)
        require(fits, f"it is the record of part {commit.part}, rows {commit.start} and {commit.rows - 1} more")
        return commit


def manifest_values(run: Run, commits: Mapping[int, Commit], source_errors: Sequence[Any]) -> dict[str, Any]:
    """The manifest of a run whose parts are all committed: the same whatever happened on the way."""
    parts = [commits[part] for part in range(len(run.parts))]
    return {
        "format": FORMAT,
        "state": "complete",
        "run": run.digest,
        "rows": sum(part.rows for part in parts),
        "fields": list(run.schema.fields),
        "columns": [column.to_json() for column in run.schema.columns],
        "statuses": _totals(run, [part.statuses for part in parts]),
        "flags": _totals(run, [part.flags for part in parts]),
        "source_errors": list(source_errors),
        "parts": [asdict(part) for part in parts],
    }


def _totals(run: Run, counted: Sequence[Counts]) -> dict[str, dict[str, int]]:
    totals: dict[str, Counter[str]] = {column.name: Counter() for column in run.schema.columns}
    for columns in counted:
        for name, counts in columns.items():
            totals[name].update(counts)
    return {name: dict(sorted(counts.items())) for name, counts in totals.items()}


def _counts(column: Any) -> dict[str, int]:
    counted = column.value_counts()
    return {str(entry["values"]): int(entry["counts"]) for entry in counted.to_pylist()}


def _are_counts(values: Any, columns: Sequence[str]) -> bool:
    return (
        isinstance(values, dict)
        and list(values) == list(columns)
        and all(isinstance(counts, dict) and all(map(is_count, counts.values())) for counts in values.values())
    )

"""What was asked for, as ``run.json`` holds it: written first, and what every later writer is held against.

Whatever is read here may have been cut, flipped or made up: every value is checked before it is used.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from embedders.errors import ContractError, RefusedError, UsageError
from pipelines.vectors.schema import FORMAT, ColumnInfo, Schema
from pipelines.vectors.storage import Storage, json_bytes

__all__ = ["RUN", "Planned", "Run", "digest_of", "explained", "is_count", "require", "schema_of"]

RUN = "run.json"

NOT_DECIDING = ("circumstances",)
"""Entries of ``run.json`` that decide nothing about the result: a run goes on where they differ."""

MANY = 1 << 62
"""No count of a set reaches this; a larger one was made up."""


@dataclass(frozen=True)
class Planned:
    """A part's place in the plan: rows ``start`` to ``start + rows - 1`` of the set."""

    start: int
    rows: int


@dataclass(frozen=True)
class Run:
    """Options, fields, columns with their fingerprints, and the plan; ``values`` is the whole as plain JSON."""

    values: Mapping[str, Any]
    schema: Schema
    parts: tuple[Planned, ...]

    @classmethod
    def of(cls, schema: Schema, run: Mapping[str, Any]) -> Run:
        """The run over the plan in ``run["plan"]``; raises ContractError where that is none."""
        described = {"fields": list(schema.fields), "columns": [column.to_json() for column in schema.columns]}
        try:
            return cls.from_json(json.loads(json_bytes({"format": FORMAT, **described, **run})))
        except (TypeError, ValueError) as error:
            raise ContractError(f"A run cannot be described so: {error}") from error

    @classmethod
    def read(cls, storage: Storage) -> Run:
        """The run of a folder; RefusedError where it is missing, damaged or of another format."""
        if not storage.exists(RUN):
            raise RefusedError(f"{str(storage.path(RUN))!r} is missing")
        values = storage.read_json(RUN)
        with explained(storage, RUN):
            return cls.from_json(values)

    @classmethod
    def from_json(cls, values: Any) -> Run:
        """The inverse of ``values``; raises ValueError for what is no run of this format."""
        require(isinstance(values, dict) and is_count(values.get("format")), "it describes no vector set")
        require(values["format"] == FORMAT, f"it has format {values['format']}; this version writes {FORMAT}")
        plan = values.get("plan")
        require(isinstance(plan, dict) and isinstance(plan.get("parts"), list), "it has no plan")
        parts: list[Planned] = []
        start = 0
        for index, part in enumerate(plan["parts"]):
            whole = isinstance(part, dict) and all(is_count(part.get(key)) for key in ("index", "start", "rows"))
            require(whole and part["rows"] > 0, f"part {index} of its plan is none")
            require((part["index"], part["start"]) == (index, start), f"part {index} of its plan is out of order")
            parts.append(Planned(start, part["rows"]))
            start += part["rows"]
        require(bool(parts), "its plan is empty")
        return cls(values, schema_of(values), tuple(parts))

    @functools.cached_property
    def deciding(self) -> dict[str, Any]:
        """The values that decide the result."""
        return {key: value for key, value in self.values.items() if key not in NOT_DECIDING}

    @functools.cached_property
    def digest(self) -> str:
        """The SHA-256 of all that decides the result: it ties commit records and manifest to their run."""
        return digest_of(self.deciding)

    @property
    def rows(self) -> int:
        """Rows of the set."""
        return sum(part.rows for part in self.parts)


def schema_of(values: Mapping[str, Any]) -> Schema:
    """Fields and columns of a run or manifest; raises ValueError for what cannot be one."""
    fields, columns = values.get("fields"), values.get("columns")
    if not isinstance(fields, list) or not all(isinstance(field, str) for field in fields):
        raise ValueError("its fields are no names")
    if not isinstance(columns, list):
        raise ValueError("it lists no columns")
    try:
        return Schema(tuple(fields), tuple(ColumnInfo.from_json(column) for column in columns))
    except UsageError as error:
        raise ValueError(str(error)) from error


def digest_of(values: Any) -> str:
    """The SHA-256 of plain JSON values, whatever the order of their keys."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def is_count(value: Any) -> bool:
    """Whether a value read from JSON can be a number of things."""
    return type(value) is int and 0 <= value < MANY


def require(condition: bool, problem: str) -> None:
    """Raise ValueError, saying what is wrong with a file, unless the condition holds."""
    if not condition:
        raise ValueError(problem)


@contextlib.contextmanager
def explained(storage: Storage, name: str) -> Iterator[None]:
    """Turn what is wrong with a file's values into a RefusedError that names the file."""
    try:
        yield
    except (ValueError, RecursionError) as error:
        raise RefusedError(f"{str(storage.path(name))!r} is damaged: {error}") from error

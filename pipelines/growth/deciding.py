"""What stands in a folder against what is asked for: which growth that is, or why it is none."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from embedders.errors import RefusedError, Status, UsageError
from pipelines.records import Plan
from pipelines.vectors import ColumnInfo, Schema, Storage
from pipelines.vectors.manifest import MANIFEST
from pipelines.vectors.run import RUN, Run
from pipelines.vectors.standing import same_run

__all__ = ["Grow", "Growth", "decide", "schema_there"]

Grow = Literal["update", "retry_failed"]
"""``update``: what the source holds now, computing what is new or changed; ``retry_failed``: failed cells again."""

DESCRIBED = ("format", "fields", "columns")
"""Entries of a run that its schema makes."""


@dataclass(frozen=True)
class Growth:
    """From the set that stands in a folder to the one that is to stand there.

    ``kind`` is one of :data:`Grow`, or ``add`` for columns that are new over the same records.
    """

    kind: str
    base: Run
    run: Run

    @property
    def values(self) -> dict[str, Any]:
        """What the grown set's ``run.json`` holds besides its columns."""
        return {key: value for key, value in self.run.values.items() if key not in DESCRIBED}

    @property
    def new(self) -> tuple[ColumnInfo, ...]:
        """The columns that the old set has not."""
        return self.run.schema.columns[len(self.base.schema.columns) :]

    @property
    def by_content(self) -> bool:
        """Whether cells are held to the content they were made of; else a record's cells are its own."""
        return self.kind == "update"

    def keeps(self, status: str) -> bool:
        """Whether a cell of this status is taken from the old set as it is.

        ``changed`` was said of what lay there during that run.
        """
        if self.kind == "add" or status == Status.OK.value:
            return True
        if self.again:
            return not Status(status).failed
        return status != Status.CHANGED.value

    @functools.cached_property
    def again(self) -> bool:
        """Whether failed cells are computed again though their content is the same: other limits may pass them."""
        return self.kind == "retry_failed" or self.base.values.get("limits") != self.run.values.get("limits")


def decide(storage: Storage, asked: Run, grow: Grow | None, before: Plan) -> Growth | None:
    """The growth that a run asks for; None where it is no growth but a run that begins, goes on or was done.

    ``before`` is the plan over the fields that the set has. Without ``grow``, other columns over the same records
    are a growth: those of the set and those that are asked for will be there. Raises RefusedError, with what
    differs, for anything else that is another run than the set's; UsageError for a retry where there is no set.
    Changes nothing.
    """
    if not storage.exists(RUN):
        if grow == "retry_failed":
            raise UsageError(f"There is no vector set in {str(storage.root)!r} with failed cells", "Run without it")
        return None
    try:
        base = Run.read(storage)
    except RefusedError:
        if grow is None:
            return None  # whoever goes on with a run knows what to do
        raise
    finished, same = storage.exists(MANIFEST), base.deciding == asked.deciding
    if same and (grow is None or (grow == "update" and not finished)):
        return None
    held = {column.name: column for column in base.schema.columns}
    mine = {column.name: column for column in asked.schema.columns}
    altered = any(held.get(name, column) != column for name, column in mine.items())
    lacking, more = held.keys() - mine.keys(), mine.keys() - held.keys()
    records = base.values["plan"] == before.to_json()
    if grow == "update":
        allowed = not (altered or lacking)
    elif grow == "retry_failed":
        allowed = records and not (altered or lacking or more)
    else:
        allowed = records and finished and not altered and _rest(base) == _rest(asked)
    if not allowed:
        columns = not (altered or lacking or more)
        raise _refused(storage, asked, columns and not records and _rest(base) == _rest(asked) and grow is None)
    if grow == "retry_failed" and not finished:
        raise RefusedError(
            f"The run in {str(storage.root)!r} has not finished", "Run the same without a retry first"
        )
    kind = grow or "add"
    return Growth(kind, base, _grown(base, asked, kind))


def schema_there(storage: Storage) -> Schema:
    """The fields and columns of the set in a folder; none where there is none that can be read."""
    try:
        return Run.read(storage).schema
    except RefusedError:
        return Schema((), ())


def _grown(base: Run, asked: Run, kind: str) -> Run:
    """The run of the grown set: its own columns in their order, then what is new."""
    fields = dict.fromkeys((*base.schema.fields, *asked.schema.fields))
    columns = {column.name: column for column in (*base.schema.columns, *asked.schema.columns)}
    values = {key: value for key, value in asked.values.items() if key not in DESCRIBED}
    values["circumstances"] = {**values.get("circumstances", {}), "growth": kind}
    return Run.of(Schema(tuple(fields), tuple(columns.values())), values)


def _refused(storage: Storage, asked: Run, by_update: bool) -> RefusedError:
    try:
        same_run(storage, asked)
    except RefusedError as error:
        cure = error.cure
        if by_update:
            cure += '. --update (grow="update") computes what is new and keeps the rest'
        return RefusedError(str(error.args[0]), cure, error.details)
    return RefusedError(f"Another run stands in {str(storage.root)!r}", "Choose another folder")


def _rest(run: Run) -> Mapping[str, Any]:
    """What decides a run besides records and columns: limits, the size of batches, whether URLs are read."""
    return {key: value for key, value in run.deciding.items() if key not in (*DESCRIBED, "plan")}

"""The plan: records cut into parts, before anything runs.

A part is a fixed number of consecutive records. Which record is in which part depends on the records' order and
the part's size alone, so two runs over one source cut alike, wherever each was stopped.
"""

from __future__ import annotations

import hashlib
import json
from array import array
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any

import numpy as np

from embedders.errors import UsageError
from pipelines.records.damage import SourceError
from pipelines.records.identity import add_record
from pipelines.records.record import Record, Source

__all__ = ["Part", "Plan", "make_plan"]

DUPLICATES_NAMED = 10
"""Repeated ids that an error lists."""

ERRORS_NAMED = 3
"""Source errors that the message about a source without records quotes."""

SUSPECTS = 10_000
"""Repeated hashes that are looked into: enough to name ten ids, few enough to hold their records' ids."""


_hash = hash
"""64 bits, by a key of this process that nobody can aim at; what is equal by chance is looked at again."""


@dataclass(frozen=True)
class Part:
    """Consecutive records: the unit of work, commit and resume.

    ``start`` is the position of its first record in the source, from 0. ``digest`` is the SHA-256 of its
    records' ids and fields; a file counts by its path, not its content.
    """

    index: int
    start: int
    rows: int
    digest: str


@dataclass(frozen=True)
class Plan:
    """All parts of a run; ``digest`` stands for the records, their order, the size of parts and source errors."""

    parts: tuple[Part, ...]
    rows: int
    part_rows: int
    digest: str
    source_errors: tuple[SourceError, ...] = ()
    """What of the source could not be read, and so has no rows."""

    @classmethod
    def of(cls, parts: Iterable[Part], part_rows: int, source_errors: Iterable[SourceError] = ()) -> Plan:
        """A plan of these parts, with its totals."""
        parts, source_errors = tuple(parts), tuple(source_errors)
        digest = hashlib.sha256(f"{part_rows} {' '.join(part.digest for part in parts)}".encode())
        for error in source_errors:
            digest.update(json.dumps(error.to_json(), sort_keys=True).encode())
        return cls(parts, sum(part.rows for part in parts), part_rows, digest.hexdigest(), source_errors)

    def read(self, source: Source) -> Iterator[tuple[Part, list[Record]]]:
        """The parts with their records, one part in memory at a time.

        Raises UsageError when the records are no longer those that were planned.
        """
        records = source.records()
        for part in self.parts:
            held = list(islice(records, part.rows))
            if _digest(held) != part.digest:
                raise UsageError(
                    f"The source changed while it was read: records {part.start} to "
                    f"{part.start + part.rows - 1} are not those that were planned",
                    "Leave the source alone during a run, and start again",
                )
            yield part, held

    def to_json(self) -> dict[str, Any]:
        """The plan as plain JSON."""
        return {
            "rows": self.rows,
            "part_rows": self.part_rows,
            "digest": self.digest,
            "parts": [asdict(part) for part in self.parts],
            "source_errors": [error.to_json() for error in self.source_errors],
        }

    @classmethod
    def from_json(cls, recorded: Mapping[str, Any]) -> Plan:
        """The plan that :meth:`to_json` wrote; raises UsageError for one that contradicts itself."""
        try:
            errors = [SourceError.from_json(error) for error in recorded["source_errors"]]
            plan = cls.of((Part(**part) for part in recorded["parts"]), recorded["part_rows"], errors)
            whole = plan.to_json() == dict(recorded)
            starts = np.cumsum([0, *(part.rows for part in plan.parts)]).tolist()
            in_order = [(part.index, part.start) for part in plan.parts] == list(enumerate(starts[:-1]))
        except (KeyError, TypeError, ValueError) as error:
            raise UsageError(f"The recorded plan cannot be read: {error!r}") from error
        if not (whole and in_order):
            raise UsageError("The recorded plan contradicts itself: its parts, totals and digest do not agree")
        return plan


def make_plan(source: Source, part_rows: int, limit: int | None = None) -> Plan:
    """Read the source once, check that ids are unique, and cut it into parts of ``part_rows`` records.

    ``limit`` plans the first records only. Holds 8 bytes per record and one part's records at most. Raises
    UsageError for a source without records and for ids that occur twice, naming the first of them.
    """
    for name, value in (("part_rows", part_rows), ("limit", limit)):
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
            raise UsageError(f"{name} is {value!r}; it must be a whole number of at least 1")
    hashes = array("q")
    parts: list[Part] = []
    records = islice(source.records(), limit)
    while True:
        start = len(hashes)
        digest = hashlib.sha256()
        for record in islice(records, part_rows):
            hashes.append(_hashed(record, len(hashes)))
            add_record(digest, record)
        rows = len(hashes) - start
        if rows == 0:
            break
        parts.append(Part(len(parts), start, rows, digest.hexdigest()))
    if not parts:
        raise UsageError(_nothing(source), "Check the path and the names of the files or columns")
    _refuse_duplicates(source, hashes, limit)
    return Plan.of(parts, part_rows, source.errors())


def _digest(records: Iterable[Record]) -> str:
    digest = hashlib.sha256()
    for record in records:
        add_record(digest, record)
    return digest.hexdigest()


def _hashed(record: Record, position: int) -> int:
    """The hash of a record's id. Sources check the ids they read; those of a user's own are seen here first."""
    identifier = record.id
    if not isinstance(identifier, str) or not identifier:
        raise UsageError(f"Record {position} has the id {identifier!r}; it must be a string, not empty")
    if not identifier.isascii():
        try:
            identifier.encode()
        except UnicodeEncodeError as error:
            raise UsageError(f"Record {position} has the id {identifier!r}; it must be valid Unicode") from error
    return _hash(identifier)


def _refuse_duplicates(source: Source, hashes: array[int], limit: int | None) -> None:
    """Equal hashes are only a suspicion; a second pass looks at the ids behind them."""
    view = np.frombuffer(hashes, np.int64)
    view.sort()
    suspects = set(np.unique(view[1:][view[1:] == view[:-1]])[:SUSPECTS].tolist())
    if not suspects:
        return
    first: dict[str, int] = {}
    repeated: list[str] = []
    for position, record in enumerate(islice(source.records(), limit)):
        if _hash(record.id) not in suspects:
            continue
        if record.id in first:
            repeated.append(f"{record.id!r} (records {first[record.id]} and {position})")
            if len(repeated) == DUPLICATES_NAMED:
                break
        first.setdefault(record.id, position)
    if repeated:
        raise UsageError(
            f"Ids must be unique, and these are not: {', '.join(repeated)}",
            "Give every record its own id, or name another id column",
        )


def _nothing(source: Source) -> str:
    described = source.describe()
    where = f"The {described.get('kind', 'source')} {described.get('path', '')}".strip()
    ignored = [f"{count} {suffix}" for suffix, count in source.notes().get("ignored", {}).items()]
    broken = [f"; {error}" for error in source.errors()[:ERRORS_NAMED]]
    passed = f"; ignored there: {', '.join(ignored)}" if ignored else ""
    return f"{where} holds no records{passed}{''.join(broken)}"

"""A record, and what every source of records promises."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from embedders.errors import BadInput, UsageError
from pipelines.records.damage import SourceError

__all__ = ["Record", "Source", "portable", "valid_id"]


@dataclass(frozen=True)
class Record:
    """One thing to embed: an id that is unique in its source, and named raw inputs.

    A field's value is a ``str``, ``bytes``, a ``Path``, a :class:`~pipelines.records.member.Member` of an archive
    or decoded media; ``None`` and a missing name both mean that the field is absent. With a ``problem`` (a broken
    line of a table) the record is kept, so that nothing is lost, and every cell of it gets the problem's status.
    """

    id: str
    fields: Mapping[str, Any]
    problem: BadInput | None = None


class Source(Protocol):
    """Where records come from. Re-iterable: every pass yields equal records in the same order."""

    @property
    def root(self) -> Path | None:
        """The folder that relative paths in fields are under; None: as the process sees them."""

    def records(self) -> Iterator[Record]:
        """One pass over everything, holding no more than it must.

        Where the source itself is broken, so that what follows belongs to no record, the records before are
        kept and the rest is one of :meth:`errors`. Raises UsageError for what should not be run at all.
        """

    def fields(self) -> tuple[str, ...]:
        """Names of the fields that records can have, known before the first record is read."""

    def describe(self) -> dict[str, Any]:
        """Kind, path and options as plain JSON: enough to say in a run's file what was embedded."""

    def notes(self) -> dict[str, Any]:
        """What was passed over on purpose, counted, as plain JSON; empty when nothing was."""

    def errors(self) -> list[SourceError]:
        """What could not be read and belongs to no record, as far as passes over the records have come."""


def valid_id(value: Any, where: str, cure: str) -> str:
    """The id of one record: a string as it stands (``" 1"`` is not ``"1"``), whole numbers in decimal.

    Anything else would make ids that change with the tool that wrote them (1 or 1.0), or that cannot be stored;
    it raises UsageError naming ``where``.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if value is None or value == "":
        raise UsageError(f"{where}: the id is missing or empty; every record needs one", cure)
    if not isinstance(value, str):
        raise UsageError(f"{where}: the id {value!r} is neither a string nor a whole number", cure)
    try:
        value.encode()
    except UnicodeEncodeError:
        raise UsageError(f"{where}: the id {value!r} cannot be written as UTF-8", cure) from None
    return value


def portable(name: str) -> str:
    """A file's name as a string that every store accepts, whatever bytes the file system holds.

    A name in UTF-8 is left alone. In any other, undecodable bytes are percent-escaped, and ``%`` itself too, so
    that two such names never meet. The bytes decide, not the locale of the process.
    """
    if name.isascii():
        return name
    raw = os.fsencode(name)
    try:
        return raw.decode()
    except UnicodeDecodeError:
        decoded = raw.replace(b"%", b"%25").decode(errors="surrogateescape")
        return "".join(f"%{ord(c) - 0xDC00:02X}" if "\udc80" <= c <= "\udcff" else c for c in decoded)

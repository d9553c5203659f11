"""Python objects as a source: dictionaries, in a list or made on demand."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property
from typing import Any

from embedders.errors import UsageError
from pipelines.records.damage import SourceError
from pipelines.records.record import Record, valid_id

__all__ = ["IterableSource"]


class IterableSource:
    """Dictionaries, one per record, or Record objects.

    Records are read several times: once for the names of fields, once to plan, once to embed. A list is; a
    function without arguments is called for a fresh iterator each time, which is how records can be made on
    demand; what can be read only once (a generator) is put into a list first, media and all.

    Ids come from the key ``id_key``; where no record has it, from the record's position, counted from 0
    (``00000017``). All other keys are fields. Paths are as the process sees them.
    """

    root = None

    def __init__(self, records: Iterable[Any] | Callable[[], Iterable[Any]], id_key: str = "id") -> None:
        self.kind = type(records).__name__
        self.id_key = id_key
        if not callable(records) and iter(records) is records:
            records = list(records)
        self._given = records

    def records(self) -> Iterator[Record]:
        """One record per dictionary; raises UsageError for anything else among them, and for a missing id."""
        identified = self._survey[1]
        for position, given in enumerate(self._objects()):
            if isinstance(given, Record):
                yield given
                continue
            identifier = given.get(self.id_key) if identified else f"{position:08d}"
            if type(identifier) is not str or not identifier.isascii() or not identifier:
                cure = f"Give every record its own {self.id_key!r}, or none"
                identifier = valid_id(identifier, f"Record {position}", cure)
            yield Record(identifier, {name: value for name, value in given.items() if name != self.id_key})

    def fields(self) -> tuple[str, ...]:
        """All keys of all records but the id, in the order they appear; goes through the records once."""
        return self._survey[0]

    def describe(self) -> dict[str, Any]:
        """Kind, the type that was given and the key of ids."""
        return {"kind": "python", "type": self.kind, "id_key": self.id_key}

    def notes(self) -> dict[str, Any]:
        """Nothing: every object is a record."""
        return {}

    def errors(self) -> list[SourceError]:
        """None: objects are there or not."""
        return []

    @cached_property
    def _survey(self) -> tuple[tuple[str, ...], bool]:
        names: dict[str, None] = {}
        known: set[str] = set()
        identified = False
        for position, given in enumerate(self._objects()):
            if isinstance(given, Record):
                names.update(dict.fromkeys(given.fields))
            elif type(given) is dict and given.keys() <= known:
                continue  # nothing new, as nearly always
            elif isinstance(given, Mapping):
                wrong = [name for name in given if not isinstance(name, str)]
                if wrong:
                    raise UsageError(f"Record {position}: the field {wrong[0]!r} is not named by a str")
                identified = identified or self.id_key in given
                names.update(dict.fromkeys(name for name in given if name != self.id_key))
                known.update(given)
            else:
                raise UsageError(
                    f"Record {position} is a {type(given).__name__}",
                    "A record is a dict of fields: {'id': 'bells', 'caption': 'two red bells'}",
                )
        return tuple(names), identified

    def _objects(self) -> Iterable[Any]:
        return self._given() if callable(self._given) else self._given

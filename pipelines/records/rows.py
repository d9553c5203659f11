"""What the formats of tables have in common: names, and numbered rows."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, NamedTuple, Protocol

from embedders.errors import BadInput

__all__ = ["Row", "Rows", "first_repeated"]


class Row(NamedTuple):
    """One row: its number in the file, counted from 1, its values by column, and why it is unusable, if it is."""

    number: int
    values: Mapping[str, Any]
    problem: BadInput | None = None


class Rows(Protocol):
    """One format: reads a file as often as asked, and holds a bounded part of it."""

    unit: str
    """What ``Row.number`` counts: ``line`` or ``row``."""

    def names(self) -> tuple[str, ...]:
        """All columns; raises UsageError where there are none, or one has no name of its own."""

    def rows(self, columns: Collection[str]) -> Iterator[Row]:
        """All rows, with at least the values of ``columns``.

        Raises Damaged where what follows belongs to no row, UsageError for what no row should be made of.
        """


def first_repeated(names: Iterable[str]) -> str | None:
    """The first name that was there before; None where all are different."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    return None

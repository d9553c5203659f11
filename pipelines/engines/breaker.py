"""When failed rows say that something is wrong with the run itself: it stops, and what is committed stays."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from embedders import Status, TooManyFailures, UsageError
from pipelines.vectors import Cells, ColumnInfo

__all__ = ["Breaker", "failure_limit"]

IN_A_ROW = 100
"""Failures of one column without a success between them that stop a run; Energon stops at as many."""

SHARE = 0.5
AFTER = 500
"""The share of a column's failures that stops a run, and the cells after which a share says something."""

NOT_GIVEN = frozenset({Status.ABSENT.value, Status.EMPTY.value})
"""What never was there cannot fail: such cells count neither way."""

ANY = "any"


def failure_limit(value: float | str | None) -> float | None:
    """What a user says about failures, as a number: a count (``20``), a share (``0.1``), or infinity for ``any``.

    None keeps the defaults of :class:`Breaker`. Raises UsageError for anything else.
    """
    if value is None:
        return None
    try:
        if isinstance(value, bool) or value == ANY:
            raise ValueError
        number = float(value)
    except ValueError:
        if value == ANY:
            return math.inf
        number = math.nan
    if not (0 <= number < 1 or (number >= 1 and number == int(number))):
        raise UsageError(f"The failure limit is {value!r}", "Give a count (20), a share below 1 (0.1) or 'any'")
    return number


class Breaker:
    """Counts the cells of a run in the order of commits.

    Without a limit of the user's, 100 failures of one column in a row stop it, or more than half of 500 and more
    cells of a column. A count stops it at the first failed cell beyond, a share at any column beyond it after 500
    cells.
    """

    def __init__(self, columns: Sequence[ColumnInfo], limit: float | None) -> None:
        self.columns = {column.name: column for column in columns}
        self.limit = limit
        self._seen = dict.fromkeys(self.columns, 0)
        self._failed = dict.fromkeys(self.columns, 0)
        self._row = dict.fromkeys(self.columns, 0)

    def resume(self, statuses: Mapping[str, Mapping[str, int]]) -> None:
        """Take over the counts of a part that was committed before."""
        for name, counts in statuses.items():
            given = {status: count for status, count in counts.items() if status not in NOT_GIVEN}
            self._seen[name] += sum(given.values())
            self._failed[name] += sum(given.values()) - given.get(Status.OK.value, 0)

    @staticmethod
    def failed(statuses: Mapping[str, Mapping[str, int]]) -> int:
        """Failed cells of a part, empty ones among them: as progress counts them."""
        return sum(n for counts in statuses.values() for status, n in counts.items() if Status(status).failed)

    def count(self, name: str, cells: Cells) -> None:
        """Count a part's cells of one column; raises TooManyFailures where it is the last one."""
        for status, error in zip(cells.status, cells.error, strict=True):
            if status in NOT_GIVEN:
                continue
            self._seen[name] += 1
            if status == Status.OK.value:
                self._row[name] = 0
                continue
            self._row[name] += 1
            self._failed[name] += 1
            if reason := self._reason(name):
                self._stop(name, reason, error)
        if reason := self._share(name):
            self._stop(name, reason, next((error for error in reversed(cells.error) if error), None))

    def _reason(self, name: str) -> str:
        if self.limit is None:
            return f"{IN_A_ROW} records in a row failed" if self._row[name] >= IN_A_ROW else ""
        failed = sum(self._failed.values())
        counted = self.limit == 0 or 1 <= self.limit < math.inf
        return f"{failed} cells failed; the limit is {self.limit:g}" if counted and failed > self.limit else ""

    def _share(self, name: str) -> str:
        share = SHARE if self.limit is None else self.limit
        seen, failed = self._seen[name], self._failed[name]
        if 0 < share < 1 and seen >= AFTER and failed > share * seen:
            return f"{failed} of {seen} records failed, more than {share:.0%}"
        return ""

    def _stop(self, name: str, reason: str, error: str | None) -> None:
        column = self.columns[name]
        runtime: Mapping[str, Any] = column.fingerprint.get("runtime", {})
        where = ", ".join(str(value) for value in (column.embedder, *runtime.values()))
        raise TooManyFailures(
            f"{reason} in column {name!r} ({where}); the last: {error or 'no reason given'}",
            "What is committed stays. See --max-failures (a count, a share, or any)",
        )

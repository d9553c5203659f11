"""When a worker that has not died is taken for dead."""

from __future__ import annotations

from dataclasses import dataclass, field

from pipelines.embedding.part import Stage
from pipelines.engines.engine import Settings
from pipelines.engines.ledger import Ledger

__all__ = ["Verdict", "Watchdog"]

START_SECONDS = 120.0
"""What an interpreter may take to its first sign of life: its packages may lie on a slow network disk."""


@dataclass(frozen=True)
class Verdict:
    """Why a worker is to be killed, and which rows are proven guilty of it."""

    why: str
    overdue: dict[int, Stage] = field(default_factory=dict)


class Watchdog:
    """Counts for how long a worker gave no sign of life, and for how long each row has been in its stage.

    What counts is the time in which the parent itself looked: a look counts two ticks at most, so that a machine
    that slept, or a container that was paused, has not made anybody late.
    """

    def __init__(self, ledger: Ledger, settings: Settings, rows: int, now: float) -> None:
        self.ledger = ledger
        self.settings = settings
        self.rows = rows
        self.tick = min(settings.beat_seconds, settings.record_seconds / 10)
        self._looked = now
        self._pulse = ledger.pulse
        self._silent = 0.0
        self._ages: dict[tuple[int, Stage], float] = {}

    def look(self, now: float) -> Verdict | None:
        """Look, unless that was done less than a tick ago; ``now`` is in seconds of a monotonic clock."""
        if now - self._looked < self.tick:
            return None
        passed = min(now - self._looked, 2 * self.tick)
        self._looked = now
        pulse = self.ledger.pulse
        self._silent = self._silent + passed if pulse == self._pulse else 0.0
        self._pulse = pulse
        # a row counts from the first look that finds it, so that no row is older than it is
        busy = self.ledger.busy(self.rows).items()
        self._ages = {one: self._ages[one] + passed if one in self._ages else 0.0 for one in busy}
        patience = self.settings.silence_seconds if pulse else START_SECONDS
        if self._silent > patience:
            return Verdict(f"no sign of life for {patience:g} s")
        bounds = {Stage.OPENING: self.settings.record_seconds, Stage.FORWARD: self.settings.forward_seconds}
        late = {row: stage for (row, stage), age in self._ages.items() if age > bounds[stage]}
        if late:
            stage = min(late.values())
            work = "opening a record" if stage is Stage.OPENING else "a forward"
            return Verdict(f"{work} took longer than {bounds[stage]:g} s", late)
        return None

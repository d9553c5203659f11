"""Embed parts in a worker process that may die: what killed it twice becomes a row, and the part is done again."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from embedders import BadInput, SetupError, Status, TooManyFailures, UsageError
from pipelines.embedding import Column, Embedded
from pipelines.embedding.part import Observer, Stage
from pipelines.engines.child import Child, Death, Died
from pipelines.engines.engine import Settings
from pipelines.engines.packing import packed_columns, packed_registry, sendable
from pipelines.records import Record
from pipelines.vectors import ColumnInfo

__all__ = ["WorkerEngine"]

DEATHS = 5
"""Deaths in a row that taught nothing, after which the run is stopped: the machine is at fault, not a record."""

ALL_SUSPECT = 3
"""Deaths of one part after which every record of it is tried alone: a heap may break long after it was hurt."""


class WorkerEngine:
    """An engine in a process of its own: started when first needed, replaced when it dies.

    The records it was busy with when it died are *tasted*, each alone. One that kills its worker again gets the
    status ``crashed`` in all its cells, one whose opening or forward takes longer than the settings allow
    ``timeout``; then the part is embedded again with these rows filled, so that all others are what they would
    be without them. Raises TooManyFailures where workers die and no record is to blame.
    """

    def __init__(self, columns: Sequence[Column], settings: Settings) -> None:
        root = None if settings.root is None else Path(os.path.abspath(settings.root))
        self.columns = tuple(columns)
        self.settings = replace(settings, root=root)
        self.started = 0
        self._packed = packed_columns(self.columns), packed_registry()
        self._hands = ThreadPoolExecutor(1, thread_name_prefix="worker")
        self._child: Child | None = None
        self._fruitless = 0
        self._closed = False

    @property
    def pid(self) -> int | None:
        """The process id of the worker, if there is one."""
        return None if self._child is None else self._child.pid

    def describe(self) -> list[ColumnInfo]:
        """See :class:`~pipelines.engines.engine.Engine`; later workers get the runtimes that this one found."""
        found, device = self._asked_at_start("describe")
        held = {column.name: column.fingerprint["runtime"] for column in found}
        self.settings = replace(self.settings, device=device, held=held)
        return cast("list[ColumnInfo]", found)

    def load(self) -> None:
        """See :class:`~pipelines.engines.engine.Engine`."""
        self._asked_at_start("load")

    def embed(self, records: Sequence[Record], observe: Observer = lambda done, failed: None) -> Embedded:
        """See :class:`~pipelines.engines.engine.Engine`."""
        records, notes, fruitless = sendable(records), [], 0
        while True:
            try:
                found = self._attempt(records, observe)
                break
            except Died as died:
                death = died.death
            self._count(death)
            suspects = sorted(death.busy) if fruitless < ALL_SUSPECT else range(len(records))
            poison = self._poison(records, suspects, death)
            if poison:
                self._fruitless = 0
            fruitless += not poison
            guilty = ", ".join(repr(records[row].id) for row in poison) or "no record was to blame"
            notes.append(f"A worker process was replaced ({death}): {guilty}")
            records = [replace(r, problem=poison.get(row, r.problem)) for row, r in enumerate(records)]
        self._fruitless = 0
        found.notes += notes
        return found

    def close(self) -> None:
        """See :class:`~pipelines.engines.engine.Engine`."""
        self._closed = True
        if self._child is not None:
            self._child.close()
        self._hands.shutdown()

    def _attempt(self, records: Sequence[Record], observe: Observer) -> Embedded:
        """Embed them once; what was observed is taken back if the worker dies."""
        done = failed = 0

        def count(more: int, bad: int) -> None:
            nonlocal done, failed
            done, failed = done + more, failed + bad
            observe(more, bad)

        try:
            found: Embedded = self._ready().ask(("embed", records), len(records), count)
        except Died:
            observe(-done, -failed)
            raise
        return found

    def _poison(self, records: Sequence[Record], suspects: Sequence[int], death: Death) -> dict[int, BadInput]:
        """Which of them must not be given to a worker again, and why."""
        found = {row: self._late(stage) for row, stage in death.overdue.items() if _alone(death, stage)}
        if found:  # proven; the others were only near
            return found
        for row in suspects:
            problem = None if records[row].problem else self._taste(records[row])
            if problem is not None:
                found[row] = problem
        return found

    def _taste(self, record: Record) -> BadInput | None:
        chances = 1
        while True:
            try:
                self._ready()
            except Died as died:
                self._count(died.death)
                continue
            try:
                self._attempt([record], lambda done, failed: None)
                return None
            except Died as died:
                death = died.death
            if death.overdue:
                return self._late(death.overdue[0])
            if not death.from_outside or (death.busy and not chances):
                return BadInput(Status.CRASHED, "WORKER_DIED", f"the worker process died on it, alone: {death}")
            # SIGKILL comes from an operator too, or from a kernel that had to choose: once may be chance
            chances -= bool(death.busy)
            self._count(death)

    def _late(self, stage: Stage) -> BadInput:
        if stage is Stage.OPENING:
            seconds = self.settings.record_seconds
            return BadInput(Status.TIMEOUT, "RECORD_SECONDS", f"opening it took longer than {seconds:g} s")
        seconds = self.settings.forward_seconds
        return BadInput(Status.TIMEOUT, "FORWARD_SECONDS", f"its forward took longer than {seconds:g} s")

    def _count(self, death: Death) -> None:
        """Count a death until one of them teaches something; raise TooManyFailures where none does."""
        self._fruitless += 1
        if self._fruitless >= DEATHS:
            raise TooManyFailures(
                f"{DEATHS} worker processes died in a row, and no record is to blame; the last: {death}",
                "What is committed stays. See whether the machine runs out of memory, or run without workers",
            )

    def _ready(self) -> Child:
        """A worker with its weights loaded; raises Died where it could not even load them."""
        if self._child is None or self._child.dead:
            self._begin().ask(("load",))
        assert self._child is not None
        return self._child

    def _begin(self) -> Child:
        if self._closed:
            raise UsageError("This engine is closed", "Make a new one")
        self.started += 1
        try:
            self._child = Child(self.settings, self._hands)
        except OSError as error:
            raise SetupError(
                f"A worker process cannot be started: {error}",
                "See the limits on open files, processes and file size (ulimit -n, -u, -f), or run without workers",
            ) from error
        self._child.ask(("begin", self.settings, *self._packed))
        return self._child

    def _asked_at_start(self, request: str, chances: int = 1) -> Any:
        child = None if self._child is None or self._child.dead else self._child
        try:
            return (child or self._begin()).ask((request,))
        except Died as died:
            if chances and died.death.from_outside:
                return self._asked_at_start(request, chances - 1)
            raise SetupError(
                f"The worker process died before the first record: {died.death}",
                "See whether there is enough memory for the weights, or run without workers",
            ) from died


def _alone(death: Death, stage: Stage) -> bool:
    """Whether lateness proves guilt: records are opened one by one, but many share a forward."""
    return stage is Stage.OPENING or len([s for s in death.busy.values() if s is stage]) == 1

"""Run a plan's parts on one or several engines, commit each as it is done, and stop where going on is no use."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from embedders import ContractError
from pipelines.embedding import Embedded
from pipelines.engines.breaker import Breaker, failure_limit
from pipelines.engines.engine import Engine
from pipelines.records import Plan, Record, Source
from pipelines.records.plan import Part
from pipelines.vectors import Cells, ColumnInfo

if TYPE_CHECKING:
    from pipelines.vectors import Writer

__all__ = ["Progress", "failure_limit", "run_parts"]

NOTES_KEPT = 100
"""Notes of a run that are kept: an embedder that misbehaves does so in every part."""


@dataclass
class Progress:
    """How far a run is; handed to its observer whenever cells are done."""

    rows: int
    cells: int
    """Rows times columns: the unit in which work is counted."""
    parts: int
    cells_done: int = 0
    cells_failed: int = 0
    parts_done: int = 0
    cells_before: int = 0
    """Cells of parts that were committed before this run began; they count as done, not as work."""
    seconds: dict[str, float] = field(default_factory=dict)
    """Per stage, so far: ``decode_wait``, ``write`` and one entry per column's forward."""
    notes: list[str] = field(default_factory=list)
    """What the user should hear of; every note once."""
    usage: dict[str, int] = field(default_factory=dict)
    """What services counted, by column and kind."""
    stopped: bool = False
    """True where ``stop`` ended the run before its last part; the set is then resumable and not finished."""


def run_parts(
    plan: Plan,
    source: Source,
    engines: Engine | Sequence[Engine],
    writer: Writer,
    observe: Callable[[Progress], None] = lambda progress: None,
    *,
    stop: Callable[[], bool] = lambda: False,
    max_failures: float | str | None = None,
) -> Progress:
    """Embed and commit every part that is not committed yet, then finish the set.

    Several engines take parts as they become free, each in a thread of its own. ``stop`` is asked before every
    part; what is in work is then still committed. ``max_failures`` is read by
    :func:`~pipelines.engines.breaker.failure_limit`; the part that crosses it is not committed, so that it is done
    again once the reason is gone. Raises TooManyFailures, StorageError, ContractError, SetupError, and UsageError
    for a source that changed; what is committed stays.
    """
    several = list(engines) if isinstance(engines, Sequence) else [engines]
    run = _Run(plan, source, writer, observe, stop, Breaker(writer.schema.columns, failure_limit(max_failures)))
    if len(several) == 1:
        run.work(several[0])
    else:
        _together(run, several)
    if not run.progress.stopped:
        writer.finish([error.to_json() for error in plan.source_errors])
    return run.progress


class _Run:
    """One run, shared by the threads that work on it: they read, count and commit one at a time."""

    def __init__(
        self,
        plan: Plan,
        source: Source,
        writer: Writer,
        observe: Callable[[Progress], None],
        stop: Callable[[], bool],
        breaker: Breaker,
    ) -> None:
        self.writer = writer
        self.observe = observe
        self.stop = stop
        self.breaker = breaker
        self.columns = {column.name: column for column in writer.schema.columns}
        self.progress = Progress(plan.rows, plan.rows * len(self.columns), len(plan.parts))
        self.given_up = False
        self._reading, self._counting, self._writing = threading.Lock(), threading.Lock(), threading.Lock()
        self._parts = plan.read(source)
        self._before = frozenset(writer.commits)
        self._left = len(plan.parts) - len(self._before)
        for part in plan.parts:
            if part.index in self._before:
                self._resume(part, writer.commits[part.index].statuses)

    def work(self, engine: Engine) -> None:
        """Embed and commit parts until none is left: one is committed while the next is embedded."""
        with ThreadPoolExecutor(1, thread_name_prefix="commit") as thread:
            committed: Future[None] | None = None
            for part, records in self._next_parts():
                embedded = engine.embed(records, self._advance)
                self._examine(part, records, embedded)
                if committed is not None:
                    committed.result()
                committed = thread.submit(self._commit, part, embedded)
            if committed is not None:
                committed.result()

    def _next_parts(self) -> Iterator[tuple[Part, list[Record]]]:
        while True:
            with self._reading:
                if self.given_up or not self._left:
                    return
                if self.stop():
                    self.progress.stopped = True
                    return
                self._left -= 1
                found = next(one for one in self._parts if one[0].index not in self._before)
            yield found

    def _resume(self, part: Part, statuses: Mapping[str, Mapping[str, int]]) -> None:
        self.breaker.resume(statuses)
        progress, cells = self.progress, part.rows * len(self.columns)
        progress.cells_before += cells
        progress.cells_done += cells
        progress.cells_failed += self.breaker.failed(statuses)
        progress.parts_done += 1

    def _advance(self, done: int, failed: int) -> None:
        with self._counting:
            self.progress.cells_done += done
            self.progress.cells_failed += failed
            self.observe(self.progress)

    def _examine(self, part: Part, records: Sequence[Record], embedded: Embedded) -> None:
        if embedded.ids != [record.id for record in records]:
            raise ContractError(f"An engine returned other rows than those of part {part.index}")
        with self._counting:
            for name, cells in embedded.cells.items():
                _fit(cells, self.columns[name])
                self.breaker.count(name, cells)

    def _commit(self, part: Part, embedded: Embedded) -> None:
        with self._writing:
            began = time.perf_counter()
            table = self.writer.schema.table(embedded.ids, embedded.fields, embedded.cells)
            self.writer.commit(part.index, table, embedded.seconds)
            embedded.seconds["write"] = time.perf_counter() - began
        with self._counting:
            self._count(embedded)

    def _count(self, embedded: Embedded) -> None:
        progress = self.progress
        progress.notes += [note for note in dict.fromkeys(embedded.notes) if note not in progress.notes]
        del progress.notes[NOTES_KEPT:]
        for name, count in embedded.usage.items():
            progress.usage[name] = progress.usage.get(name, 0) + count
        for stage, seconds in embedded.seconds.items():
            progress.seconds[stage] = progress.seconds.get(stage, 0.0) + seconds
        progress.parts_done += 1
        self.observe(progress)


def _together(run: _Run, engines: Sequence[Engine]) -> None:
    with ThreadPoolExecutor(len(engines), thread_name_prefix="engine") as threads:
        futures = [threads.submit(run.work, engine) for engine in engines]
        try:
            done, _ = wait(futures, return_when=FIRST_EXCEPTION)
            run.given_up = any(future.exception() is not None for future in done)
        except BaseException:  # an interrupt: nobody waits for parts in work
            run.given_up = True
            for engine in engines:
                engine.close()
            raise
    for future in futures:
        future.result()


def _fit(cells: Cells, column: ColumnInfo) -> None:
    """Give a vector that half precision cannot hold its reason instead of infinities."""
    largest = np.finfo(column.dtype).max
    with np.errstate(invalid="ignore"):
        over = np.flatnonzero((np.abs(cells.vectors) > largest).any(axis=1))
    for row in over.tolist():
        cells.vectors[row] = np.nan
        cells.status[row] = "nonfinite"
        cells.error[row] = f"OVERFLOW: a value is beyond what {column.dtype} holds ({largest:g})"

"""Embed one part: decode and prepare in threads, batch by cost, forward, and put every row where it belongs."""

from __future__ import annotations

import enum
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from embedders import BadInput, Limits, Status
from embedders.batching import Pool
from embedders.redaction import redacted
from embedders.remote import Policy
from pipelines.embedding.ahead import work_ahead
from pipelines.embedding.columns import Column
from pipelines.embedding.forward import ColumnForward, Row
from pipelines.embedding.memory import FreeMemory
from pipelines.embedding.opening import Opened, OpenedCell, open_record
from pipelines.records import Record
from pipelines.vectors import Cells

__all__ = ["Embedded", "Mark", "Observer", "PartEmbedder", "Stage"]

MESSAGE_LENGTH = 300
"""Longer error messages are cut: they are read in a terminal, and one may quote a whole file."""

AHEAD_RECORDS = 64
"""Records opened ahead of the forward: enough that a batch is ready when the last one is done."""

AHEAD_BATCHES = 4
"""Batches' worth of samples, per column, that may wait: what bounds memory where single inputs are huge."""

Observer = Callable[[int, int], None]
"""Called with (cells done, of them failed) whenever some are."""


class Stage(enum.IntEnum):
    """What is being done with a row at this moment: whoever watches a part knows what to suspect when it dies."""

    RESTING = 0
    OPENING = 1
    FORWARD = 2


Mark = Callable[[Sequence[int], Stage], None]
"""Called with positions in the part when they enter a stage; from any thread, never twice at once for a row."""


@dataclass
class Embedded:
    """The rows of a part, ready to be stored, and where its time went in seconds."""

    ids: list[str]
    fields: dict[str, tuple[list[str | None], list[str | None]]]
    cells: dict[str, Cells]
    seconds: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    """What the user should hear of, though every row is as it should be: batches made smaller, workers replaced."""
    usage: dict[str, int] = field(default_factory=dict)
    """What a service counted, by column and kind: ``caption_openai tokens``."""


class PartEmbedder:
    """Embeds parts on one device: everything that stays the same from part to part.

    A part's result depends on its records and these settings alone, never on other parts or on timing. Memory is
    bounded by a few records per thread and a pool of batches per column, whatever the part's size.
    """

    def __init__(
        self,
        columns: Sequence[Column],
        threads: ThreadPoolExecutor,
        *,
        root: Path | None = None,
        limits: Limits | None = None,
        urls: Policy | None = None,
        batch_size: int | None = None,
        mark: Mark = lambda rows, stage: None,
    ) -> None:
        self.columns = columns
        self.threads = threads
        self.root = root
        self.limits = limits or Limits()
        self.urls = urls
        self.batch_size = batch_size
        self.mark = mark
        self.memory = FreeMemory()
        self._usage: dict[str, int] = {}
        self.forwards = {column.name: ColumnForward(column) for column in columns}
        self.lanes = max(column.runtime.lanes for column in columns)
        # a single lane is the caller's own thread: strangers' code may want the main one
        self.forwarding = ThreadPoolExecutor(self.lanes, "forward") if self.lanes > 1 else None
        self.budgets = {c.name: c.runtime.budget(c.embedder.batch_cost) for c in columns}

    def load(self) -> None:
        """Load all weights now, so that what is missing is said before anything is written."""
        for column in self.columns:
            column.embedder.forward(column.runtime)

    def close(self) -> None:
        """Give up the threads that run forwards; what they have in work is not cut short."""
        if self.forwarding is not None:
            self.forwarding.shutdown(wait=False, cancel_futures=True)

    def embed(self, records: Sequence[Record], observe: Observer = lambda done, failed: None) -> Embedded:
        """One row per record, in their order, whatever becomes of them.

        Raises ContractError for an embedder that is broken rather than an input that is bad, and SetupError for a
        device that is lost.
        """
        return self.forwarded(records, self.opened(records), observe)

    def forwarded(
        self,
        records: Sequence[Record],
        opened_records: Iterator[Opened],
        observe: Observer = lambda done, failed: None,
    ) -> Embedded:
        """The second half of :meth:`embed`: rows of records that come opened, in their order."""
        began = time.perf_counter()
        part = _Part(self, len(records), observe)
        try:
            for row, opened in enumerate(part.timed(opened_records)):
                for column in self.columns:
                    part.take(row, column, opened.cells[column.name], opened.stored[column.field][1])
                for name, (value, checksum) in opened.stored.items():
                    values, checksums = part.fields.setdefault(name, ([], []))
                    values.append(value)
                    checksums.append(checksum)
            for column in self.columns:
                part.empty_pool(column)
            part.finish()
        finally:
            part.give_up()
        seconds = {"total": time.perf_counter() - began, "decode_wait": part.waited, **part.forward_seconds}
        notes = [note for forward in self.forwards.values() for note in forward.notes]
        for forward in self.forwards.values():
            forward.notes = []
        ids = [record.id for record in records]
        return Embedded(ids, part.fields, part.cells, seconds, notes, self._spent())

    def _spent(self) -> dict[str, int]:
        """What was spent since this was asked last."""
        total = {f"{c.name} {kind}": count for c in self.columns for kind, count in c.embedder.usage.items()}
        since = {name: count - self._usage.get(name, 0) for name, count in total.items()}
        self._usage = total
        return since

    def opened(self, records: Sequence[Record]) -> Iterator[Opened]:
        """The first half: records read, decoded and prepared in order, ahead of the forward."""

        def opened(numbered: tuple[int, Record]) -> Opened:
            row, record = numbered
            self.mark((row,), Stage.OPENING)
            found = open_record(record, self.columns, self.root, self.limits, self.urls)
            self.mark((row,), Stage.RESTING)
            return found

        def batches(found: Opened) -> float:
            return sum(cell.cost / self.budgets[name] for name, cell in found.cells.items())

        budget = AHEAD_BATCHES * len(self.columns)
        numbered = enumerate(records)
        return work_ahead(self.threads, opened, numbered, count=AHEAD_RECORDS, weigh=batches, budget=budget)


class _Part:
    """The growing result of one part."""

    def __init__(self, owner: PartEmbedder, rows: int, observe: Observer) -> None:
        self.owner = owner
        self.observe = observe
        self.waited = 0.0
        self.forward_seconds = {column.name: 0.0 for column in owner.columns}
        self.fields: dict[str, tuple[list[str | None], list[str | None]]] = {}
        self.cells = {column.name: _no_cells(rows, column.spec.dim) for column in owner.columns}
        self.pools: dict[str, Pool[tuple[int, Any, int]]] = {
            column.name: Pool(owner.budgets[column.name], owner.batch_size) for column in owner.columns
        }
        self.firsts: dict[tuple[str, str], int] = {}
        self.repeats: list[tuple[str, int, int]] = []
        self.underway: deque[tuple[Column, list[int], Future[tuple[list[Row], float]]]] = deque()

    def timed(self, opened: Iterator[Opened]) -> Iterator[Opened]:
        """The same, with the time spent on waiting for it counted, while no forward is under way."""
        while True:
            began, idle = time.perf_counter(), not self.underway
            found = next(opened, None)
            self.waited += idle * (time.perf_counter() - began)
            if found is None:
                return
            yield found

    def take(self, row: int, column: Column, cell: OpenedCell, checksum: str | None) -> None:
        self.cells[column.name].flags[row] = list(cell.flags)
        if cell.problem is not None:
            self._fail(row, column, cell.problem)
            self.observe(1, int(cell.problem.status.failed))
            return
        if checksum is not None:  # the same content gets the same vector, and so is embedded once
            first = self.firsts.setdefault((column.name, checksum), row)
            if first != row:
                self.repeats.append((column.name, row, first))
                return
        if self.pools[column.name].add((row, cell.sample, cell.cost), cell.cost):
            self.empty_pool(column)

    def empty_pool(self, column: Column) -> None:
        for batch in self.pools[column.name].batches():
            # what is handed over but not begun holds its samples
            self.collect(2 * self.owner.lanes - 1)
            numbers = [row for row, _, _ in batch]
            samples, dearest = [sample for _, sample, _ in batch], batch[0][2]
            self.underway.append((column, numbers, self._begun(column, numbers, samples, dearest)))
            self.collect(len(self.underway))

    def collect(self, left: int) -> None:
        """Put into their places the rows of what is done, and wait until at most ``left`` batches are not."""
        while self.underway and (len(self.underway) > left or self.underway[0][2].done()):
            column, numbers, future = self.underway.popleft()
            rows, seconds = future.result()
            self.forward_seconds[column.name] += seconds / self.owner.lanes
            cells, failed = self.cells[column.name], 0
            for number, row in zip(numbers, rows, strict=True):
                cells.flags[number] += row.flags
                if isinstance(row.found, BadInput):
                    self._fail(number, column, row.found)
                    failed += 1
                else:
                    cells.vectors[number] = row.found
                    cells.status[number] = Status.OK.value
            self.observe(len(numbers), failed)
            self.owner.memory.give_back()

    def finish(self) -> None:
        """Wait for all that is under way, and give repeated inputs what became of their first."""
        self.collect(0)
        for name, row, first in self.repeats:
            cells = self.cells[name]
            cells.vectors[row] = cells.vectors[first]
            cells.status[row], cells.error[row] = cells.status[first], cells.error[first]
            cells.flags[row] = list(cells.flags[first])
            self.observe(1, int(Status(cells.status[row]).failed))

    def give_up(self) -> None:
        """Let nothing begin any more, and wait for what has: the next part must not meet it."""
        for _, _, future in self.underway:
            future.cancel()
        wait([future for _, _, future in self.underway])

    def _begun(
        self, column: Column, numbers: list[int], samples: list[Any], dearest: int
    ) -> Future[tuple[list[Row], float]]:
        if self.owner.forwarding is not None:
            return self.owner.forwarding.submit(self._forward, column, numbers, samples, dearest)
        done: Future[tuple[list[Row], float]] = Future()
        done.set_result(self._forward(column, numbers, samples, dearest))
        return done

    def _forward(
        self, column: Column, numbers: list[int], samples: list[Any], dearest: int
    ) -> tuple[list[Row], float]:
        began = time.perf_counter()
        self.owner.mark(numbers, Stage.FORWARD)
        rows = self.owner.forwards[column.name](samples, dearest)
        self.owner.mark(numbers, Stage.RESTING)
        return rows, time.perf_counter() - began

    def _fail(self, row: int, column: Column, problem: BadInput) -> None:
        cells = self.cells[column.name]
        cells.status[row] = problem.status.value
        if problem.status is not Status.ABSENT:
            cells.error[row] = _message(problem)


def _no_cells(rows: int, dim: int) -> Cells:
    vectors = np.full((rows, dim), np.nan, np.float32)
    return Cells(vectors, [""] * rows, [None] * rows, [[] for _ in range(rows)])


def _message(problem: BadInput) -> str:
    text = "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in redacted(str(problem)))
    text = text.encode("utf-8", "backslashreplace").decode()
    return f"{problem.code}: {text}"[:MESSAGE_LENGTH]

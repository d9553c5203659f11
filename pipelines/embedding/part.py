"""Embed one part: decode and prepare in threads, batch by cost, forward, and put every row where it belongs."""

from __future__ import annotations

import enum
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from embedders import BadInput, Limits, Runtime, Status
from embedders.batching import Pool
from embedders.redaction import redacted
from embedders.remote import Policy
from pipelines.embedding.ahead import work_ahead
from pipelines.embedding.columns import Column
from pipelines.embedding.forward import ColumnForward
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


class PartEmbedder:
    """Embeds parts on one device: everything that stays the same from part to part.

    A part's result depends on its records and these settings alone, never on other parts or on timing. Memory is
    bounded by a few records per thread and a pool of batches per column, whatever the part's size.
    """

    def __init__(
        self,
        columns: Sequence[Column],
        runtime: Runtime,
        threads: ThreadPoolExecutor,
        *,
        root: Path | None = None,
        limits: Limits | None = None,
        urls: Policy | None = None,
        batch_size: int | None = None,
        mark: Mark = lambda rows, stage: None,
    ) -> None:
        self.columns = columns
        self.runtime = runtime
        self.threads = threads
        self.root = root
        self.limits = limits or Limits()
        self.urls = urls
        self.batch_size = batch_size
        self.mark = mark
        self.memory = FreeMemory()
        self.forwards = {column.name: ColumnForward(column, runtime) for column in columns}

    def load(self) -> None:
        """Load all weights now, so that what is missing is said before anything is written."""
        for column in self.columns:
            column.embedder.forward(self.runtime)

    def embed(self, records: Sequence[Record], observe: Observer = lambda done, failed: None) -> Embedded:
        """One row per record, in their order, whatever becomes of them.

        Raises ContractError for an embedder that is broken rather than an input that is bad, and SetupError for a
        device that is lost.
        """
        began = time.perf_counter()
        part = _Part(self, len(records), observe)
        for row, opened in enumerate(part.timed(self._opened(records))):
            for column in self.columns:
                part.take(row, column, opened.cells[column.name])
            for name, (value, checksum) in opened.stored.items():
                values, checksums = part.fields.setdefault(name, ([], []))
                values.append(value)
                checksums.append(checksum)
        for column in self.columns:
            part.empty_pool(column)
        seconds = {"total": time.perf_counter() - began, "decode_wait": part.waited, **part.forward_seconds}
        notes = [note for forward in self.forwards.values() for note in forward.notes]
        for forward in self.forwards.values():
            forward.notes = []
        return Embedded([record.id for record in records], part.fields, part.cells, seconds, notes)

    def _opened(self, records: Sequence[Record]) -> Iterator[Opened]:
        """Records opened in order, ahead of the forward."""

        def opened(numbered: tuple[int, Record]) -> Opened:
            row, record = numbered
            self.mark((row,), Stage.OPENING)
            found = open_record(record, self.columns, self.root, self.limits, self.urls)
            self.mark((row,), Stage.RESTING)
            return found

        budgets = {column.name: column.embedder.batch_cost for column in self.columns}

        def batches(found: Opened) -> float:
            return sum(cell.cost / budgets[name] for name, cell in found.cells.items())

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
            column.name: Pool(column.embedder.batch_cost, owner.batch_size) for column in owner.columns
        }

    def timed(self, opened: Iterator[Opened]) -> Iterator[Opened]:
        """The same, with the time spent on waiting for it counted."""
        while True:
            began = time.perf_counter()
            found = next(opened, None)
            self.waited += time.perf_counter() - began
            if found is None:
                return
            yield found

    def take(self, row: int, column: Column, cell: OpenedCell) -> None:
        self.cells[column.name].flags[row] = list(cell.flags)
        if cell.problem is not None:
            self._fail(row, column, cell.problem)
            self.observe(1, int(cell.problem.status.failed))
        elif self.pools[column.name].add((row, cell.sample, cell.cost), cell.cost):
            self.empty_pool(column)

    def empty_pool(self, column: Column) -> None:
        for batch in self.pools[column.name].batches():
            numbers = [row for row, _, _ in batch]
            began = time.perf_counter()
            self.owner.mark(numbers, Stage.FORWARD)
            rows = self.owner.forwards[column.name]([sample for _, sample, _ in batch], batch[0][2])
            self.owner.mark(numbers, Stage.RESTING)
            self.forward_seconds[column.name] += time.perf_counter() - began
            cells, failed = self.cells[column.name], 0
            for number, row in zip(numbers, rows, strict=True):
                cells.flags[number] += row.flags
                if isinstance(row.found, BadInput):
                    self._fail(number, column, row.found)
                    failed += 1
                else:
                    cells.vectors[number] = row.found
                    cells.status[number] = Status.OK.value
            self.observe(len(batch), failed)
            self.owner.memory.give_back()

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

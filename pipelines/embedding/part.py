"""Embed one part: decode and prepare in threads, batch by cost, forward, and put every row where it belongs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from embedders import BadInput, ContractError, EmbedError, Limits, Runtime, Status
from embedders.base import check_rows, row_failures
from embedders.batching import Pool
from embedders.modality import PROGRAMMING_ERRORS
from pipelines.embedding.ahead import work_ahead
from pipelines.embedding.columns import Column
from pipelines.embedding.memory import FreeMemory
from pipelines.embedding.opening import Opened, OpenedCell, open_record
from pipelines.records import Record
from pipelines.vectors import Cells

__all__ = ["Embedded", "PartEmbedder"]

MESSAGE_LENGTH = 300
"""Longer error messages are cut: they are read in a terminal, and one may quote a whole file."""

AHEAD_RECORDS = 64
"""Records opened ahead of the forward: enough that a batch is ready when the last one is done."""

AHEAD_BATCHES = 4
"""Batches' worth of samples, per column, that may wait: what bounds memory where single inputs are huge."""

Observer = Callable[[int, int], None]
"""Called with (cells done, of them failed) whenever some are."""


@dataclass
class Embedded:
    """The rows of a part, ready to be stored, and where its time went in seconds."""

    ids: list[str]
    fields: dict[str, tuple[list[str | None], list[str | None]]]
    cells: dict[str, Cells]
    seconds: dict[str, float] = field(default_factory=dict)


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
        batch_size: int | None = None,
    ) -> None:
        self.columns = columns
        self.runtime = runtime
        self.threads = threads
        self.root = root
        self.limits = limits or Limits()
        self.batch_size = batch_size
        self.memory = FreeMemory()

    def load(self) -> None:
        """Load all weights now, so that what is missing is said before anything is written."""
        for column in self.columns:
            column.embedder.forward(self.runtime)

    def embed(self, records: Sequence[Record], observe: Observer = lambda done, failed: None) -> Embedded:
        """One row per record, in their order, whatever becomes of them.

        Raises ContractError for an embedder that is broken rather than an input that is bad.
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
        return Embedded([record.id for record in records], part.fields, part.cells, seconds)

    def _opened(self, records: Sequence[Record]) -> Iterator[Opened]:
        """Records opened in order, ahead of the forward."""

        def opened(record: Record) -> Opened:
            return open_record(record, self.columns, self.root, self.limits)

        budgets = {column.name: column.embedder.batch_cost for column in self.columns}

        def batches(found: Opened) -> float:
            return sum(cell.cost / budgets[name] for name, cell in found.cells.items())

        budget = AHEAD_BATCHES * len(self.columns)
        return work_ahead(self.threads, opened, records, count=AHEAD_RECORDS, weigh=batches, budget=budget)


class _Part:
    """The growing result of one part."""

    def __init__(self, owner: PartEmbedder, rows: int, observe: Observer) -> None:
        self.owner = owner
        self.observe = observe
        self.waited = 0.0
        self.forward_seconds = {column.name: 0.0 for column in owner.columns}
        self.fields: dict[str, tuple[list[str | None], list[str | None]]] = {}
        self.cells = {column.name: _no_cells(rows, column.spec.dim) for column in owner.columns}
        self.pools: dict[str, Pool[tuple[int, Any]]] = {
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
        elif self.pools[column.name].add((row, cell.sample), cell.cost):
            self.empty_pool(column)

    def empty_pool(self, column: Column) -> None:
        for batch in self.pools[column.name].batches():
            began = time.perf_counter()
            found = _forward(column, self.owner.runtime, [sample for _, sample in batch])
            self.forward_seconds[column.name] += time.perf_counter() - began
            cells, failed = self.cells[column.name], 0
            for (row, _), vector in zip(batch, found, strict=True):
                if isinstance(vector, BadInput):
                    self._fail(row, column, vector)
                    failed += 1
                else:
                    cells.vectors[row] = vector
                    cells.status[row] = Status.OK.value
            self.observe(len(batch), failed)
            self.owner.memory.give_back()

    def _fail(self, row: int, column: Column, problem: BadInput) -> None:
        cells = self.cells[column.name]
        cells.status[row] = problem.status.value
        if problem.status is not Status.ABSENT:
            cells.error[row] = _message(problem)


def _forward(column: Column, runtime: Runtime, samples: list[Any]) -> list[Any]:
    """A vector or a BadInput per sample; a batch that raises is halved until the culprit stands alone."""
    embedder = column.embedder
    try:
        found = embedder.forward(runtime)(embedder.collate(samples))
        vectors = check_rows(found, len(samples), column.spec)
    except EmbedError:
        raise
    except PROGRAMMING_ERRORS as error:
        raise ContractError(f"{column.reference} failed: {type(error).__name__}: {error}") from error
    except Exception as error:
        problem = BadInput(Status.MODEL_ERROR, "FORWARD", f"{type(error).__name__}: {error}")
    else:
        failures = row_failures(vectors, column.spec)
        return [failures.get(position, vector) for position, vector in enumerate(vectors)]
    # outside of the handler, whose exception would keep the failed batch's tensors alive
    if len(samples) == 1:
        return [problem]
    half = len(samples) // 2
    return _forward(column, runtime, samples[:half]) + _forward(column, runtime, samples[half:])


def _no_cells(rows: int, dim: int) -> Cells:
    vectors = np.full((rows, dim), np.nan, np.float32)
    return Cells(vectors, [""] * rows, [None] * rows, [[] for _ in range(rows)])


def _message(problem: BadInput) -> str:
    text = "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in str(problem))
    text = text.encode("utf-8", "backslashreplace").decode()
    return f"{problem.code}: {text}"[:MESSAGE_LENGTH]

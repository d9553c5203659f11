"""Run a plan's parts one after the other, in this process, and commit each as it is done."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from pipelines.embedding import PartEmbedder
from pipelines.records import Plan, Source
from pipelines.vectors import Writer

__all__ = ["Progress", "run_parts"]


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
    seconds: dict[str, float] = field(default_factory=dict)
    """Per stage, so far: ``decode_wait``, ``write`` and one entry per column's forward."""


def run_parts(
    plan: Plan,
    source: Source,
    embedder: PartEmbedder,
    writer: Writer,
    observe: Callable[[Progress], None] = lambda progress: None,
) -> Progress:
    """Embed and commit every part of the plan, then finish the set."""
    progress = Progress(plan.rows, plan.rows * len(embedder.columns), len(plan.parts))

    def advance(done: int, failed: int) -> None:
        progress.cells_done += done
        progress.cells_failed += failed
        observe(progress)

    for part, records in plan.read(source):
        embedded = embedder.embed(records, advance)
        began = time.perf_counter()
        table = writer.schema.table(embedded.ids, embedded.fields, embedded.cells)
        writer.commit(part.index, table, embedded.seconds)
        embedded.seconds["write"] = time.perf_counter() - began
        for stage, seconds in embedded.seconds.items():
            progress.seconds[stage] = progress.seconds.get(stage, 0.0) + seconds
        progress.parts_done += 1
        observe(progress)
    writer.finish()
    return progress

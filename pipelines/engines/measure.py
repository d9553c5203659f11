"""How fast the user's own inputs become vectors on this machine, stage by stage, and what holds them up."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pipelines.embedding import Column, Embedded, PartEmbedder
from pipelines.embedding.opening import Opened
from pipelines.engines.engine import Settings
from pipelines.engines.local import LocalEngine
from pipelines.records import Plan, Record, Source
from pipelines.vectors import Schema, Storage, Writer

__all__ = ["Rates", "measure"]

WARM = 64
"""Records that are embedded before anything is timed: the first ones pay for kernels and files."""

NEAR = 0.8
"""Below this share of its limit a run is held up by something that is none of its stages."""


@dataclass(frozen=True)
class Rates:
    """Records per second: of every stage alone with the whole machine to itself, and of the run.

    ``opening`` reads, decodes and prepares; ``forward`` is each column's network; ``writing`` commits a part.
    ``shares_cores`` says that stages compete for the same cores: their times then add up, while on an accelerator
    the slowest of them decides.
    """

    records: int
    failed: int
    opening: float
    forward: dict[str, float]
    writing: float
    together: float
    shares_cores: bool
    runtimes: dict[str, dict[str, str]]

    @property
    def limit(self) -> float:
        """What the stages allow: the rate of a run that wastes nothing."""
        models = sum(1 / rate for rate in self.forward.values())
        if self.shares_cores:
            return 1 / (1 / self.opening + models + 1 / self.writing)
        return min(self.opening, 1 / models, self.writing)

    @property
    def bottleneck(self) -> str:
        """The stage that takes most: ``opening``, ``writing``, or a column's name."""
        return min({"opening": self.opening, "writing": self.writing, **self.forward}.items(), key=lambda s: s[1])[
            0
        ]

    @property
    def advice(self) -> str:
        """One thing to do about it."""
        stage = self.bottleneck
        if self.together < NEAR * self.limit:
            return "Something else uses this machine, or memory is short: see what runs beside."
        if stage == "writing":
            return "The disk is the limit: write to a faster one, or make larger parts (--part-rows)."
        if stage == "opening":
            more = "more cores" if self.shares_cores else "more cores beside the accelerator (--threads)"
            return f"Reading and decoding is the limit: {more}, a faster disk, or smaller files."
        runtime = self.runtimes[stage]
        if runtime["device"] != "cpu":
            return f"The network of {stage} is the limit: this is what the device can do."
        if runtime["precision"] == "fp32" and runtime["accel"] == "none":
            return f"The network of {stage} is the limit: leave --precision and --accel to auto, or use a GPU."
        return f"The network of {stage} is the limit: a smaller model or a GPU would be faster."

    def to_json(self) -> dict[str, Any]:
        """Plain values, with the limit, the bottleneck and the advice."""
        return {**asdict(self), "limit": self.limit, "bottleneck": self.bottleneck, "advice": self.advice}


def measure(columns: Sequence[Column], settings: Settings, plan: Plan, source: Source, out: Path) -> Rates:
    """Embed a plan's records in this process, as a whole and stage by stage.

    Writes a set into the new folder ``out``. Raises what a run raises, and nothing for inputs that fail.
    """
    records = [record for _, part in plan.read(source) for record in part]
    engine = LocalEngine(columns, settings)
    try:
        settled = engine.settled
        with ThreadPoolExecutor(settings.decoders) as threads:
            part = PartEmbedder(
                settled, threads, root=engine.settings.root, limits=settings.limits, urls=settings.urls
            )
            part.load()
            part.embed(records[:WARM])
            opening, opened = _timed(lambda: list(part.opened(records)))
            forward = {}
            for column in settled:
                forward[column.name] = _forward(column, threads, records, opened)
            del opened
            together, embedded = _timed(lambda: part.embed(records))
            part.close()
    finally:
        engine.close()
    writing = _written(settled, embedded, plan, out)
    count = len(records)
    failed = sum(
        any(cells.status[row] not in ("ok", "absent") for cells in embedded.cells.values()) for row in range(count)
    )
    return Rates(
        records=count,
        failed=failed,
        opening=count / opening,
        forward={name: count / seconds for name, seconds in forward.items()},
        writing=count / writing,
        together=count / (together + writing),
        shares_cores=any(column.runtime.device == "cpu" for column in settled),
        runtimes={column.name: column.runtime.describe() for column in settled},
    )


def _forward(
    column: Column, threads: ThreadPoolExecutor, records: Sequence[Record], opened: Sequence[Opened]
) -> float:
    alone = PartEmbedder([column], threads)
    try:
        return _timed(lambda: alone.forwarded(records, iter(opened)))[0]
    finally:
        alone.close()


def _written(columns: Sequence[Column], embedded: Embedded, plan: Plan, out: Path) -> float:
    fields = tuple(dict.fromkeys(column.field for column in columns))
    schema = Schema(fields, tuple(column.info() for column in columns))
    with Writer.open(out, schema, {"plan": plan.to_json()}, Storage(out)) as writer:
        return _timed(lambda: writer.commit(0, schema.table(embedded.ids, embedded.fields, embedded.cells), {}))[0]


def _timed(work: Callable[[], Any]) -> tuple[float, Any]:
    began = time.perf_counter()
    found = work()
    return time.perf_counter() - began, found

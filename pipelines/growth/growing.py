"""The run of a growth: computed beside the set, then put in its place."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence

from embedders.errors import RefusedError
from pipelines.embedding import Column
from pipelines.engines import Engine, Progress, Settings, make_engines, run_parts
from pipelines.engines.breaker import Breaker
from pipelines.growth.deciding import Growth
from pipelines.growth.engine import GrowingEngine
from pipelines.growth.held import Held
from pipelines.growth.promotion import NEXT, clear, locked, promote
from pipelines.records import Plan, Source
from pipelines.vectors import Storage, Writer
from pipelines.vectors.run import RUN, Run
from pipelines.vectors.standing import Standing, differences, examine

__all__ = ["grow_set"]


def grow_set(
    storage: Storage,
    growth: Growth,
    plan: Plan,
    source: Source,
    columns: Sequence[Column],
    settings: Settings,
    workers: bool | int | None,
    observe: Callable[[Progress], None] = lambda progress: None,
    *,
    stop: Callable[[], bool] = lambda: False,
    max_failures: float | str | None = None,
) -> Progress:
    """Make the grown set in ``next/``, or go on with it, and put it in the place of the old one.

    Until its last moment the old set stays as it is. Raises RefusedError for an old set that is not whole, where
    that matters, and for an unfinished growth towards other columns; and what
    :func:`~pipelines.engines.run.run_parts` raises.
    """
    if growth.kind == "add" and not growth.new:
        return _done(growth, _whole(storage, growth))
    with locked(storage), contextlib.ExitStack() as closing:
        standing = _whole(storage, growth)
        held = Held(storage, growth.base.schema, standing.commits.values(), growth.by_content)
        notes = _give_up_another(storage, growth)
        new = {column.name for column in growth.new}
        added = _engines([column for column in columns if column.name in new], settings, workers)
        again = _engines([column for column in columns if column.name not in new], settings, workers)
        pairs = zip(again or [None] * len(added), added or [None] * len(again), strict=True)
        engines = [GrowingEngine(growth, held, settings, *pair) for pair in pairs]
        for engine in engines:
            closing.callback(engine.close)
        for engine in engines:
            engine.load()
        inner = storage.path(NEXT)
        with Writer.open(inner, growth.run.schema, growth.values, Storage(inner)) as writer:
            if writer.commits:
                before = f"{len(writer.commits):,} of {len(plan.parts):,} parts"
                notes.append(f"Went on with a growth that was stopped: {before} were there, as the source was then")
            progress = run_parts(plan, source, engines, writer, observe, stop=stop, max_failures=max_failures)
            notes += writer.notes
        promote(storage)  # does nothing where the run was stopped
    kept, computed = sum(engine.kept for engine in engines), sum(engine.computed for engine in engines)
    progress.notes[:0] = [*notes, f"Kept {kept:,} cells, computed {computed:,}"]
    return progress


def _whole(storage: Storage, growth: Growth) -> Standing:
    """What is there of the old set; an update takes whatever is good, other growths need all of it."""
    standing = examine(storage, growth.base, trust=False) or Standing()
    if not standing.whole and not growth.by_content:
        names = ", ".join(list(standing.broken)[:3]) or "it is unfinished"
        raise RefusedError(
            f"The set in {str(storage.root)!r} is not whole ({names})",
            "Run the command that made it first, or update it: then what is missing is computed again",
        )
    return standing


def _done(growth: Growth, standing: Standing) -> Progress:
    """Nothing to do: all columns are there, and perhaps more."""
    run = growth.base
    cells = run.rows * len(run.schema.columns)
    failed = sum(Breaker.failed(commit.statuses) for commit in standing.commits.values())
    parts = len(run.parts)
    return Progress(run.rows, cells, parts, cells, failed, parts, cells)


def _give_up_another(storage: Storage, growth: Growth) -> list[str]:
    """Make room where another growth was stopped: one towards an older state of the source is worth nothing now."""
    inner = Storage(storage.path(NEXT))
    if not inner.exists(RUN):
        return []
    stopped = Run.read(inner)
    kind = stopped.values.get("circumstances", {}).get("growth")
    if stopped.deciding == growth.run.deciding and kind == growth.kind:
        return []
    where = str(inner.root)
    if stopped.schema != growth.run.schema:
        raise RefusedError(
            f"Another growth was begun in {where!r} and not finished; there -> asked for",
            "Ask for the same to go on with it, or remove that folder: the set is what it was without it",
            differences(stopped.deciding, growth.run.deciding)[:10],
        )
    parts = len(inner.names("commits"))
    clear(storage)
    return [f"Gave up a growth that was begun before, for another state of the source: {parts:,} parts"]


def _engines(columns: Sequence[Column], settings: Settings, workers: bool | int | None) -> Sequence[Engine | None]:
    return make_engines(columns, settings, workers) if columns else []

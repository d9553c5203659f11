"""What a person sees while a run goes on: a live line on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator

import typer

from pipelines.engines import Progress

__all__ = ["shown"]

PLAIN_EVERY = 10.0
"""Seconds between two lines where nobody watches live."""


SETTLED = 0.1
"""Share of the work after which the rate says something about the rest."""


@contextlib.contextmanager
def shown() -> Iterator[Callable[[Progress], None]]:
    """An observer of a run that shows it on stderr until the block ends."""
    if sys.stderr.isatty():
        with _live() as observe:
            yield observe
    else:
        yield _plain()


@contextlib.contextmanager
def _live() -> Iterator[Callable[[Progress], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (
        BarColumn(bar_width=None),
        TaskProgressColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(compact=True),
        TextColumn("[red]{task.fields[failed]}"),
        TextColumn("[dim]{task.fields[slow]}"),
    )
    with Bar(*columns, console=Console(stderr=True), transient=True, expand=True) as bar:
        task = bar.add_task("embed", total=None, rate="loading weights", failed="", slow="")
        began = time.perf_counter()

        def observe(progress: Progress) -> None:
            nonlocal began
            bar.update(
                task,
                total=progress.cells,
                completed=progress.cells_done,
                rate=f"{_rate(progress, began):,.1f} rec/s",
                failed=f"{progress.cells_failed:,} failed" if progress.cells_failed else "",
                slow=bottleneck(progress.seconds),
            )

        yield observe


def _plain() -> Callable[[Progress], None]:
    began = last = time.perf_counter()

    def observe(progress: Progress) -> None:
        nonlocal last
        now = time.perf_counter()
        if now - last < PLAIN_EVERY:
            return
        last = now
        done = progress.cells_done / max(progress.cells, 1)
        line = f"{done:6.1%}  {_rate(progress, began):,.1f} records/s"
        if done >= SETTLED:
            line += f"  {(now - began) * (1 - done) / done:,.0f} s left"
        line += f"  {progress.cells_failed:,} failed" if progress.cells_failed else ""
        typer.echo(f"{line}  {bottleneck(progress.seconds)}".rstrip(), err=True)

    return observe


def _rate(progress: Progress, began: float) -> float:
    records = progress.cells_done * progress.rows / max(progress.cells, 1)
    return records / max(time.perf_counter() - began, 1e-9)


def bottleneck(seconds: dict[str, float]) -> str:
    """The stage that took most of the time so far, where the parts done so far tell."""
    stages = {name: s for name, s in seconds.items() if name != "total"}
    return f"mostly {max(stages, key=stages.__getitem__)}" if stages else ""

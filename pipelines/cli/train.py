"""``embed train``: the options, the training, and what a person sees of it."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import typer

from embedders.errors import UsageError, nearest
from pipelines.training.starter import Options, report, train
from pipelines.training.starter.loop import Progress

__all__ = ["train_command"]

KNOWN = ("scenes", "report")
EVERY = 10.0
"""Seconds between two lines of progress."""


def train_command(
    what: str,
    out: Path,
    *,
    preset: str = "quick",
    seed: int = 0,
    pairs: str = "all",
    minutes: float | None = None,
    steps: int | None = None,
    batch_size: int = 64,
    beside: Sequence[Path] = (),
    device: str = "auto",
    as_json: bool = False,
) -> int:
    """Train into a folder and return the exit code: 0 finished, 130 interrupted with a checkpoint to go on from.

    With ``report`` a finished training is measured anew instead, beside others. Raises UsageError for anything
    but the two, and what :func:`~pipelines.training.starter.train.train` and
    :func:`~pipelines.training.starter.reporting.report` raise.
    """
    if what not in KNOWN:
        raise UsageError(f"There is no training {what!r}", nearest(what, KNOWN))
    options = Options(preset=preset, seed=seed, pairs=pairs, minutes=minutes, steps=steps, batch=batch_size)
    if beside and what != "report":
        raise UsageError("--beside names what a report compares with", "Train first, then: embed train report")
    try:
        if what == "report":
            found = report(out, beside, device=device, say=_say)
        else:
            found = train(out, options, device=device, say=_say, observe=_lines())
    except KeyboardInterrupt:
        _say(f"\nInterrupted. The same command goes on from the last checkpoint in {str(out)!r}, if there is one.")
        return 128 + signal.SIGINT
    if as_json:
        typer.echo(json.dumps(found, indent=1, ensure_ascii=False))
    else:
        _print(out, found)
    return 0


def _say(line: str) -> None:
    typer.echo(line, err=True)


def _lines() -> Callable[[Progress], None]:
    """A line now and then, and the last one."""
    last = 0.0

    def observe(progress: Progress) -> None:
        nonlocal last
        now = time.perf_counter()
        if now - last < EVERY and progress.step < progress.steps:
            return
        last = now
        score = f"  mrr {progress.score:.3f}" if progress.score is not None else ""
        _say(
            f"{progress.step:7,} / {progress.steps:,}  loss {progress.loss:6.3f}{score}"
            f"  {progress.per_second:,.0f} examples/s  {progress.seconds_left / 60:,.1f} min left"
        )

    return observe


def _print(out: Path, found: dict[str, Any]) -> None:
    """How often the first of the larger gallery is right, by split and direction, in per cent."""
    splits = found["eval"]["splits"]
    size = list(next(iter(next(iter(splits.values())).values()))["trained"])[-1]
    typer.echo(f"hit_rate@1 in per cent, gallery of {size} unseen scenes")
    typer.echo(f"{'':20}" + "".join(f"{split:>14}" for split in list(splits)[:4]).rstrip())
    for direction in next(iter(splits.values())):
        hits = [rows[direction]["trained"][size]["hit_rate@1"]["value"] for rows in list(splits.values())[:4]]
        typer.echo(f"{direction:20}" + "".join(f"{100 * hit:14.1f}" for hit in hits))
    typer.echo(f"All figures: {out / 'MODEL_CARD.md'}")

"""``embed bench``: how fast the user's own files become vectors here, and what holds them up."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import typer

from embedders import UsageError
from pipelines.pipeline import Pipeline

__all__ = ["bench_command"]


def bench_command(source: str, given: Mapping[str, Any], *, rows: int, as_json: bool) -> None:
    """Print the rates of the first ``rows`` records, the limit they set, and one line of advice."""
    if rows < 1:
        raise UsageError(f"--rows is {rows}; it must be at least 1")
    from pipelines.engines.measure import measure

    pipeline = Pipeline(**given)
    job = pipeline.plan(source, limit=rows)
    typer.echo(f"{job.plan.rows:,} records; weights are loaded and each stage is run alone.", err=True)
    with tempfile.TemporaryDirectory(prefix="embed-bench-", dir=".") as folder:
        found = measure(job.columns, job.engine(()), job.plan, job.source, Path(folder, "set"))
    if as_json:
        typer.echo(json.dumps(found.to_json(), indent=1))
        return
    stages = [("open (read, decode, prepare)", found.opening)]
    for name, rate in found.forward.items():
        runtime = found.runtimes[name]
        stages.append((f"{name} ({runtime['device']}, {runtime['precision']}, {runtime['accel']})", rate))
    stages.append(("write", found.writing))
    width = max(len(name) for name, _ in stages)
    typer.echo(f"{'stage alone':<{width}}  records/s  share of the time")
    total = sum(1 / rate for _, rate in stages)
    for name, rate in stages:
        typer.echo(f"{name:<{width}}  {rate:9,.1f}  {1 / rate / total:17.0%}")
    typer.echo(f"{'limit':<{width}}  {found.limit:9,.1f}")
    typer.echo(f"{'all together':<{width}}  {found.together:9,.1f}  {found.together / found.limit:10.0%} of it")
    if found.failed:
        typer.echo(f"{found.failed:,} of {found.records:,} records failed.", err=True)
    typer.echo(found.advice)

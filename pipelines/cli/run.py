"""``embed run``: options from the command line and a TOML file, the run, and what a person sees of it."""

from __future__ import annotations

import json
import shutil
import signal
import textwrap
import time
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import typer
from pydantic import BaseModel, ConfigDict, ValidationError

from embedders import Limits, UsageError
from embedders.errors import nearest
from embedders.remote import Policy
from pipelines.cli.escaped import escaped
from pipelines.cli.progress import shown
from pipelines.cli.show import describe, print_set
from pipelines.engines.signals import stopping
from pipelines.growth import Grow
from pipelines.pipeline import PART_ROWS, Job, Pipeline
from pipelines.vectors import Storage, VectorSet
from pipelines.vectors.commit import refuse_foreign

__all__ = ["RunOptions", "run_command"]


WALL = "wall"
"""The limit that is the worker's and not the decoder's: seconds on the clock for one record."""

SOURCE_ERRORS = 10
"""Places that cannot be read which are told one by one."""


class RunOptions(BaseModel):
    """The options of a run, as a TOML file may hold them; paths are relative to the current folder."""

    model_config = ConfigDict(extra="forbid", strict=True)

    source: str
    out: str | None = None
    embed: dict[str, str | list[str]] | None = None
    models: str | None = None
    weights: str | dict[str, str] | None = None
    device: str = "auto"
    precision: str = "auto"
    accel: str = "auto"
    batch_size: int | None = None
    part_rows: int = PART_ROWS
    limit: int | None = None
    id_column: str | None = None
    root: str | None = None
    join: bool = True
    max: dict[str, int | float] = {}
    threads: int | None = None
    workers: int = 1
    max_failures: int | float | str | None = None
    urls: bool = False
    url_host: list[str] = []
    group: str = "adjacent"
    accept_source_errors: bool = False
    update: bool = False
    retry_failed: bool = False

    @classmethod
    def gather(cls, given: Mapping[str, Any], config: Path | None) -> RunOptions:
        """What was given on the command line over what the file says; raises UsageError for what fits neither."""
        values = _read(config) if config is not None else {}
        for name in values:
            if name not in cls.model_fields:
                raise UsageError(f"{str(config)!r} has an unknown key {name!r}", nearest(name, cls.model_fields))
        values.update({name: value for name, value in given.items() if value is not None})
        values["embed"] = choices(values.get("embed"))
        values["weights"] = weights_of(values.get("weights"))
        values["max"] = _limits(values.get("max", {}))
        if values.get("out") is not None:
            values["out"] = str(values["out"])
        if values.get("source") is None:
            raise UsageError(
                "There is no source", "embed run SOURCE -o FOLDER, where SOURCE is a folder or a table"
            )
        try:
            return cls(**values)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            raise UsageError(f"The option {where!r} is {first['input']!r}: {first['msg']}") from error


def run_command(options: RunOptions, *, dry_run: bool, as_json: bool) -> int:
    """Run, and return the exit code: 0 complete, 3 complete with failed rows, 130 or 143 stopped by a signal."""
    pipeline = Pipeline(
        options.embed,
        models=options.models,
        weights=options.weights,
        device=options.device,
        precision=options.precision,
        accel=options.accel,
        batch_size=options.batch_size,
        part_rows=options.part_rows,
        limits=Limits.of({name: limit for name, limit in options.max.items() if name != WALL}),
        record_seconds=options.max.get(WALL, 120.0),
        threads=options.threads,
        # one worker stands for one per device
        workers=True if options.workers == 1 else options.workers,
        max_failures=options.max_failures,
        urls=Policy(enabled=options.urls or bool(options.url_host), hosts=tuple(options.url_host)),
    )
    if not dry_run:
        if options.out is None:
            raise UsageError("There is no folder to write to", "Name a new one: -o FOLDER")
        refuse_foreign(Storage(Path(options.out)))  # said at once, not after a long look at the source
    job = pipeline.plan(
        options.source,
        limit=options.limit,
        join=options.join,
        id_column=options.id_column,
        root=options.root,
        group=options.group,
    )
    if dry_run or options.out is None:
        _print_plan(job, as_json)
        return 0
    _print_header(job)
    began = time.perf_counter()
    with stopping() as stop, shown() as observe:
        progress = job.run(options.out, observe, stop, _growth(options))
    for note in progress.notes:
        typer.echo(escaped(note), err=True)
    for name, count in progress.usage.items():
        typer.echo(f"{name}: {count:,}", err=True)
    if progress.stopped:
        typer.echo(
            f"Stopped with {progress.parts_done:,} of {progress.parts:,} parts committed; "
            "the same command goes on from there",
            err=True,
        )
        return 128 + (stop.signal or signal.SIGINT)
    found = VectorSet.open(options.out)
    seconds = time.perf_counter() - began
    if as_json:
        typer.echo(json.dumps({**describe(found), "seconds": round(seconds, 3)}, indent=1, ensure_ascii=False))
    else:
        print_set(found, err=True, seconds=seconds)
    lost = job.plan.source_errors and not options.accept_source_errors
    if lost:
        typer.echo(
            f"{len(job.plan.source_errors):,} places of the source cannot be read, and what they hold has no rows; "
            "--accept-source-errors to call this complete",
            err=True,
        )
    return 3 if found.failures().num_rows or lost else 0


def _growth(options: RunOptions) -> Grow | None:
    if options.update and options.retry_failed:
        raise UsageError("--update and --retry-failed are two runs", "Update first, then retry what failed")
    return "update" if options.update else "retry_failed" if options.retry_failed else None


def _print_header(job: Job) -> None:
    names = ", ".join(column.name for column in job.columns)
    width = shutil.get_terminal_size().columns
    line = escaped(f"{_size(job)}; columns: {names}")
    typer.echo(textwrap.fill(line, width, break_long_words=False), err=True)
    notes = job.source.notes()
    passed = [f"{count:,} {suffix}" for suffix, count in notes.get("ignored", {}).items()]
    if notes.get("linked_folders"):
        passed.append(f"{notes['linked_folders']:,} linked folders")
    if passed:
        typer.echo(escaped(f"Passed over: {', '.join(passed)}"), err=True)
    if left := [field for field in job.source.fields() if field not in {column.field for column in job.columns}]:
        typer.echo(escaped(f"Not embedded: {', '.join(left)}"), err=True)
    errors = job.plan.source_errors
    for error in errors[:SOURCE_ERRORS]:
        typer.echo(escaped(f"Cannot be read: {error}"), err=True)
    if len(errors) > SOURCE_ERRORS:
        typer.echo(f"... and {len(errors) - SOURCE_ERRORS:,} more", err=True)
    if any("seed" in column.embedder.weights_identity for column in job.columns):
        typer.echo("Weights are random: these vectors carry no meaning, they only try the pipeline.", err=True)


def _size(job: Job) -> str:
    rows, parts = job.plan.rows, len(job.plan.parts)
    return f"{rows:,} record{'s' * (rows != 1)} in {parts:,} part{'s' * (parts != 1)}"


def _print_plan(job: Job, as_json: bool) -> None:
    specs = {column.name: column.spec for column in job.columns}
    if as_json:
        columns = [
            {"name": c.name, "field": c.field, "embedder": c.reference, "dim": s.dim, "space": s.space}
            for c, s in zip(job.columns, specs.values(), strict=True)
        ]
        plan = {
            "rows": job.plan.rows,
            "parts": len(job.plan.parts),
            "vector_bytes": job.vector_bytes,
            "source_errors": [error.to_json() for error in job.plan.source_errors],
        }
        typer.echo(json.dumps({**plan, "source": job.source.describe(), "columns": columns}, indent=1))
        return
    typer.echo(f"{_size(job)} of {job.plan.part_rows:,}")
    for column in job.columns:
        spec = specs[column.name]
        typer.echo(f"  {column.name}: field {column.field!r} by {column.reference}, {spec.dim} dimensions")
        typer.echo(f"    space {spec.space}")
    typer.echo(f"About {job.vector_bytes / 1e6:,.1f} MB of vectors. Nothing was loaded or written.")


def _read(config: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(config.read_text("utf-8"))
    except FileNotFoundError as error:
        raise UsageError(f"There is no file {str(config)!r}") from error
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise UsageError(f"{str(config)!r} cannot be read: {error}") from error


def choices(values: Any) -> Any:
    """``["photo=image.clip", ...]`` from the command line, or a TOML table, as field to references."""
    if not isinstance(values, list):
        return values
    chosen: dict[str, list[str]] = {}
    for value in values:
        field, equals, reference = value.partition("=")
        if not equals or not field or not reference:
            raise UsageError(f"--embed {value!r} names no field", "Write FIELD=NAME: --embed photo=image.clip")
        chosen.setdefault(field, []).append(reference)
    return chosen


def weights_of(values: Any) -> Any:
    """``["random:0"]`` is for every embedder, ``["image.clip=file.safetensors"]`` for one."""
    if not isinstance(values, list):
        return values
    named: dict[str, str] = {}
    for value in values:
        name, equals, weights = value.partition("=")
        if not equals:
            if len(values) > 1:
                raise UsageError(
                    f"--weights {value!r} is for every embedder and stands alone", "Write NAME=WEIGHTS"
                )
            return value
        named[name] = weights
    return named


def _limits(values: Any) -> Any:
    if not isinstance(values, list):
        return values
    found: dict[str, float] = {}
    for value in values:
        name, _, number = value.partition("=")
        try:
            found[name] = float(number.replace("_", ""))
        except ValueError as error:
            raise UsageError(f"--max {value!r} is no limit", "Write LIMIT=NUMBER: --max seconds=600") from error
    return found

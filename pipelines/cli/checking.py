"""The commands that look for what is wrong: with a set, between two sets, with this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipelines.cli.reported import reported

__all__ = ["checking"]

checking = typer.Typer()


@checking.command()
@reported
def verify(
    out: Annotated[Path, typer.Argument(help="The folder of a vector set, finished or not.")],
    deep: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Also embed N inputs of every column again and compare.")
    ] = None,
    device: Annotated[str, typer.Option(help="For --deep: auto, cpu, cuda, cuda:1, mps.")] = "auto",
    json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """Recount and re-hash a set; exit 5 where something is damaged, missing or does not come out again."""
    from pipelines.cli.verify import verify_command

    raise typer.Exit(verify_command(out, as_json=json, deep=deep, device=device))


@checking.command()
@reported
def diff(
    a: Annotated[Path, typer.Argument(help="The folder of a vector set, as it was before.")],
    b: Annotated[Path, typer.Argument(help="The folder of another, as it is now.")],
    k: Annotated[int, typer.Option("-k", help="Neighbours per row that are held against each other.")] = 10,
    sample: Annotated[int, typer.Option(help="Rows per column whose neighbours are looked for; 0: none.")] = 1000,
    seed: Annotated[int, typer.Option(help="Draws these rows.")] = 0,
    json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """Compare two vector sets by id: rows, contents, statuses, fingerprints, vectors; exit 3 where they differ."""
    from pipelines.cli.diff import diff_command

    raise typer.Exit(diff_command(a, b, k=k, sample=sample, seed=seed, as_json=json))


@checking.command()
@reported
def doctor(json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False) -> None:
    """Check this machine: versions, devices, memory, caches, plugins; exit 7 where something is unsafe."""
    from pipelines.cli.doctor import doctor_command

    raise typer.Exit(doctor_command(as_json=json))


@checking.command()
@reported
def bench(
    source: Annotated[str, typer.Argument(help="A folder, a table or shards, as for embed run.")],
    embed: Annotated[
        list[str] | None,
        typer.Option("--embed", "-e", metavar="FIELD=NAME", help="Embed a field by an embedder; repeatable."),
    ] = None,
    models: Annotated[str | None, typer.Option(metavar="NAME", help="As for embed run.")] = None,
    weights: Annotated[list[str] | None, typer.Option(metavar="[NAME=]WEIGHTS", help="As for embed run.")] = None,
    rows: Annotated[int, typer.Option(help="Records, from the source's beginning.")] = 512,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")] = "auto",
    precision: Annotated[str, typer.Option(help="auto, fp32, bf16, fp16.")] = "auto",
    accel: Annotated[str, typer.Option(help="auto, none (plain torch), compile, openvino.")] = "auto",
    threads: Annotated[int | None, typer.Option(help="Threads that decode; default: one per core.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """Measure how fast your own files are embedded here, stage by stage, and what would make it faster."""
    from pipelines.cli.bench import bench_command
    from pipelines.cli.run import choices, weights_of

    given = {
        "embed": choices(embed),
        "models": models,
        "weights": weights_of(weights),
        "device": device,
        "precision": precision,
        "accel": accel,
        "threads": threads,
    }
    bench_command(source, given, rows=rows, as_json=json)

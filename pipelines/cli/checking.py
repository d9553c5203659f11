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

"""The commands for those who add embedders: prove one, begin one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipelines.cli.reported import reported

__all__ = ["extending"]

extending = typer.Typer()


@extending.command()
@reported
def check(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="NAME", help="Names, with options if need be.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Check every embedder that is installed.")] = False,
    weights: Annotated[str | None, typer.Option(help="Tag, hub id, file, folder or random:SEED.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """Prove that embedders keep their contract; exit 7 where a check fails."""
    from pipelines.cli.check import check_command

    raise typer.Exit(check_command(names or [], everything=everything, weights=weights, as_json=json))


@extending.command("new-plugin")
@reported
def new_plugin(
    name: Annotated[str, typer.Argument(help="The embedder's variant: lower case, digits, underscores.")],
    modality: Annotated[str, typer.Option("--modality", "-m", help="One that is installed, or a new one.")],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="The new folder; default: MODALITY_NAME.")] = None,
) -> None:
    """Write a package with a new embedder that passes its checks as it stands."""
    from pipelines.cli.new_plugin import new_plugin_command

    new_plugin_command(name, modality=modality, out=out)

"""The commands, as thin as they can be: each parses, calls one function and prints what it returns.

Only the standard library and Typer are imported here; a command imports what it needs when it runs, so that
``embed --help`` answers at once.
"""

from __future__ import annotations

import functools
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from embedders.errors import EmbedError

__all__ = ["app", "main"]

app = typer.Typer(
    help="From files of text, images and audio to one aligned vector set.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def reported(command: Callable[..., None]) -> Callable[..., None]:
    """Turn errors into one line on stderr and the exit code that their class documents."""

    @functools.wraps(command)
    def wrapped(*args: Any, **options: Any) -> None:
        try:
            command(*args, **options)
        except EmbedError as error:
            typer.echo(f"embed: {error}", err=True)
            raise typer.Exit(error.exit_code) from error
        except KeyboardInterrupt as error:
            typer.echo("\nembed: interrupted; nothing that was committed is lost", err=True)
            raise typer.Exit(128 + signal.SIGINT) from error
        except BrokenPipeError as error:  # the reader of our output, `head` say, has gone
            sys.stderr.close()
            raise typer.Exit(0) from error

    return wrapped


@app.command()
@reported
def run(
    source: Annotated[str | None, typer.Argument(help="A folder, or a CSV, TSV, JSONL or Parquet table.")] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="The new folder for the vector set.")] = None,
    embed: Annotated[
        list[str] | None,
        typer.Option("--embed", "-e", metavar="FIELD=NAME", help="Embed a field by an embedder; repeatable."),
    ] = None,
    config: Annotated[Path | None, typer.Option(help="A TOML file with any of these options.")] = None,
    weights: Annotated[
        list[str] | None,
        typer.Option(metavar="[NAME=]WEIGHTS", help="Tag, hub id, file, folder or random:SEED; repeatable."),
    ] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")] = None,
    precision: Annotated[str | None, typer.Option(help="auto, fp32, bf16, fp16.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="At most this many inputs per forward.")] = None,
    part_rows: Annotated[int | None, typer.Option(help="Records per part, the unit of commit.")] = None,
    limit: Annotated[int | None, typer.Option(help="Only the first N records.")] = None,
    id_column: Annotated[str | None, typer.Option(help="The table's column of unique ids.")] = None,
    root: Annotated[str | None, typer.Option(help="Folder that a table's paths are relative to.")] = None,
    join: Annotated[
        bool | None, typer.Option("--join/--no-join", help="Make files of one stem one record, or each its own.")
    ] = None,
    maximum: Annotated[
        list[str] | None,
        typer.Option(
            "--max", metavar="LIMIT=N", help="Refuse inputs above: bytes, pixels, aspect, seconds, characters."
        ),
    ] = None,
    threads: Annotated[int | None, typer.Option(help="Threads that decode; default: one per core.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the outcome as JSON to stdout.")] = False,
) -> None:
    """Embed a source into a new vector set: one row per record, whatever becomes of it.

    Without --embed, a folder's files are embedded by their modalities' defaults. Exit code 3 means complete
    with failed rows.
    """
    from pipelines.cli.run import RunOptions, run_command

    given = {
        "source": source,
        "out": out,
        "embed": embed,
        "weights": weights,
        "device": device,
        "precision": precision,
        "batch_size": batch_size,
        "part_rows": part_rows,
        "limit": limit,
        "id_column": id_column,
        "root": root,
        "join": join,
        "max": maximum,
        "threads": threads,
    }
    raise typer.Exit(run_command(RunOptions.gather(given, config), dry_run=dry_run, as_json=json))


@app.command("list")
@reported
def list_command(json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False) -> None:
    """List the embedders that are installed; imports none of them."""
    from pipelines.cli.registry import list_embedders

    list_embedders(as_json=json)


@app.command()
@reported
def info(
    name: Annotated[str, typer.Argument(help="image.clip, image, or with options: 'text.bert(pooling=cls)'.")],
    json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """Describe one embedder: space, dimensions, preprocessing, options."""
    from pipelines.cli.registry import describe_embedder

    describe_embedder(name, as_json=json)


@app.command()
@reported
def show(
    out: Annotated[Path, typer.Argument(help="The folder of a vector set.")],
    failures: Annotated[bool, typer.Option("--failures", help="List every failed cell.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """Show what a vector set holds: rows, columns, spaces, statuses, failures by reason."""
    from pipelines.cli.show import show_set

    show_set(out, failures=failures, as_json=json)


def main() -> None:
    """Entry point of the command."""
    try:
        app(prog_name="embed")
    except Exception:
        traceback.print_exc()
        typer.echo("embed: this is a bug; the lines above say where", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()

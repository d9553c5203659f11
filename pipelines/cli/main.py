"""The commands, as thin as they can be: each parses, calls one function and prints what it returns.

Only the standard library and Typer are imported here; a command imports what it needs when it runs, so that
``embed --help`` answers at once.
"""

from __future__ import annotations

import sys
import traceback
from pathlib import Path
from typing import Annotated

import typer

from embedders.redaction import redacted
from pipelines.cli.checking import checking
from pipelines.cli.extending import extending
from pipelines.cli.making import making
from pipelines.cli.reported import reported
from pipelines.cli.streams import guard_streams

__all__ = ["app", "main"]

app = typer.Typer(
    help="From files of text, images and audio to one aligned vector set.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.command()
@reported
def run(
    source: Annotated[str | None, typer.Argument(help="A folder, or a CSV, TSV, JSONL or Parquet table.")] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="The new folder for the vector set.")] = None,
    embed: Annotated[
        list[str] | None,
        typer.Option("--embed", "-e", metavar="FIELD=NAME", help="Embed a field by an embedder; repeatable."),
    ] = None,
    models: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Embed each modality by its embedder NAME: starter, clip."),
    ] = None,
    config: Annotated[Path | None, typer.Option(help="A TOML file with any of these options.")] = None,
    weights: Annotated[
        list[str] | None,
        typer.Option(metavar="[NAME=]WEIGHTS", help="Tag, hub id, file, folder or random:SEED; repeatable."),
    ] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")] = None,
    precision: Annotated[str | None, typer.Option(help="auto, fp32, bf16, fp16.")] = None,
    accel: Annotated[str | None, typer.Option(help="auto, none (plain torch), compile, openvino.")] = None,
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
            "--max",
            metavar="LIMIT=N",
            help="Refuse inputs above: bytes, pixels, aspect, seconds, characters, wall.",
        ),
    ] = None,
    threads: Annotated[int | None, typer.Option(help="Threads that decode; default: one per core.")] = None,
    workers: Annotated[
        int | None, typer.Option(help="Worker processes; 1, the default, is one per device, 0 none.")
    ] = None,
    max_failures: Annotated[
        str | None, typer.Option(help="Stop beyond this count (20) or share (0.1) of failed rows, or never: any.")
    ] = None,
    urls: Annotated[bool | None, typer.Option("--urls", help="Fetch inputs that are http(s) URLs.")] = None,
    url_host: Annotated[
        list[str] | None, typer.Option(metavar="HOST", help="Fetch from HOST only, or .HOST with subdomains.")
    ] = None,
    group: Annotated[
        str | None, typer.Option(help="Members of a shard's record: adjacent, or anywhere (global).")
    ] = None,
    accept_source_errors: Annotated[
        bool | None, typer.Option("--accept-source-errors", help="Exit 0 though parts of the source are lost.")
    ] = None,
    update: Annotated[
        bool | None, typer.Option("--update", help="Follow a source that changed: compute only what is new.")
    ] = None,
    retry_failed: Annotated[
        bool | None, typer.Option("--retry-failed", help="Compute failed cells again, and nothing else.")
    ] = None,
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
        "models": models,
        "weights": weights,
        "device": device,
        "precision": precision,
        "accel": accel,
        "batch_size": batch_size,
        "part_rows": part_rows,
        "limit": limit,
        "id_column": id_column,
        "root": root,
        "join": join,
        "max": maximum,
        "threads": threads,
        "workers": workers,
        "max_failures": max_failures,
        "urls": urls,
        "url_host": url_host or None,
        "group": group,
        "accept_source_errors": accept_source_errors,
        "update": update,
        "retry_failed": retry_failed,
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


@app.command()
@reported
def search(
    out: Annotated[Path, typer.Argument(help="The folder of a vector set.")],
    query: Annotated[str, typer.Argument(help="A text, or the path of a file.")],
    column: Annotated[str | None, typer.Option("--in", metavar="COLUMN", help="The column to search.")] = None,
    k: Annotated[int, typer.Option("-k", help="Results per column.")] = 10,
    by: Annotated[str | None, typer.Option(metavar="MODALITY", help="What the query is, if unclear.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")] = "auto",
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Also write a page to look at.")] = None,
    root: Annotated[Path | None, typer.Option(help="Where --html finds the set's files.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """Search a vector set by a text or a file: exact, by cosine, in one space."""
    from pipelines.cli.search import search_command

    search_command(out, query, column=column, k=k, by=by, device=device, html=html, root=root, as_json=json)


@app.command()
@reported
def evaluate(
    out: Annotated[Path | None, typer.Argument(help="The folder of a vector set; --mteb can do without.")] = None,
    column: Annotated[list[str] | None, typer.Option(help="Only this column; repeatable.")] = None,
    protocol: Annotated[
        list[str] | None,
        typer.Option(
            help="retrieval, gap, duplicates, knn, probe, clustering, zero_shot, sts or swap; repeatable. "
            "Default: all that the other options allow."
        ),
    ] = None,
    labels: Annotated[Path | None, typer.Option(help="A CSV, TSV, JSONL or Parquet table, joined by id.")] = None,
    label: Annotated[str | None, typer.Option(metavar="COLUMN", help="Its column of classes.")] = None,
    group: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", help="Its column of groups: matches in retrieval, never split elsewhere."),
    ] = None,
    split: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="Its column of train, valid and test, or of folds.")
    ] = None,
    score: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="Its column of how similar people find two fields.")
    ] = None,
    id_column: Annotated[str | None, typer.Option(help="Its column of record ids; default: id.")] = None,
    template: Annotated[
        list[str] | None, typer.Option(help="Zero-shot: 'a photo of a {}', {} being the label; repeatable.")
    ] = None,
    embedder: Annotated[
        list[str] | None, typer.Option(help="What embeds the templates, or what --mteb judges (repeatable).")
    ] = None,
    swap: Annotated[
        tuple[str, str, str] | None,
        typer.Option(metavar="ANCHOR RIGHT WRONG", help="Three columns for the forced choice."),
    ] = None,
    mteb: Annotated[list[str] | None, typer.Option(metavar="TASK", help="A task of mteb's; repeatable.")] = None,
    sample: Annotated[int | None, typer.Option(help="Only this many rows, drawn by the seed.")] = None,
    seed: Annotated[int, typer.Option(help="Of intervals, folds, clusters and samples.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps; for templates and --mteb.")] = "auto",
    precision: Annotated[str, typer.Option(help="auto, fp32, bf16, fp16; for templates and --mteb.")] = "auto",
    save: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Write the figures as JSON.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """Evaluate a vector set: retrieval between fields, and with labels what classes and scores can be read off.

    Every figure comes with its number of rows, chance level and 95 % interval.
    """
    from pipelines.cli.evaluate import EvaluateOptions, evaluate_command

    options = EvaluateOptions(
        columns=column or (),
        protocols=protocol or (),
        labels=labels,
        label=label,
        group=group,
        split=split,
        score=score,
        id_column=id_column,
        templates=template or (),
        embedders=embedder or (),
        swap=swap,
        mteb=mteb or (),
        sample=sample,
        seed=seed,
        device=device,
        precision=precision,
    )
    evaluate_command(out, options, save=save, as_json=json)


app.add_typer(making)
app.add_typer(checking)
app.add_typer(extending)

samples = typer.Typer(help="Make records to try everything on.", no_args_is_help=True)
app.add_typer(samples, name="samples")


@samples.callback()
def samples_group() -> None:
    """Make records to try everything on."""


@samples.command()
@reported
def scenes(
    out: Annotated[Path, typer.Option("--out", "-o", help="The new folder.")],
    count: Annotated[int, typer.Option(help="How many scenes.")] = 100,
    split: Annotated[
        str, typer.Option(help="train, iid, template, timbre, comp-attr, comp-audible, comp-pair.")
    ] = "iid",
    seed: Annotated[int, typer.Option(help="Another seed makes other scenes of the split.")] = 0,
) -> None:
    """Write made-up scenes as pictures, captions and sounds, joined by stem, with a table of what they show."""
    from pipelines.cli.samples import write_scenes

    write_scenes(count, out, split=split, seed=seed)


def main() -> None:
    """Entry point of the command."""
    guard_streams()
    try:
        app(prog_name="embed")
    except Exception:
        typer.echo(redacted(traceback.format_exc()), err=True)
        typer.echo("embed: this is a bug; the lines above say where", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()

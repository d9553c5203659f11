"""The commands that make models: train from nothing, align by a head, tune the head."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipelines.cli.reported import reported

__all__ = ["making"]

making = typer.Typer()


training = typer.Typer(help="Train the small starter, or vectors of words.", no_args_is_help=True)
making.add_typer(training, name="train")


@training.command()
@reported
def scenes(
    out: Annotated[Path, typer.Option("--out", "-o", help="The folder for the weights.")],
    preset: Annotated[str, typer.Option(help="quick or full.")] = "quick",
    seed: Annotated[int, typer.Option(help="Decides examples and weights.")] = 0,
    pairs: Annotated[str, typer.Option(help="all, or no-direct.")] = "all",
    minutes: Annotated[float | None, typer.Option(help="Train about this long.")] = None,
    steps: Annotated[int | None, typer.Option(help="Train this many steps.")] = None,
    batch_size: Annotated[int, typer.Option(help="Examples per step.")] = 64,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda.")] = "auto",
    json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Train the small starter on drawn scenes; a stopped training goes on by the same command."""
    from pipelines.cli.train import train_command

    code = train_command(
        "scenes",
        out,
        preset=preset,
        seed=seed,
        pairs=pairs,
        minutes=minutes,
        steps=steps,
        batch_size=batch_size,
        device=device,
        as_json=json,
    )
    raise typer.Exit(code)


@training.command()
@reported
def report(
    out: Annotated[Path, typer.Option("--out", "-o", help="The folder of a finished training.")],
    beside: Annotated[
        list[Path] | None, typer.Option(help="Finished trainings to compare with; may be repeated.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda.")] = "auto",
    json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Measure a finished training of the starter anew."""
    from pipelines.cli.train import train_command

    raise typer.Exit(train_command("report", out, beside=beside or [], device=device, as_json=json))


@training.command()
@reported
def words(
    corpus: Annotated[Path, typer.Argument(help="A file with a text per line, a folder of .txt, or a table.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The new file of vectors, or vocabulary.")],
    method: Annotated[str, typer.Option(help="word2vec, fasttext, vocabulary or tfidf.")] = "word2vec",
    column: Annotated[str | None, typer.Option(help="The column of a table that holds the texts.")] = None,
    dim: Annotated[int, typer.Option(help="Numbers per vector.")] = 100,
    epochs: Annotated[int, typer.Option(help="Passes over the corpus.")] = 5,
    window: Annotated[int, typer.Option(help="Words to each side that count as neighbours.")] = 5,
    min_count: Annotated[int, typer.Option(help="Words that are rarer are left out.")] = 2,
    max_words: Annotated[int, typer.Option(help="Words of a vocabulary.")] = 4096,
    seed: Annotated[int, typer.Option(help="Decides the first vectors.")] = 0,
    keep_case: Annotated[bool, typer.Option("--keep-case", help="Do not bring texts to lower case.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print what was made as JSON.")] = False,
) -> None:
    """Learn vectors of words from a corpus, or the vocabulary of an encoding."""
    from pipelines.cli.words import words_command
    from pipelines.training.words import WordOptions

    options = WordOptions(method, dim, epochs, window, min_count, seed, max_words, not keep_case)
    words_command(corpus, out, options, column=column, as_json=json)


@making.command()
@reported
def align(
    out: Annotated[Path, typer.Argument(help="The folder of a vector set.")],
    source: Annotated[str, typer.Option("--from", metavar="COLUMN", help="The column to bring over.")],
    anchor: Annotated[str, typer.Option("--to", metavar="COLUMN", help="The column whose space stays.")],
    head: Annotated[Path, typer.Option("--out", "-o", help="The new folder for the head.")],
    labels: Annotated[Path | None, typer.Option(help="A CSV, TSV, JSONL or Parquet table, joined by id.")] = None,
    group: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="Its column of groups: they match, and are never split.")
    ] = None,
    id_column: Annotated[str | None, typer.Option(help="Its column of record ids; default: id.")] = None,
    method: Annotated[str, typer.Option(help="auto, ridge, procrustes, cca, linear or mlp.")] = "auto",
    loss: Annotated[str, typer.Option(help="infonce or siglip, for linear and mlp.")] = "infonce",
    seed: Annotated[int, typer.Option(help="Of the division and of training.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")] = "auto",
    json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Learn a head that brings one column of a set into the space of another, from the set's own pairs."""
    from pipelines.cli.align import Grouping, align_command

    grouping = Grouping(labels, group, id_column)
    align_command(
        out,
        source,
        anchor,
        head,
        grouping=grouping,
        method=method,
        loss=loss,
        seed=seed,
        device=device,
        as_json=json,
    )


@making.command()
@reported
def tune(
    out: Annotated[Path, typer.Argument(help="The folder of a vector set.")],
    source: Annotated[str, typer.Option("--from", metavar="COLUMN", help="The column to bring over.")],
    anchor: Annotated[str, typer.Option("--to", metavar="COLUMN", help="The column whose space stays.")],
    study: Annotated[Path, typer.Option("--out", "-o", help="The folder for the study and its best head.")],
    trials: Annotated[int, typer.Option(help="How many settings to try, in all.")] = 30,
    labels: Annotated[Path | None, typer.Option(help="A CSV, TSV, JSONL or Parquet table, joined by id.")] = None,
    group: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="Its column of groups: they match, and are never split.")
    ] = None,
    id_column: Annotated[str | None, typer.Option(help="Its column of record ids; default: id.")] = None,
    seed: Annotated[int, typer.Option(help="Of the division, the proposals and training.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")] = "auto",
    json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Look for better settings of a trained head; a stopped study goes on by the same command."""
    from pipelines.cli.align import Grouping, tune_command

    grouping = Grouping(labels, group, id_column)
    code = tune_command(
        out, source, anchor, study, trials=trials, grouping=grouping, seed=seed, device=device, as_json=json
    )
    raise typer.Exit(code)

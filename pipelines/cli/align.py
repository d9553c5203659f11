"""``embed align`` and ``embed tune``: the table of groups, the learning, and what a person sees of it."""

from __future__ import annotations

import json
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from embedders.errors import UsageError

if TYPE_CHECKING:
    from pipelines.uses.evaluation import Truth

__all__ = ["Grouping", "align_command", "tune_command"]


@dataclass(frozen=True)
class Grouping:
    """Where the groups of records stand: a table, and its columns of groups and ids."""

    labels: Path | None = None
    group: str | None = None
    id_column: str | None = None


def align_command(
    out: Path,
    source: str,
    anchor: str,
    head: Path,
    *,
    grouping: Grouping = Grouping(),
    method: str = "auto",
    loss: str = "infonce",
    seed: int = 0,
    device: str = "auto",
    as_json: bool = False,
) -> None:
    """Learn a head from a set's columns ``source`` and ``anchor`` into the folder ``head``, and print its figures.

    Raises UsageError for half a grouping, and what :func:`~pipelines.training.align.align.align` raises.
    """
    from pipelines.training.align import Options, align
    from pipelines.vectors import VectorSet

    options = Options(source, anchor, method, loss, seed, device)
    report = align(VectorSet.open(out), head, options, _truth(grouping), say=_say)
    _print(head, report, as_json)


def tune_command(
    out: Path,
    source: str,
    anchor: str,
    study: Path,
    *,
    trials: int = 30,
    grouping: Grouping = Grouping(),
    seed: int = 0,
    device: str = "auto",
    as_json: bool = False,
) -> int:
    """Try settings of a head for so many trials in the folder ``study``, and print the best beside the default.

    Returns the exit code: 0 finished, 130 interrupted with a study to go on from. Raises what
    :func:`~pipelines.training.align.tune.tune` raises.
    """
    from pipelines.training.align import Study, tune
    from pipelines.vectors import VectorSet

    asked = Study(source, anchor, trials, seed, device)
    try:
        report = tune(VectorSet.open(out), study, asked, _truth(grouping), say=_say)
    except KeyboardInterrupt:
        _say(f"\nInterrupted. The same command goes on after the trials that stand in {str(study)!r}.")
        return 128 + signal.SIGINT
    _print(study / "head", report, as_json)
    return 0


def _truth(grouping: Grouping) -> Truth | None:
    from pipelines.cli.evaluate import EvaluateOptions
    from pipelines.cli.evaluate import read_truth as read

    if grouping.labels is not None and grouping.group is None:
        raise UsageError(f"No column of '{grouping.labels}' is named", "Add --group COLUMN")
    options = EvaluateOptions(labels=grouping.labels, group=grouping.group, id_column=grouping.id_column)
    truth, remarks = read(options)
    for remark in remarks:
        _say(remark)
    return truth


def _print(head: Path, report: dict[str, Any], as_json: bool) -> None:
    from pipelines.training.align import head_table

    if as_json:
        typer.echo(json.dumps(report, indent=1, ensure_ascii=False, allow_nan=False))
        return
    typer.echo(head_table(report))
    _say(f"The space is {report['space']}")
    _say(f"Embed with it: {report['embedder']}(head={head})")


def _say(line: str) -> None:
    typer.echo(line, err=True)

"""``embed evaluate``: what the vectors of a set are worth, as a table for people or JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from embedders.errors import StorageError, UsageError

if TYPE_CHECKING:
    from embedders import BaseEmbedder
    from pipelines.uses.evaluation import Evaluator, Outcome, Truth
    from pipelines.vectors import VectorSet

__all__ = ["EvaluateOptions", "evaluate_command", "read_truth"]

OPTIONS = {
    "label": "--labels FILE --label COLUMN",
    "score": "--labels FILE --score COLUMN",
    "templates": "--template 'a {}'",
    "swap": "--swap ANCHOR RIGHT WRONG",
}
"""Which option gives what a protocol may need."""


@dataclass(frozen=True)
class EvaluateOptions:
    """The options of ``embed evaluate`` beside the set itself."""

    columns: Sequence[str] = ()
    protocols: Sequence[str] = ()
    labels: Path | None = None
    label: str | None = None
    group: str | None = None
    split: str | None = None
    score: str | None = None
    id_column: str | None = None
    templates: Sequence[str] = ()
    embedders: Sequence[str] = ()
    swap: tuple[str, str, str] | None = None
    mteb: Sequence[str] = ()
    sample: int | None = None
    seed: int = 0
    device: str = "auto"
    precision: str = "auto"


def evaluate_command(out: Path | None, options: EvaluateOptions, *, save: Path | None, as_json: bool) -> None:
    """Evaluate, print the figures to stdout and remarks to stderr, and write them to ``save`` as JSON.

    Raises UsageError for options that do not fit together or the set, StorageError where ``save`` cannot be
    written; see the evaluator for the rest.
    """
    from pipelines.uses.evaluation import as_markdown
    from pipelines.vectors import VectorSet

    if out is None and not (options.mteb and options.embedders):
        raise UsageError("There is no vector set", "embed evaluate OUT, or --mteb TASK --embedder NAME")
    found = None if out is None else VectorSet.open(out)
    if options.mteb:
        outcomes = _by_mteb(found, options)
        remarks: list[str] = []
    else:
        assert found is not None
        outcomes, remarks = _evaluated(found, options)
    written = {
        "path": None if found is None else str(found.storage.root),
        "rows": None if found is None else len(found),
        "seed": options.seed,
        "outcomes": [outcome.to_json() for outcome in outcomes],
        "remarks": remarks,
    }
    printed = json.dumps(written, indent=1, ensure_ascii=False, allow_nan=False)
    if save is not None:
        try:
            save.write_text(printed + "\n", "utf-8")
        except OSError as error:
            raise StorageError(
                f"{str(save)!r} cannot be written ({error.strerror})", "Name another file"
            ) from error
    typer.echo(printed if as_json else as_markdown(outcomes), nl=as_json)
    for remark in remarks:
        typer.echo(remark, err=True)


def _evaluated(found: VectorSet, options: EvaluateOptions) -> tuple[list[Outcome], list[str]]:
    from embedders.registry import registry
    from pipelines.uses.evaluation import Evaluator

    truth, remarks = read_truth(options)
    evaluator = Evaluator(found, truth, seed=options.seed, sample=options.sample)
    missing = evaluator.missing(options.templates, options.swap)
    for protocol in options.protocols:
        if protocol in missing:
            raise UsageError(
                f"--protocol {protocol} lacks {' and '.join(missing[protocol])}", f"Add {_hint(missing[protocol])}"
            )
    if len(options.embedders) > 1:
        raise UsageError(f"{len(options.embedders)} embedders are named; one embeds the templates", "Name one")
    outcomes = evaluator.run(
        options.protocols,
        options.columns,
        templates=options.templates,
        embedder=registry.create(options.embedders[0]) if options.embedders else None,
        swap=options.swap,
        device=options.device,
        precision=options.precision,
    )
    return outcomes, [*remarks, *_remarks(evaluator, options, missing)]


def _remarks(evaluator: Evaluator, options: EvaluateOptions, missing: dict[str, list[str]]) -> list[str]:
    remarks = []
    joined = evaluator.selection.truth
    if joined is not None and joined.strangers:
        remarks.append(f"{joined.strangers:,} ids of the labels are not in the set")
    if not options.columns:
        over = [name for name in evaluator.vectors if name not in evaluator.columns()]
        if over:
            remarks.append(f"Passed over, with fewer than 2 rows that are ok: {', '.join(over)}")
        if not evaluator.pairs():
            remarks.append("No retrieval: it takes two columns of one space from different fields")
    if not options.protocols and missing:
        remarks.append("There is more to be had:")
        remarks += [f"  {', '.join(names)}: {hint}" for hint, names in _by_hint(missing).items()]
    return remarks


def _by_hint(missing: dict[str, list[str]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for protocol, lack in missing.items():
        found.setdefault(_hint(lack), []).append(protocol)
    return found


def _hint(lack: Sequence[str]) -> str:
    return " ".join(OPTIONS[name] for name in lack)


def read_truth(options: EvaluateOptions) -> tuple[Truth | None, list[str]]:
    """What the table of labels says, and what of it could not be read."""
    from pipelines.records import TableSource
    from pipelines.uses.evaluation import Truth

    named = {"label": options.label, "group": options.group, "split": options.split, "score": options.score}
    asked = {kind: column for kind, column in named.items() if column is not None}
    if options.labels is None:
        if asked:
            kind, column = next(iter(asked.items()))
            raise UsageError(f"--{kind} {column} names a column of no table", "Add --labels FILE")
        return None, []
    if not asked:
        raise UsageError(
            f"No column of '{options.labels}' is named", "Add --label, --group, --split or --score COLUMN"
        )
    table = TableSource(options.labels, options.id_column, list(dict.fromkeys(asked.values())))
    if table.describe()["id_column"] is None:
        raise UsageError(f"'{options.labels}' has no column 'id'", "Name that of the ids: --id-column COLUMN")
    ids: list[str] = []
    values: dict[str, list[Any]] = {kind: [] for kind in asked}
    broken = 0
    for record in table.records():
        if record.problem is not None:
            broken += 1
            continue
        ids.append(record.id)
        for kind, column in asked.items():
            values[kind].append(record.fields.get(column))
    if errors := table.errors():
        raise UsageError(f"The labels cannot be read whole: {errors[0]}", "Repair the table: it ends too soon")
    remarks = [f"{broken:,} rows of the labels cannot be read and are left out"] if broken else []
    return Truth(ids, **values), remarks


def _by_mteb(found: VectorSet | None, options: EvaluateOptions) -> list[Outcome]:
    from embedders.registry import registry
    from pipelines.uses.evaluation.mteb_bridge import MtebEncoder, run_mteb
    from pipelines.uses.evaluation.recorded import rebuilt

    chosen: list[BaseEmbedder] = [registry.create(reference) for reference in options.embedders]
    if not chosen and found is not None:
        infos = [found[name].info for name in options.columns or found]
        # a field may have been embedded twice by one embedder, under two names
        made = {json.dumps([i.fingerprint["class"], i.fingerprint["options"]], sort_keys=True): i for i in infos}
        chosen = [rebuilt(info.fingerprint) for info in made.values()]
    encoder = MtebEncoder(chosen, device=options.device, precision=options.precision)
    return [run_mteb(task, encoder) for task in options.mteb]

"""``embed verify``: what is wrong with a vector set, finished or not, and whether its vectors come out again."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import Any

import typer

from embedders.errors import SetupError, StorageError
from pipelines.cli.escaped import escaped
from pipelines.uses.deep import Deep, reembed
from pipelines.vectors import Finding, VectorSet, verify

__all__ = ["verify_command"]

NAMED = 3
"""Ids of a column that are printed where vectors do not come out again; ``--json`` has them all."""


def verify_command(out: Path, *, as_json: bool, deep: int | None = None, device: str = "auto") -> int:
    """Print what is wrong, each with its cure, and return the exit code: 0, or 5 for damaged or unfinished.

    What a stopped run left behind is printed too, and is no damage. With ``deep``, so many inputs of every column
    of a good set are embedded again on ``device``: also 5 where a vector does not come out as it is stored; else 7
    where an embedder cannot be used any more.
    """
    findings = verify(out)
    kinds = {finding.kind for finding in findings}
    state = next((kind for kind in ("damaged", "unfinished") if kind in kinds), "good")
    again = [] if deep is None or state != "good" else reembed(VectorSet.open(out), deep, device=device)
    if as_json:
        found: dict[str, Any] = {
            "path": str(out),
            "state": state,
            "findings": [asdict(finding) for finding in findings],
        }
        if deep is not None:
            found["deep"] = [column.to_json() for column in again]
        typer.echo(json.dumps(found, indent=1, ensure_ascii=False))
    else:
        _print(findings)
        if state == "good":
            vectors = VectorSet.open(out)
            parts = len(vectors.manifest["parts"])
            typer.echo(f"{len(vectors):,} records in {parts:,} parts, as they were committed: {out}")
        for column in again:
            _print_deep(column)
    if state != "good" or any(column.differing for column in again):
        return StorageError.exit_code
    return SetupError.exit_code if any(column.problem for column in again) else 0


def _print(findings: Sequence[Finding]) -> None:
    for cure, group in groupby(findings, key=lambda finding: finding.cure):
        for finding in group:
            # a file's name may hold anything, also what moves a terminal's cursor
            line = "".join(c if c.isprintable() else repr(c)[1:-1] for c in f"{finding.file}: {finding.problem}")
            typer.echo(textwrap.fill(line, 80, subsequent_indent="  ", break_long_words=False))
        typer.echo(f"  -> {cure}")


def _print_deep(column: Deep) -> None:
    first, *more = map(escaped, _words(column))
    typer.echo(textwrap.fill(first, 80, subsequent_indent="  "))
    for words in more:
        typer.echo(textwrap.fill(words, 80, initial_indent="  ", subsequent_indent="    "))


def _words(column: Deep) -> Iterator[str]:
    embedded = column.agreeing + len(column.differing)
    facts = [f"{column.agreeing:,} of {embedded:,} vectors come out again"]
    if column.largest is not None:
        facts.append(f"relative L2 {column.largest:.1e} at most")
    if column.changed:
        facts.append(f"{column.changed:,} inputs have changed since")
    facts += [f"{count:,} inputs {reason}" for reason, count in column.unread.items()]
    yield f"{column.column}: {'; '.join(facts)}"
    if column.problem is not None:
        yield f"cannot be embedded: {column.problem}"
    for name, problem in list(column.differing.items())[:NAMED]:
        yield f"{name}: {problem}"
    if (hidden := len(column.differing) - NAMED) > 0:
        yield f"and {hidden:,} more"
    for change in column.changes:
        yield f"made today by another: {change}"

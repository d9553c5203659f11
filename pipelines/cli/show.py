"""``embed show``, and the summary that closes a run: a vector set at a glance."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import typer

from pipelines.cli.escaped import escaped
from pipelines.vectors import VectorSet

__all__ = ["describe", "print_set", "show_set"]

EXAMPLES = 3
"""Failed ids named per reason; `--failures` lists them all."""


def show_set(out: Path, *, failures: bool, as_json: bool) -> None:
    """Print a set, or only its failed cells."""
    found = VectorSet.open(out)
    if failures and as_json:
        typer.echo(json.dumps(found.failures().to_pylist(), indent=1, ensure_ascii=False))
    elif failures:
        for row in found.failures().to_pylist():
            typer.echo("\t".join(escaped(str(row[name])) for name in ("id", "column", "status", "error")))
    elif as_json:
        typer.echo(json.dumps(describe(found), indent=1, ensure_ascii=False))
    else:
        print_set(found)


def describe(found: VectorSet) -> dict[str, Any]:
    """A set as plain JSON: what `--json` prints."""
    columns = []
    for name, column in found.columns.items():
        info = column.info
        columns.append(
            {
                "name": name,
                "field": info.field,
                "embedder": info.embedder,
                "space": info.space,
                "dim": info.dim,
                "dtype": info.dtype,
                "normalized": info.normalized,
                "meaningless": info.meaningless,
                "statuses": dict(column.statuses),
                "flags": dict(column.flags),
            }
        )
    return {
        "path": str(found.storage.root),
        "rows": len(found),
        "columns": columns,
        "failures": [
            {"reason": reason, "cells": len(ids), "ids": ids[:EXAMPLES]} for reason, ids in _by_reason(found)
        ],
    }


def print_set(found: VectorSet, *, err: bool = False, seconds: float | None = None) -> None:
    """Print a set for a person: counts per column, spaces, failures by reason."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(stderr=err, highlight=False, emoji=False)
    took = f" in {seconds:,.1f} s ({len(found) / seconds:,.1f} per second)" if seconds else ""
    size = _size(sum(part["bytes"] for part in found.manifest["parts"]))
    console.print(f"{len(found):,} records{took}: {found.storage.root}, {size}", markup=False)
    table = Table(box=None, pad_edge=False, show_edge=False)
    table.add_column("column", no_wrap=True)
    for title in ("ok", "absent", "failed", "dim"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("space", overflow="fold")
    for name, column in found.columns.items():
        counts = Counter(column.statuses)
        ok, absent = counts.pop("ok", 0), counts.pop("absent", 0)
        failed = sum(counts.values())
        words = (name, f"{ok:,}", f"{absent:,}", f"{failed:,}", str(column.info.dim), column.space)
        table.add_row(*(Text(escaped(word)) for word in words))
    console.print(table)
    reasons = _by_reason(found)
    if reasons:
        console.print("\nFailed:")
    for reason, ids in reasons:
        more = f" and {len(ids) - EXAMPLES:,} more" if len(ids) > EXAMPLES else ""
        console.print(
            f"  {len(ids):,} x {escaped(reason)}: {escaped(', '.join(ids[:EXAMPLES]))}{more}", markup=False
        )
    noted = [
        f"{name} ({', '.join(f'{n:,} {flag}' for flag, n in column.flags.items())})"
        for name, column in found.columns.items()
        if column.flags
    ]
    if noted:
        console.print("\nNoted:", *map(escaped, noted), sep="\n  ", markup=False)
    if any(column.info.meaningless for column in found.columns.values()):
        console.print("\nRandom weights: these vectors carry no meaning.")


def _by_reason(found: VectorSet) -> list[tuple[str, list[str]]]:
    """Failed ids per ``status CODE``, the most frequent reason first; an id counts once per reason."""
    reasons: dict[str, dict[str, None]] = {}
    for row in found.failures().to_pylist():
        code = str(row["error"]).split(":")[0]
        reasons.setdefault(f"{row['status']} ({code})", {})[row["id"]] = None
    return sorted(((reason, list(ids)) for reason, ids in reasons.items()), key=lambda found: -len(found[1]))


def _size(count: int) -> str:
    """Bytes in the unit that a person would use."""
    return f"{count / 1e6:,.1f} MB" if count >= 1e5 else f"{count / 1e3:,.1f} kB"

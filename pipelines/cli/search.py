"""``embed search``: the records nearest to a text or a file, as a table, as JSON, as a page."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

import typer

from embedders import UsageError
from pipelines.cli.escaped import escaped
from pipelines.uses.originals import Originals
from pipelines.uses.query import aim
from pipelines.uses.search import Result, results_of
from pipelines.vectors import VectorSet

__all__ = ["search_command"]

GAP = 2
"""Blanks between two columns of a table."""


def search_command(
    out: Path,
    query: str,
    *,
    column: str | None,
    k: int,
    by: str | None,
    device: str,
    html: Path | None,
    root: Path | None,
    as_json: bool,
) -> None:
    """Print what :func:`pipelines.uses.search.search` finds; with ``html`` also write a gallery."""
    if k < 1:
        raise UsageError(f"-k is {k}; a search returns at least 1 result")
    vs = VectorSet.open(out)
    aimed = aim(vs, query, column, by)
    if any(found.info.meaningless for found in aimed.columns):
        typer.echo("Weights are random: these scores carry no meaning.", err=True)
    if others := [found.info.name for found in aimed.columns if found.space != aimed.embedder.spec.space]:
        typer.echo(f"Joined by a head, not by one model: compare no scores across {', '.join(others)}.", err=True)
    results = results_of(vs, aimed, k, device)
    if html is not None:
        from pipelines.uses.gallery import write_gallery

        write_gallery(html, vs, aimed.query, results, root)
    if as_json:
        typer.echo(json.dumps([result.to_json() for result in results], indent=1, ensure_ascii=False))
    else:
        _print(vs, results, Originals(vs, root))
    if html is not None:
        typer.echo(f"Written: {html}", err=True)


def _print(vs: VectorSet, results: list[Result], originals: Originals) -> None:
    """A table per column: score, id, what was found, and the words that belong to it."""
    from rich.cells import cell_len
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False, emoji=False, markup=False)
    for column, found in groupby(results, lambda result: result.column):
        console.print(f"{escaped(column)}: {vs[column].statuses.get('ok', 0):,} vectors", soft_wrap=True)
        mine = vs[column].info.field
        fields = [mine, *(field for field in vs.fields if field != mine and originals.wordy(field))]
        titles = ("id", *fields)
        rows = [(r.score, [_line(r.id), *(_line(originals.line(f, r.values[f])) for f in fields)]) for r in found]
        wanted = [max(map(cell_len, words)) for words in zip(titles, *(words for _, words in rows), strict=True)]
        numbers = len(str(len(rows))) + max(len(f"{score:.4f}") for score, _ in rows)
        table = Table(box=None, pad_edge=False, show_edge=False, padding=(0, GAP, 0, 0))
        for title in ("", "score"):
            table.add_column(title, justify="right", no_wrap=True)
        room = console.width - numbers - GAP * (len(titles) + 1)
        for title, width in zip(titles, shares(wanted, room), strict=True):
            table.add_column(Text(title), no_wrap=True, overflow="ellipsis", max_width=width)
        for rank, (score, words) in enumerate(rows, start=1):
            table.add_row(str(rank), f"{score:.4f}", *map(Text, words))
        console.print(table)


def shares(wanted: Sequence[int], room: int) -> list[int]:
    """Widths that fit into ``room``: whoever wants less than an equal share gets it, the others share the rest."""
    widths = dict.fromkeys(range(len(wanted)), 1)
    for left, place in enumerate(sorted(widths, key=lambda place: wanted[place])):
        widths[place] = max(1, min(wanted[place], room // (len(wanted) - left)))
        room -= widths[place]
    return list(widths.values())


def _line(words: str) -> str:
    """On one line, and without what would steer the terminal."""
    return escaped(" ".join(words.split()))

"""``embed diff``: what differs between two vector sets, on one screen."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator
from pathlib import Path

import typer

from pipelines.cli.escaped import escaped
from pipelines.uses.comparison import EQUAL, ColumnComparison, Comparison, Drift, Ids, compare
from pipelines.vectors import VectorSet

__all__ = ["DIFFERENT", "diff_command"]

DIFFERENT = 3
"""Exit code where something that matters differs."""

WIDTH = 80
LABEL = 15


def diff_command(a: Path, b: Path, *, k: int, sample: int, seed: int, as_json: bool) -> int:
    """Print what differs from the set in ``a`` to that in ``b``; returns 0 where it is nothing, else 3.

    Vectors may differ by a relative L2 of 1e-5; rows, their order, contents, statuses and fingerprints may not.
    """
    one, other = VectorSet.open(a), VectorSet.open(b)
    found = compare(one, other, k=k, sample=sample, seed=seed)
    if as_json:
        described = {"paths": [str(a), str(b)], **found.to_json()}
        typer.echo(json.dumps(described, indent=1, ensure_ascii=False))
    else:
        for label, words in _entries(found, a, b):
            typer.echo(_entry(label, words))
    return 0 if found.same else DIFFERENT


def _entries(found: Comparison, a: Path, b: Path) -> Iterator[tuple[str, str]]:
    yield "before", f"{found.rows[0]:,} records: {a}"
    yield "after", f"{found.rows[1]:,} records: {b}"
    yield "in both", f"{found.common:,} records, in {'another' if found.reordered else 'the same'} order"
    for label, ids in (("removed", found.removed), ("added", found.added)):
        if ids.count:
            yield label, _named(ids)
    for field, ids in found.contents.items():
        yield "changed", f"{field}: {_named(ids)}"
    for label, names in (("removed", found.removed_columns), ("added", found.added_columns)):
        if names:
            yield label, f"column {', '.join(names)}"
    for name, column in found.columns.items():
        yield from _of_column(name, column, found.k)
    if found.same:
        yield "same", f"nothing that matters differs; vectors by a relative L2 of {EQUAL:.0e} at most"
    else:
        yield "different", "see above"


def _of_column(name: str, column: ColumnComparison, k: int) -> Iterator[tuple[str, str]]:
    yield "column", name
    for change in column.changes:
        yield "  recorded", change
    for turned in column.turned:
        yield "  status", f"{turned.before} -> {turned.after}: {turned.rows:,} records"
    if column.drift is None:
        yield "  vectors", "none to compare"
    else:
        yield from _of_vectors(column.drift, k)


def _of_vectors(drift: Drift, k: int) -> Iterator[tuple[str, str]]:
    if drift.bit_equal == drift.rows:
        yield "  vectors", f"{drift.rows:,} of unchanged content, all equal to the bit"
        return
    yield "  vectors", f"{drift.rows:,} of unchanged content, {drift.bit_equal:,} equal to the bit"
    yield "  relative L2", f"{drift.largest:.1e} at most: {drift.furthest}"
    yield "  cosine", f"{drift.smallest_cosine:.7f} at least, {drift.mean_cosine:.7f} on average"
    if drift.neighbours is not None:
        share = f"{drift.neighbours:.1%} of the {k} nearest stay the same"
        yield "  neighbours", f"{share}, asked at {drift.asked:,} records"


def _named(ids: Ids) -> str:
    more = f" and {ids.count - len(ids.first):,} more" if ids.count > len(ids.first) else ""
    return f"{ids.count:,} records: {', '.join(ids.first)}{more}"


def _entry(label: str, words: str) -> str:
    return textwrap.fill(
        escaped(words),
        WIDTH,
        initial_indent=f"{label:<{LABEL}}",
        subsequent_indent=" " * LABEL,
        break_on_hyphens=False,
    )

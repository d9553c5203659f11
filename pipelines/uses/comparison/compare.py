"""The comparison of two vector sets, record by record, and what it says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from embedders import UsageError
from pipelines.uses.comparison.drift import Drift, Lined, drift
from pipelines.uses.comparison.rows import STATUSES, Both, Rows
from pipelines.vectors import ColumnInfo, VectorSet
from pipelines.vectors.standing import differences

__all__ = ["EQUAL", "ColumnComparison", "Comparison", "Ids", "Turned", "changes_of", "compare"]

EQUAL = 1e-5
"""Largest relative L2 of vectors that count as equal: what float32 makes of another batch or another machine."""

NAMED = 10
"""Ids that are listed of many; all are counted."""


@dataclass(frozen=True)
class Ids:
    """Some records: how many, and the ids of the first of them."""

    count: int
    first: tuple[str, ...]


@dataclass(frozen=True)
class Turned:
    """Rows of a column that had one status and have another."""

    before: str
    after: str
    rows: int


@dataclass(frozen=True)
class ColumnComparison:
    """One column that both sets have."""

    changes: tuple[str, ...]
    """Where its facts and its fingerprint differ, as ``fingerprint.versions.torch: '2.11.0' -> '2.14.0'``."""
    turned: tuple[Turned, ...]
    drift: Drift | None
    """None where no vectors can be compared: other dimensions, or no unchanged row that is ok in both."""

    @property
    def same(self) -> bool:
        """Whether nothing of it differs but vectors by at most :data:`EQUAL`."""
        return not self.changes and not self.turned and (self.drift is None or self.drift.largest <= EQUAL)


@dataclass(frozen=True)
class Comparison:
    """Two vector sets, the first being what was there before."""

    rows: tuple[int, int]
    common: int
    """Records with an id that both have."""
    removed: Ids
    added: Ids
    reordered: bool
    """Whether the common records stand in another order."""
    contents: Mapping[str, Ids]
    """Per field the common records that were made of another content, by its SHA-256; only fields with such."""
    removed_columns: tuple[str, ...]
    added_columns: tuple[str, ...]
    columns: Mapping[str, ColumnComparison]
    k: int
    """Neighbours per row that were looked for."""

    @property
    def same(self) -> bool:
        """Whether both hold the same records in the same order, contents, statuses, fingerprints and vectors."""
        other_rows = self.removed.count or self.added.count or self.reordered or self.contents
        other_columns = self.removed_columns or self.added_columns
        return not other_rows and not other_columns and all(column.same for column in self.columns.values())

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {"same": self.same, **asdict(self)}


def compare(a: VectorSet, b: VectorSet, *, sample: int = 1000, k: int = 10, seed: int = 0) -> Comparison:
    """What differs from ``a`` to ``b``; records are the same where their ids are.

    Vectors are compared at rows that are ok in both sets and made of the same content. There, neighbours are
    looked for exactly: those of ``sample`` rows per column, drawn by ``seed``, among all. Memory takes 16 bytes
    per record for its id and for each content; vectors are mapped.

    Raises UsageError for ``k`` below 1 or ``sample`` below 0, RefusedError where a part is damaged.
    """
    if k < 1 or sample < 0:
        raise UsageError(f"k is {k} and sample is {sample}; k must be at least 1, and sample at least 0")
    both = Both(a, b)
    contents = {}
    for field in (field for field in a.fields if field in b.fields):
        other = both.rows[0][~both.same_content(field, field)]
        if len(other):
            contents[field] = _ids(a, other)
    columns = {}
    for name in (name for name in a if name in b):
        unchanged = both.unchanged(a[name], b[name])
        moved = None
        if a[name].info.dim == b[name].info.dim and unchanged.any():
            lined = Lined(a, name, both.rows[0][unchanged]), Lined(b, name, both.rows[1][unchanged])
            moved = drift(*lined, sample=sample, k=k, seed=seed)
        columns[name] = ColumnComparison(changes_of(a[name].info, b[name].info), _turned(both, name), moved)
    return Comparison(
        rows=(len(a), len(b)),
        common=len(both.rows[0]),
        removed=_ids(a, both.only_a),
        added=_ids(b, both.only_b),
        reordered=bool((np.diff(both.rows[1]) < 0).any()),
        contents=contents,
        removed_columns=tuple(name for name in a if name not in b),
        added_columns=tuple(name for name in b if name not in a),
        columns=columns,
        k=k,
    )


def changes_of(before: ColumnInfo, after: ColumnInfo) -> tuple[str, ...]:
    """Where two columns of one name differ, as lines ``fingerprint.weights.sha256: 'a1…' -> 'b2…'``."""
    lines = differences({"columns": [before.to_json()]}, {"columns": [after.to_json()]})
    return tuple(line.removeprefix(f"columns.{before.name}.") for line in lines)


def _turned(both: Both, column: str) -> tuple[Turned, ...]:
    was, now = both.statuses(column)
    turns, counts = np.unique(np.stack([was, now])[:, was != now], axis=1, return_counts=True)
    pairs = zip(turns.T.tolist(), counts.tolist(), strict=True)
    return tuple(Turned(STATUSES[old], STATUSES[new], count) for (old, new), count in pairs)


def _ids(vs: VectorSet, rows: Rows) -> Ids:
    first = vs.take(rows[:NAMED].tolist(), ["id"]).column("id").to_pylist()
    return Ids(len(rows), tuple(first))

"""What there is to learn from: rows that hold both vectors, what belongs together, and how all is divided."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from embedders.base import anchor_space
from embedders.errors import UsageError
from pipelines.uses.evaluation.figures import codes, unit
from pipelines.uses.evaluation.selection import Selection

if TYPE_CHECKING:
    from pipelines.uses.evaluation import Truth
    from pipelines.vectors import ColumnInfo, VectorSet

__all__ = ["Pairs", "Parts", "Rows", "Vectors", "divide", "joined"]

Rows: TypeAlias = npt.NDArray[np.int64]
Vectors: TypeAlias = npt.NDArray[np.float32]

TEST, VALID = 0.2, 0.15
"""Shares of the groups that are kept for the test and for choosing settings."""
MOST_TEST, MOST_VALID = 5000, 1000
"""Rows beyond which those parts need not grow: all of them are compared with all."""
FEWEST = 11
"""Groups that the test and the validation need: among ten, the first ten hold every answer."""


@dataclass(frozen=True)
class Pairs:
    """Row i of ``x`` (n, a), as stored, belongs to row i of ``y`` (n, b), at unit length, and to all of its group.

    ``inputs`` number what was embedded on either side: equal numbers are the same input. ``left_out`` counts the
    set's other rows by reason, so that with ``len(pairs)`` they add up to ``rows``.
    """

    source: ColumnInfo
    anchor: ColumnInfo
    x: Vectors
    y: Vectors
    groups: Rows
    inputs: tuple[Rows, Rows]
    rows: int
    left_out: Mapping[str, int]

    def __len__(self) -> int:
        return len(self.groups)

    @classmethod
    def of(cls, vs: VectorSet, source: str, anchor: str, truth: Truth | None = None) -> Pairs:
        """The rows of a set that are ok in both columns, and have a group where ``truth`` gives groups.

        Rows with an equal input on either side, by its SHA-256, are one group, and so are all they are joined with.
        Raises UsageError where there is nothing to align: fewer than two such rows, one column, one space, or a
        source that was aligned with this anchor already.
        """
        a, b = vs[source].info, vs[anchor].info
        if source == anchor:
            raise UsageError(f"{source!r} is both what is aligned and what with", "Name two columns")
        if (space := anchor_space(a.space)) == anchor_space(b.space):
            raise UsageError(
                f"{source!r} and {anchor!r} can be compared as they are: both lie in the space {space!r}",
                "embed evaluate says how well; to align is for columns of two spaces",
            )
        selection = Selection(vs, truth, 0, None)
        rows, left_out = selection.rows([source, anchor], ["group"] if truth is not None else [])
        inputs = (_inputs(vs, a.field, rows), _inputs(vs, b.field, rows))
        marks = [*inputs, *([codes(selection.known("group", rows))] if truth is not None else [])]
        y = unit(selection.vectors_of(anchor, rows)).astype(np.float32)
        x = np.ascontiguousarray(selection.vectors_of(source, rows))
        for name, vectors in ((source, x), (anchor, y)):
            if not np.ptp(vectors, axis=0).any():
                raise UsageError(f"All {len(rows)} vectors of {name!r} are equal", "There is nothing to learn")
        return cls(a, b, x, y, joined(*marks), inputs, len(vs), dict(left_out))

    def distinct(self, rows: Rows, side: int) -> Rows:
        """The first row of every input of one side: a picture with five captions stands in a gallery once."""
        return rows[np.sort(np.unique(self.inputs[side][rows], return_index=True)[1])]


@dataclass(frozen=True)
class Parts:
    """Row numbers of pairs: what teaches, what settings are chosen by, and what is asked once at the end."""

    train: Rows
    valid: Rows
    test: Rows

    def to_json(self) -> dict[str, int]:
        """Rows of each part."""
        return {"train": len(self.train), "valid": len(self.valid), "test": len(self.test)}


def divide(pairs: Pairs, seed: int, turn: int = 0) -> Parts:
    """A division by scikit-learn's ``GroupShuffleSplit``: no group lies in two parts.

    The test part depends on ``seed`` alone; ``turn`` changes what of the rest teaches and what is for validation.
    Raises UsageError where there are too few groups for it.
    """
    from sklearn.model_selection import GroupShuffleSplit

    count, groups = len(pairs), pairs.groups
    units = len(np.unique(groups))
    test_share, valid_share = min(TEST, MOST_TEST / count), min(VALID, MOST_VALID / count)
    short = UsageError(
        f"The {count} pairs fall into {units} groups, too few to divide: validation and test need at least "
        f"{FEWEST} groups each",
        "Embed more records; rows of one group or with an equal input are one group",
    )
    if round(units * valid_share) < 1 or units * (1 - test_share - valid_share) < 1:
        raise short
    splitter = GroupShuffleSplit(1, test_size=test_share, random_state=seed)
    rest, test = next(splitter.split(groups, groups=groups))
    splitter = GroupShuffleSplit(1, test_size=valid_share / (1 - test_share), random_state=seed + 1000 * turn)
    train, valid = next(splitter.split(rest, groups=groups[rest]))
    parts = Parts(*(np.sort(found).astype(np.int64) for found in (rest[train], rest[valid], test)))
    if min(len(np.unique(groups[part])) for part in (parts.valid, parts.test)) < FEWEST:
        raise short
    return parts


def joined(*marks: Rows) -> Rows:
    """Numbers from 0 for the connected parts of rows that share any mark; each of ``marks`` has shape ``(n,)``."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    count = len(marks[0])
    ends, nodes = [], count
    for mark in marks:
        ends.append(mark + nodes)
        nodes += int(mark.max()) + 1
    places = (np.tile(np.arange(count), len(marks)), np.concatenate(ends))
    graph = coo_array((np.ones(len(places[0]), np.int8), places), shape=(nodes, nodes))
    return codes(connected_components(graph, directed=False)[1][:count])


def _inputs(vs: VectorSet, field: str, rows: Rows) -> Rows:
    digests: list[Any] = vs.to_arrow([f"{field}_sha256"]).column(0).to_pylist()
    # an input without digest is its own
    return codes([digests[row] or f"row {row}" for row in rows.tolist()])

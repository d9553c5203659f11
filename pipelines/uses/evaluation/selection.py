"""Which rows of a set take part, what is known of them, and how many are left out for which reason.

Only rows whose status is ok take part; the others are counted, never filled in.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from embedders.errors import UsageError
from pipelines.uses.evaluation.figures import codes
from pipelines.uses.evaluation.splits import named_folds
from pipelines.uses.evaluation.truth import Joined, Truth

if TYPE_CHECKING:
    from pipelines.vectors import VectorSet

__all__ = ["Selection"]

Rows = npt.NDArray[np.int64]


class Selection:
    """The rows of a set that an evaluation may use; see :class:`~pipelines.uses.evaluation.evaluator.Evaluator`."""

    def __init__(self, vectors: VectorSet, truth: Truth | None, seed: int, sample: int | None) -> None:
        if sample is not None and sample < 2:
            raise UsageError(f"The sample is {sample} rows; at least 2 are needed")
        self.vectors = vectors
        self.truth: Joined | None = None if truth is None else truth.join(vectors.ids)
        self._drawn = np.ones(len(vectors), np.bool_)
        if sample is not None and sample < len(vectors):
            self._drawn[:] = False
            self._drawn[np.random.default_rng(seed).choice(len(vectors), sample, replace=False)] = True
        if self.truth is not None and self.has("group") and self.has("split"):
            both = np.flatnonzero(self.truth.known("group") & self.truth.known("split"))
            if len(both):
                named_folds(self.known("split", both), self.known("group", both))

    def has(self, kind: str) -> bool:
        """Whether the truth has a column of this kind."""
        return self.truth is not None and kind in self.truth.columns

    def rows(self, columns: Sequence[str], kinds: Sequence[str] = ()) -> tuple[Rows, Counter[str]]:
        """Rows that are ok in all ``columns`` and have a value of all ``kinds``, and the others by reason.

        Raises UsageError if fewer than two remain.
        """
        left_out: Counter[str] = Counter()
        reasons = [("not sampled", self._drawn)]
        reasons += [(f"not ok in {name}", self.vectors[name].ok) for name in columns]
        if kinds and self.truth is not None:
            reasons.append(("not in the labels", self.truth.listed))
            reasons += [(f"without {kind}", self.truth.known(kind)) for kind in kinds]
        mask = np.ones(len(self.vectors), np.bool_)
        for reason, fine in reasons:
            lost = int((mask & ~fine).sum())
            if lost:
                left_out[reason] = lost
            mask &= fine
        if mask.sum() < 2:
            why = ", ".join(f"{count} {reason}" for reason, count in left_out.items())
            raise UsageError(
                f"{int(mask.sum())} of {len(self.vectors)} rows remain for {' and '.join(columns)}"
                + (f" ({why})" if why else ""),
                "At least 2 are needed",
            )
        return np.flatnonzero(mask), left_out

    def known(self, kind: str, rows: Rows) -> npt.NDArray[Any]:
        """What is known of these rows, all of which have a value: float64 for scores, else strings."""
        assert self.truth is not None
        return self.truth.columns[kind][rows].astype(np.float64 if kind == "score" else np.str_)

    def groups(self, rows: Rows) -> npt.NDArray[Any] | None:
        """The groups of these rows, where groups were given."""
        return self.known("group", rows) if self.has("group") else None

    def vectors_of(self, column: str, rows: Rows) -> npt.NDArray[np.float32]:
        """These rows of a column, in memory."""
        return np.asarray(self.vectors[column].vectors[rows])

    def once_per_group(self, column: str, rows: Rows, left_out: Counter[str]) -> Rows:
        """The first row of every input in its group; its repeats are added to ``left_out``.

        A table of captions names each picture once per caption, and a gallery with five copies of each would
        push every right answer five times as far down.
        """
        field = self.vectors[column].info.field
        digest = self.vectors.to_arrow([f"{field}_sha256"]).column(0).to_pylist()
        groups = codes(self.known("group", rows))
        first: dict[tuple[int, str], int] = {}
        for row, group in zip(rows.tolist(), groups.tolist(), strict=True):
            # an input without digest is its own
            first.setdefault((group, digest[row] or f"row {row}"), row)
        if len(first) < len(rows):
            left_out["repeats of an input in its group"] += len(rows) - len(first)
        return np.array(list(first.values()), np.int64)

"""Labels read off the nearest neighbours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from embedders.errors import UsageError
from pipelines.uses.evaluation.classes import scores
from pipelines.uses.evaluation.figures import BLOCK, Outcome, checked, codes, similarities, unit
from pipelines.uses.evaluation.splits import Fold, Rows, at_least_two_classes, named_folds

__all__ = ["NEIGHBOURS", "TEMPERATURE", "knn"]

NEIGHBOURS = (20, 10)
TEMPERATURE = 0.07
"""With k = 20 the protocol of DINO (Caron et al. 2021), after Wu et al. 2018."""


def knn(
    vectors: npt.NDArray[Any],
    labels: npt.ArrayLike,
    *,
    split: npt.ArrayLike | None = None,
    groups: npt.ArrayLike | None = None,
    ks: Sequence[int] = NEIGHBOURS,
    temperature: float = TEMPERATURE,
    seed: int = 0,
) -> Outcome:
    """Classify each row by the k most similar others, each voting with exp(cosine / temperature).

    With ``split`` the neighbours come from the training rows (and validation rows, which nothing is chosen on
    here); without it every row is asked with all rows as neighbours but those of its own group: leave-one-out
    where there are no groups. Equal similarities go by row order, equal votes to the label that sorts first.
    Chance is the most frequent class among the neighbours, given as everyone's answer.

    Raises UsageError for a single class, a group in two splits, and where no row has k neighbours for any k.
    """
    checked("The vectors", vectors, labels=np.asarray(labels))
    at_least_two_classes("The labels", labels)
    y, rows = codes(labels), np.arange(len(vectors))
    of = rows if groups is None else codes(groups)
    if split is None:
        divided = [Fold(rows, rows[:0], rows)]
    else:
        divided = named_folds(split, groups)
        divided = [Fold(np.sort(np.concatenate([f.train, f.valid])), rows[:0], f.test) for f in divided]
    allowed = min(len(f.train) - (int(np.bincount(of[f.test]).max()) if split is None else 0) for f in divided)
    usable = [k for k in ks if k <= allowed]
    if not usable:
        raise UsageError(
            f"k = {', '.join(map(str, ks))} neighbours, and there are {max(allowed, 0)} to choose from"
        )

    x, classes = unit(vectors), int(y.max()) + 1
    correct = {k: np.zeros(len(y)) for k in usable}
    constant = np.zeros(len(y))
    for fold in divided:
        constant[fold.test] = y[fold.test] == np.bincount(y[fold.train]).argmax()
        step = max(1, BLOCK // len(fold.train))
        for start in range(0, len(fold.test), step):
            asked = fold.test[start : start + step]
            found = similarities(x[asked], x[fold.train], 0, len(asked))
            if split is None:
                found[of[asked][:, None] == of[fold.train][None]] = -np.inf
            for row, similar in zip(asked, found, strict=True):
                near = _nearest(similar, max(usable))
                weights = np.exp((similar[near].astype(np.float64) - 1) / temperature)
                for k in usable:
                    votes = np.bincount(y[fold.train][near[:k]], weights[:k], classes)
                    correct[k][row] = votes.argmax() == y[row]
    tested = np.sort(np.concatenate([f.test for f in divided]))
    figures = []
    for k in usable:
        figures += scores(correct[k][tested], y[tested], of[tested], seed, f" k={k}", constant[tested])
    dropped = [str(k) for k in ks if k not in usable]
    notes = [f"k = {', '.join(dropped)} is left out: there are {allowed} neighbours"] if dropped else []
    own = 0.0 if split is not None else float(np.bincount(of)[of].mean())
    if split is None:
        notes.append("every row is asked, with all rows but its own" + (" group" if groups is not None else ""))
    against = round(float(np.mean([len(f.train) for f in divided])) - own)
    return Outcome("knn", tuple(figures), len(tested), against, notes=tuple(notes), seed=seed)


def _nearest(similar: npt.NDArray[np.float32], k: int) -> Rows:
    """The k largest, largest first; equal ones in row order."""
    least = np.partition(similar, len(similar) - k)[len(similar) - k]
    near = np.concatenate([np.flatnonzero(similar > least), np.flatnonzero(similar == least)])[:k]
    order: Rows = near[np.argsort(-similar[near], kind="stable")]
    return order

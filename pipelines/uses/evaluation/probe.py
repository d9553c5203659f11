"""Labels read off vectors by a linear classifier."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from pipelines.uses.evaluation.classes import scores
from pipelines.uses.evaluation.figures import Floats, Outcome, checked, codes
from pipelines.uses.evaluation.splits import Fold, Rows, at_least_two_classes, folds, held_out, named_folds

__all__ = ["GRID", "linear_probe"]

GRID = tuple(10.0**power for power in range(-3, 4))
"""Values of C, the inverse strength of regularisation, among which validation chooses."""

STEPS = 1000


def linear_probe(
    vectors: npt.NDArray[Any],
    labels: npt.ArrayLike,
    *,
    split: npt.ArrayLike | None = None,
    groups: npt.ArrayLike | None = None,
    grid: Sequence[float] = GRID,
    seed: int = 0,
) -> Outcome:
    """Logistic regression on standardised vectors, asked about rows it has not seen.

    Mean and deviation come from the rows that teach; C is the one of ``grid`` with the best accuracy on
    validation (the smallest such C), and the probe is then fitted anew on training and validation rows together.
    Without ``split`` there are five folds by group; without validation rows a fifth of the training rows serves,
    by group too. ``accuracy`` is over all rows asked; the notes give mean and deviation over folds.

    Raises UsageError for a single class, also among the rows that teach, and for a group in two splits.
    """
    checked("The vectors", vectors, labels=np.asarray(labels))
    at_least_two_classes("The labels", labels)
    x, y = np.asarray(vectors, np.float64), codes(labels)
    of = np.arange(len(y)) if groups is None else codes(groups)
    divided = folds(y, groups, seed) if split is None else named_folds(split, groups)
    correct, constant = np.zeros(len(y)), np.zeros(len(y))
    chosen, unseen, stopped, accuracies = [], 0, 0, []
    for fold in divided:
        teaching = np.concatenate([fold.train, fold.valid])
        at_least_two_classes("The training rows", y[fold.train])
        best, short = _choose(x, y, of, fold, grid, seed)
        model, unfinished = _fit(x[teaching], y[teaching], best)
        correct[fold.test] = model(x[fold.test]) == y[fold.test]
        constant[fold.test] = y[fold.test] == np.bincount(y[teaching]).argmax()
        unseen += int((~np.isin(y[fold.test], y[teaching])).sum())
        stopped += short + unfinished
        chosen.append(best)
        accuracies.append(float(correct[fold.test].mean()))
    tested = np.sort(np.concatenate([f.test for f in divided]))
    figures = scores(correct[tested], y[tested], of[tested], seed, "", constant[tested])
    notes = [f"C = {', '.join(f'{c:g}' for c in chosen)}"]
    if len(divided) > 1:
        spread = f"{np.mean(accuracies):.4f} ± {np.std(accuracies, ddof=1):.4f}"
        notes.append(f"accuracy over {len(divided)} folds: {spread}")
    if unseen:
        notes.append(f"{unseen} rows asked have a class that no training row has; they count as wrong")
    if stopped:
        notes.append(f"{stopped} fits did not converge within {STEPS} steps")
    against = round(float(np.mean([len(f.train) + len(f.valid) for f in divided])))
    return Outcome("probe", tuple(figures), len(tested), against, notes=tuple(notes), seed=seed)


def _choose(x: Floats, y: Rows, of: Rows, fold: Fold, grid: Sequence[float], seed: int) -> tuple[float, int]:
    """The C that does best on validation, and how many fits did not converge."""
    train, valid = fold.train, fold.valid
    if not len(valid):
        learned, kept = held_out(y[train], of[train], seed)
        train, valid = fold.train[learned], fold.train[kept]
    at_least_two_classes("The training rows without validation", y[train])
    accuracies, stopped = [], 0
    for c in sorted(grid):
        model, unfinished = _fit(x[train], y[train], c)
        accuracies.append(float((model(x[valid]) == y[valid]).mean()))
        stopped += unfinished
    return sorted(grid)[int(np.argmax(accuracies))], stopped


def _fit(x: Floats, y: Rows, c: float) -> tuple[Callable[[Floats], Rows], bool]:
    """What predicts labels, and whether the fit was stopped before it converged."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(StandardScaler(), LogisticRegression(C=c, max_iter=STEPS))
    with warnings.catch_warnings(record=True) as raised:
        warnings.simplefilter("always", ConvergenceWarning)
        model.fit(x, y)
    return model.predict, any(issubclass(w.category, ConvergenceWarning) for w in raised)

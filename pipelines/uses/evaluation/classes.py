"""Words for classes (zero-shot), and the figures that all ways to read labels off vectors share.

* ``accuracy``: the share of rows that got their label;
* ``macro_recall``: the mean over classes of the share of each class that did, so that a large class cannot hide a
  small one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from embedders.errors import UsageError
from pipelines.uses.evaluation.figures import (
    BLOCK,
    Figure,
    Floats,
    Outcome,
    bootstrap,
    checked,
    codes,
    similarities,
    unit,
)
from pipelines.uses.evaluation.splits import Rows

__all__ = ["class_vectors", "macro_recall", "scores", "zero_shot"]


def class_vectors(templates: npt.NDArray[Any]) -> Floats:
    """One vector per class from its vectors ``(classes, templates, dim)``: each at length 1, mean, length 1."""
    return unit(unit(templates).mean(axis=1))


def zero_shot(
    vectors: npt.NDArray[Any],
    labels: npt.ArrayLike,
    classes: npt.NDArray[Any],
    *,
    groups: npt.ArrayLike | None = None,
    ks: Sequence[int] = (1, 5),
    seed: int = 0,
) -> Outcome:
    """Give each row the most similar of ``classes`` (classes, dim), as :func:`class_vectors` makes them.

    ``labels`` are row numbers of ``classes``. ``accuracy@k`` asks for the right class among the first k; a tie
    goes to the wrong class. Chance is that of a blind draw, k / classes. Raises UsageError for fewer than two
    classes and labels beyond them.
    """
    y = np.asarray(labels)
    checked("The vectors", vectors, labels=y)
    checked("The classes", classes)
    if y.dtype.kind not in "iu" or y.min() < 0 or y.max() >= len(classes):
        raise UsageError(f"The labels are not the numbers of {len(classes)} classes, counted from 0")
    usable = [k for k in ks if k <= len(classes)]
    a, b = unit(vectors), unit(classes)
    rank = np.empty(len(a), np.int64)
    step = max(1, BLOCK // len(b))
    for start in range(0, len(a), step):
        found = similarities(a, b, start, start + step)
        own = np.take_along_axis(found, y[start : start + step, None], axis=1)
        rank[start : start + step] = (found >= own).sum(axis=1)
    of = np.arange(len(y)) if groups is None else codes(groups)
    hits = np.stack([rank <= k for k in usable], axis=1).astype(np.float64)
    low, high = bootstrap(lambda w: w @ hits / w.sum(), of, seed=seed)
    figures = [
        Figure(f"accuracy@{k}", float(hits[:, i].mean()), k / len(classes), float(low[i]), float(high[i]))
        for i, k in enumerate(usable)
    ]
    figures.append(macro_recall((rank == 1).astype(np.float64), codes(y), of, seed, "", 1 / len(classes)))
    dropped = [str(k) for k in ks if k > len(classes)]
    notes = (f"k = {', '.join(dropped)} is left out: there are {len(classes)} classes",) if dropped else ()
    return Outcome("zero_shot", tuple(figures), len(y), len(classes), notes=notes, seed=seed)


def scores(correct: Floats, y: Rows, of: Rows, seed: int, suffix: str, constant: Floats) -> list[Figure]:
    """``accuracy`` and ``macro_recall`` of answers that were right (1.0) or wrong, with labels ``y``.

    ``of`` names the units of resampling; ``constant`` is 1.0 where the one answer that was the most frequent
    class among what was learned would have been right: the chance level of accuracy.
    """
    low, high = bootstrap(lambda w: w @ correct / w.sum(), of, seed=seed)
    chance = float(constant.mean())
    accuracy = Figure(f"accuracy{suffix}", float(correct.mean()), chance, float(low), float(high))
    return [accuracy, macro_recall(correct, y, of, seed, suffix, 1 / len(np.unique(y)))]


def macro_recall(correct: Floats, y: Rows, of: Rows, seed: int, suffix: str, chance: float) -> Figure:
    """The mean over classes of the share that was right; classes that a resample misses do not count in it."""

    def statistic(weights: Floats) -> float:
        total = np.bincount(y, weights)
        right = np.bincount(y, weights * correct)
        return float((right[total > 0] / total[total > 0]).mean())

    low, high = bootstrap(statistic, of, seed=seed)
    return Figure(f"macro_recall{suffix}", statistic(np.ones(len(y))), chance, float(low), float(high))

"""Figures of rows that stand beside each other: graded similarity, forced choice, the gap between two sides."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from embedders.errors import UsageError
from pipelines.uses.evaluation.figures import Figure, Floats, Outcome, bootstrap, checked, unit
from pipelines.uses.evaluation.ranking import retrieval

__all__ = ["duplicates", "forced_choice", "gap", "sts"]

TOSSES = 20
"""Random exchanges of the two sides behind the chance level of the gap."""


def sts(
    a: npt.NDArray[Any],
    b: npt.NDArray[Any],
    scores: npt.ArrayLike,
    *,
    groups: npt.ArrayLike | None = None,
    seed: int = 0,
) -> Outcome:
    """Whether cosines of row i of ``a`` and row i of ``b``, both (n, dim), order pairs as people's ``scores`` do.

    Spearman's rank correlation (ties at their mean rank) and Pearson's, by scipy; chance is 0. Raises UsageError
    where scores or cosines are all equal, since no correlation is defined then.
    """
    from scipy.stats import pearsonr, spearmanr

    given = np.asarray(scores, np.float64)
    checked("The pairs", a, scores=given, partners=b)
    checked("The pairs", b)
    if not np.isfinite(given).all():
        raise UsageError("The scores hold NaN or infinite values", "Leave those rows out")
    cosine = (unit(a) * unit(b)).sum(axis=1).astype(np.float32).astype(np.float64)
    for what, values in (("scores", given), ("cosines", cosine)):
        if np.ptp(values) == 0:
            raise UsageError(f"All {len(values)} {what} are {values[0]:g}; correlation needs them to differ")

    def statistic(weights: Floats) -> Floats:
        rows = np.repeat(np.arange(len(given)), weights.astype(np.int64))
        x, y = cosine[rows], given[rows]
        if np.ptp(x) == 0 or np.ptp(y) == 0:
            return np.full(2, np.nan)
        return np.array([spearmanr(x, y).statistic, pearsonr(x, y).statistic])

    values = statistic(np.ones(len(given)))
    low, high = bootstrap(statistic, np.arange(len(given)) if groups is None else groups, seed=seed)
    names = ("spearman", "pearson")
    figures = (Figure(n, float(values[i]), 0.0, float(low[i]), float(high[i])) for i, n in enumerate(names))
    return Outcome("sts", tuple(figures), len(given), seed=seed)


def forced_choice(
    anchors: npt.NDArray[Any],
    right: npt.NDArray[Any],
    wrong: npt.NDArray[Any],
    *,
    groups: npt.ArrayLike | None = None,
    seed: int = 0,
) -> Outcome:
    """Whether row i of ``anchors`` is more similar to row i of ``right`` than of ``wrong``; all are (n, dim).

    Made for attribute swaps: a caption against the same with one attribute exchanged. ``accuracy`` counts a tie
    as half, which is what a coin would make of it; chance is one half. ``tie_rate`` is the share of ties.
    """
    checked("The anchors", anchors, right=right, wrong=wrong)
    checked("The right ones", right)
    checked("The wrong ones", wrong)
    asked = unit(anchors)
    # rounded, so that a caption swapped for itself ties
    margin = np.float32((asked * unit(right)).sum(axis=1)) - np.float32((asked * unit(wrong)).sum(axis=1))
    table = np.stack([(np.sign(margin) + 1) / 2, margin == 0], axis=1).astype(np.float64)
    low, high = bootstrap(
        lambda w: w @ table / w.sum(), np.arange(len(table)) if groups is None else groups, seed=seed
    )
    figures = tuple(
        Figure(name, float(table[:, i].mean()), chance, float(low[i]), float(high[i]))
        for i, (name, chance) in enumerate((("accuracy", 0.5), ("tie_rate", None)))
    )
    return Outcome("swap", figures, len(table), seed=seed)


def gap(a: npt.NDArray[Any], b: npt.NDArray[Any], *, groups: npt.ArrayLike | None = None, seed: int = 0) -> Outcome:
    """How far apart two sides of one space lie as wholes; row i of ``a`` belongs to row i of ``b``, both (n, dim).

    ``centroid_distance`` is the distance between the mean unit vectors (Liang et al. 2022, "Mind the gap"), from
    0 to 2. Its chance level is the mean of 20 times the same after each row's two vectors changed sides by the
    toss of a coin; its interval is taken along the direction found, since resampled lengths are too long on
    average. ``centred_hit_rate@1`` is the hit rate from ``a`` to ``b`` (groups are positives) after each side's
    mean is taken off and lengths are made 1 again: what the gap alone costs.
    """
    checked("The rows", a, partners=b)
    checked("The rows", b)
    x, y = unit(a), unit(b)
    of = np.arange(len(x)) if groups is None else np.asarray(groups)
    difference = x - y
    rng = np.random.default_rng(seed)
    signs = rng.choice([-1.0, 1.0], size=(TOSSES, len(x)))
    chance = float(np.linalg.norm(signs @ difference / len(x), axis=1).mean())
    mean = difference.mean(axis=0)
    distance = float(np.linalg.norm(mean))
    along = difference @ (mean / distance) if distance else np.zeros(len(x))
    low, high = bootstrap(lambda w: w @ along / w.sum(), of, seed=seed)
    hit = retrieval(x - x.mean(axis=0), y - y.mean(axis=0), of, of, ks=(1,), seed=seed)["hit_rate@1"]
    figures = (
        Figure("centroid_distance", distance, chance, float(low), float(high)),
        Figure("centred_hit_rate@1", hit.value, hit.chance, hit.low, hit.high),
    )
    return Outcome("gap", figures, len(x), len(y), seed=seed)


def duplicates(vectors: npt.NDArray[Any], *, groups: npt.ArrayLike | None = None, seed: int = 0) -> Outcome:
    """``duplicate_rate``: the share of rows whose vector (of ``(n, dim)``) another row has too, bit for bit.

    Chance is 0: different inputs have different vectors. Many duplicates mean repeated inputs, or an embedder
    that has collapsed; either way they tie in every ranking.
    """
    checked("The vectors", vectors)
    rows = np.ascontiguousarray(vectors) + 0.0  # -0.0 and 0.0 are one value
    keys = rows.view(np.dtype((np.void, rows.dtype.itemsize * rows.shape[1]))).reshape(-1)
    _, of, counts = np.unique(keys, return_inverse=True, return_counts=True)
    shared = (counts[of.reshape(-1)] > 1).astype(np.float64)
    units = np.arange(len(shared)) if groups is None else groups
    low, high = bootstrap(lambda w: w @ shared / w.sum(), units, seed=seed)
    figure = Figure("duplicate_rate", float(shared.mean()), 0.0, float(low), float(high))
    return Outcome("duplicates", (figure,), len(shared), seed=seed)

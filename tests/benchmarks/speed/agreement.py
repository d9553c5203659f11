"""How far two sets of vectors of the same inputs lie apart, in measures that random weights do not flatter.

With seeded weights all vectors of a model point nearly the same way, and a cosine is near 1 whatever is broken: the
mean of the set is taken off first.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["Agreement", "agreement"]

NEIGHBOURS = 10


@dataclass(frozen=True)
class Agreement:
    """Of ``rows`` inputs that both have: cosines after centring, the largest relative L2, neighbours in common.

    Both are centred by the mean of the expected ones, so that an error common to all counts; with ``apart_p1`` each
    by its own, as within a set.
    """

    rows: int
    cosine_p1: float
    cosine_median: float
    apart_p1: float
    relative_l2: float
    overlap: float


def agreement(found: np.ndarray, expected: np.ndarray) -> Agreement:
    """Compare row by row, at unit length; rows with NaN in either are left out.

    Raises ValueError where the shapes differ or fewer than three rows are left.
    """
    if found.shape != expected.shape:
        raise ValueError(f"vectors of shape {found.shape} cannot be compared with {expected.shape}")
    both = np.isfinite(found).all(1) & np.isfinite(expected).all(1)
    if both.sum() < 3:
        raise ValueError(f"{both.sum()} rows are too few to compare")
    ours, theirs = _unit(found[both]), _unit(expected[both])
    centre = theirs.mean(0)
    cosines = np.sum(_unit(ours - centre) * _unit(theirs - centre), axis=1)
    apart = np.sum(_unit(ours - ours.mean(0)) * _unit(theirs - centre), axis=1)
    away = np.linalg.norm(ours - theirs, axis=1)
    k = min(NEIGHBOURS, (len(ours) + 2) // 4)  # of few rows, ten would be all that there are
    near, nearest = _neighbours(ours, k), _neighbours(theirs, k)
    common = np.mean([len(set(a) & set(b)) / k for a, b in zip(near.tolist(), nearest.tolist(), strict=True)])
    low, median = np.quantile(cosines, (0.01, 0.5))
    far = float(np.quantile(apart, 0.01))
    return Agreement(int(both.sum()), float(low), float(median), far, float(away.max()), float(common))


def _unit(vectors: np.ndarray) -> np.ndarray:
    vectors = vectors.astype(np.float64)
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)


def _neighbours(vectors: np.ndarray, k: int) -> np.ndarray:
    similarity = vectors @ vectors.T
    np.fill_diagonal(similarity, -np.inf)
    return np.argpartition(-similarity, k - 1, axis=1)[:, :k]

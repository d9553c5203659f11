"""Heads that need no training: one affine map, solved for; its strength chosen on the validation part.

* ``ridge``: least squares onto the anchor's vectors with an L2 penalty, by scikit-learn.
* ``procrustes``: the rotation that brings centred vectors closest (Schönemann 1966), by scipy.
* ``cca``: prediction by the first canonical directions alone. With covariances Sxx, Syy, Sxy and the singular
  value decomposition ``U diag(r) V' = Sxx^-1/2 Sxy Syy^-1/2`` the canonical correlations are r (Hotelling 1936; by
  way of the decomposition: Björck and Golub 1973; the ridge on both covariances: Vinod 1976), and the best
  prediction of rank k is ``(x - mx) Sxx^-1/2 Uk diag(rk) Vk' Syy^1/2 + my`` (Izenman 1975). scikit-learn's CCA
  iterates direction by direction, which takes minutes for hundreds.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from embedders.models.aligned import Head, Layer
from pipelines.training.align.judge import Score, applied, score
from pipelines.training.align.pairs import Pairs, Parts

__all__ = ["CLOSED", "Canonical", "Solved", "affine", "canonical", "procrustes", "ridge", "solve"]

Floats: TypeAlias = npt.NDArray[np.float64]

CLOSED = ("ridge", "procrustes", "cca")
MOST = 50_000
"""Pairs that a closed form is solved from at most, evenly taken: 0.3 GB a side at 768 dimensions."""
PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
"""Of ridge, per pair, where every dimension of the source has variance 1."""
SHRINKAGES = (1e-3, 1e-2, 1e-1, 1.0)
"""Of cca: added to the covariances' diagonals, as shares of their mean."""
RANKS = (8, 32, 128, 512)
"""Canonical directions that cca tries to make do with."""
FLOOR = 1e-6
"""Share of the largest deviation below which a dimension counts as constant."""


@dataclass(frozen=True)
class Solved:
    """The best head of a closed form, what it was chosen with, and its score on the validation part."""

    head: Head
    settings: dict[str, Any]
    score: Score


def solve(method: str, pairs: Pairs, parts: Parts) -> Solved:
    """Solve from the training part under every setting, and take the one that the validation part likes best."""
    train = parts.train[:: -(-len(parts.train) // MOST)]
    x, y = pairs.x[train].astype(np.float64), pairs.y[train].astype(np.float64)
    tried = [
        Solved(head, settings, score(applied(head, pairs.x[parts.valid]), pairs, parts.valid))
        for head, settings in _candidates(method, x, y)
    ]
    return max(tried, key=lambda found: found.score)


def _candidates(method: str, x: Floats, y: Floats) -> Iterator[tuple[Head, dict[str, Any]]]:
    if method == "ridge":
        for penalty in PENALTIES:
            yield ridge(x, y, penalty), {"penalty": penalty}
    elif method == "procrustes":
        yield procrustes(x, y), {}
    else:
        most = min(x.shape[1], y.shape[1])
        for shrinkage in SHRINKAGES:
            found = canonical(x, y, shrinkage)
            for rank in sorted({min(rank, most) for rank in RANKS}):
                yield found.head(rank), {"shrinkage": shrinkage, "rank": rank}


def ridge(x: Floats, y: Floats, penalty: float) -> Head:
    """Ridge regression of ``y`` (n, b) on ``x`` (n, a), whose dimensions are brought to variance 1 first."""
    from sklearn.linear_model import Ridge

    mean, deviation = x.mean(axis=0), _deviation(x)
    model = Ridge(alpha=penalty * len(x)).fit((x - mean) / deviation, y)
    weight = np.atleast_2d(model.coef_) / deviation
    return affine(weight, model.intercept_ - weight @ mean)


def procrustes(x: Floats, y: Floats) -> Head:
    """The rotation (with dimensions dropped or left empty where the two sides differ) between centred sides."""
    from scipy.linalg import orthogonal_procrustes

    wide = max(x.shape[1], y.shape[1])
    means = x.mean(axis=0), y.mean(axis=0)
    sides = [
        np.pad(side - mean, ((0, 0), (0, wide - side.shape[1]))) for side, mean in zip((x, y), means, strict=True)
    ]
    turned, _ = orthogonal_procrustes(*sides)
    # a rotation keeps lengths: only this scale makes the means of the two sides weigh alike
    scale = float(np.linalg.norm(sides[1]) / np.linalg.norm(sides[0]))
    weight = scale * turned[: x.shape[1], : y.shape[1]].T
    return affine(weight, means[1] - weight @ means[0])


@dataclass(frozen=True)
class Canonical:
    """Canonical correlations ``(k,)``, descending, with the whitened ways in ``(a, k)`` and out ``(k, b)``."""

    correlations: Floats
    into: Floats
    out: Floats
    means: tuple[Floats, Floats]

    def head(self, rank: int) -> Head:
        """The best prediction by the first ``rank`` directions."""
        weight = (self.into[:, :rank] * self.correlations[:rank] @ self.out[:rank]).T
        return affine(weight, self.means[1] - weight @ self.means[0])


def canonical(x: Floats, y: Floats, shrinkage: float) -> Canonical:
    """Regularised canonical correlation analysis of ``x`` (n, a) and ``y`` (n, b)."""
    means = x.mean(axis=0), y.mean(axis=0)
    left, right = x - means[0], y - means[1]
    from_left, _ = _roots(left.T @ left / len(x), shrinkage)
    from_right, to_right = _roots(right.T @ right / len(x), shrinkage)
    u, correlations, v = np.linalg.svd(from_left @ (left.T @ right / len(x)) @ from_right, full_matrices=False)
    return Canonical(correlations, from_left @ u, v @ to_right, means)


def affine(weight: Floats, bias: Floats) -> Head:
    """The head of one affine map: ``weight`` (b, a), ``bias`` (b,)."""
    import torch

    def tensor(values: Floats) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(values, np.float32))

    return Head((Layer("affine", tensor(weight), tensor(bias)),))


def _roots(covariance: Floats, shrinkage: float) -> tuple[Floats, Floats]:
    """The inverse square root and the square root of a covariance whose diagonal was raised."""
    values, vectors = np.linalg.eigh(covariance)
    root = np.sqrt(np.maximum(values, 0) + shrinkage * max(float(values.mean()), np.finfo(np.float64).tiny))
    return vectors / root @ vectors.T, vectors * root @ vectors.T


def _deviation(x: Floats) -> Floats:
    """Standard deviations; 1 where a dimension is as good as constant and must not be blown up."""
    found: Floats = x.std(axis=0)
    return np.where(found > FLOOR * found.max(), found, 1.0)

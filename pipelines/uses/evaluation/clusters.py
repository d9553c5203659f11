"""Whether vectors fall into the classes by themselves: k-means, scored against labels."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from pipelines.uses.evaluation.figures import Figure, Floats, Outcome, bootstrap, checked, codes
from pipelines.uses.evaluation.splits import Rows, at_least_two_classes

__all__ = ["clustering"]

CLUSTER_DRAWS = 200
"""Fewer resamples than elsewhere: adjusted mutual information takes its time."""

RESTARTS = 10


def clustering(
    vectors: npt.NDArray[Any], labels: npt.ArrayLike, *, groups: npt.ArrayLike | None = None, seed: int = 0
) -> Outcome:
    """Cluster ``vectors`` (n, dim), as they are stored, into as many clusters as there are labels.

    scikit-learn's ``MiniBatchKMeans`` with k-means++ and the best of 10 starts; ``v_measure``, ``ami`` and
    ``nmi`` (arithmetic means) of its clusters and the labels. Chance is the same on random normal vectors of the
    same shape and seed. Intervals resample rows or groups of the one clustering, not the clustering itself.

    Raises UsageError for a single class and for fewer rows than classes need.
    """
    from sklearn.metrics import (
        adjusted_mutual_info_score,
        normalized_mutual_info_score,
        v_measure_score,
    )

    checked("The vectors", vectors, labels=np.asarray(labels))
    classes = at_least_two_classes("The labels", labels)
    y = codes(labels)
    scores = {
        "v_measure": v_measure_score,
        "ami": adjusted_mutual_info_score,
        "nmi": normalized_mutual_info_score,
    }
    x = np.asarray(vectors, np.float32)
    found = _clusters(x, classes, seed)
    random = _clusters(np.random.default_rng(seed).standard_normal(x.shape).astype(np.float32), classes, seed)

    def statistic(weights: Floats) -> Floats:
        rows = np.repeat(np.arange(len(y)), weights.astype(np.int64))
        return np.array([score(y[rows], found[rows]) for score in scores.values()])

    units = np.arange(len(y)) if groups is None else groups
    low, high = bootstrap(statistic, units, seed=seed, draws=CLUSTER_DRAWS)
    figures = tuple(
        Figure(name, float(score(y, found)), float(score(y, random)), float(low[i]), float(high[i]))
        for i, (name, score) in enumerate(scores.items())
    )
    return Outcome("clustering", figures, len(y), classes, seed=seed)


def _clusters(vectors: npt.NDArray[np.float32], count: int, seed: int) -> Rows:
    import warnings

    from sklearn.cluster import MiniBatchKMeans
    from sklearn.exceptions import ConvergenceWarning

    model = MiniBatchKMeans(count, random_state=seed, n_init=RESTARTS)
    with warnings.catch_warnings():  # fewer distinct vectors than classes: the score says it
        warnings.simplefilter("ignore", ConvergenceWarning)
        found: Rows = model.fit_predict(vectors).astype(np.int64)
    return found

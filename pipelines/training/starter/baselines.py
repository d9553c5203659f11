"""What plain statistics of pictures, captions and sounds reach: a tower must do better to have learned anything."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from pipelines.training.starter.triples import Triples

__all__ = ["features", "ridge"]

Table: TypeAlias = npt.NDArray[np.float64]

PENALTY = 10.0
"""Of the ridge regression, on standardised features."""


def features(triples: Triples) -> dict[str, Table]:
    """Per field one row of numbers without any learning: colour histogram, bag of words, mean and spread of bands.

    The histogram has four steps per channel, 64 colours in all, as shares; words are counted by number; bands of
    the log-mel have their mean and their standard deviation over time.
    """
    pictures = triples.inputs["picture"].numpy() >> 6
    colours = (pictures * np.array([16, 4, 1], np.uint8)).sum(-1).reshape(len(triples), -1)
    words = triples.inputs["caption"].numpy()
    sounds = triples.inputs["sound"].numpy().astype(np.float64)
    bags = np.stack([np.bincount(row, minlength=512)[1:] for row in words])
    return {
        "picture": np.stack([np.bincount(row, minlength=64) for row in colours]) / colours.shape[1],
        "caption": bags.astype(np.float64),
        "sound": np.concatenate([sounds.mean(2), sounds.std(2)], axis=1),
    }


def ridge(
    known: Mapping[str, Table], asked: Mapping[str, Table], direction: tuple[str, str]
) -> tuple[Table, Table]:
    """Vectors to compare for one direction: what a ridge regression makes of the first field, and the second.

    Trained on the rows of ``known``; all features are standardised by those rows.
    """
    from sklearn.linear_model import Ridge

    source, target = direction
    centre = {field: (rows.mean(0), np.maximum(rows.std(0), 1e-6)) for field, rows in known.items()}
    ready = {
        field: (
            (known[field] - centre[field][0]) / centre[field][1],
            (asked[field] - centre[field][0]) / centre[field][1],
        )
        for field in direction
    }
    model = Ridge(alpha=PENALTY).fit(ready[source][0], ready[target][0])
    return np.asarray(model.predict(ready[source][1]), np.float64), ready[target][1]

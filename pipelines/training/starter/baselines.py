"""What plain statistics of pictures, captions and sounds reach: a tower must do better to have learned anything."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from pipelines.training.starter.triples import Triples

__all__ = ["backgrounds", "features", "ridge"]

Table: TypeAlias = npt.NDArray[np.float64]

Regression: TypeAlias = Callable[[Mapping[str, Table]], tuple[Table, Table]]
"""From statistics to the queries and the gallery of one direction."""

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


def backgrounds(triples: Triples) -> dict[str, Table]:
    """Of every picture its border alone, as mean red, green and blue: nothing that a caption or sound tells of.

    Whoever ranks better than chance by it has found a shortcut through the generator.
    """
    pictures = triples.inputs["picture"].numpy()
    border = np.concatenate([pictures[:, 0], pictures[:, -1], pictures[:, :, 0], pictures[:, :, -1]], axis=1)
    return {"picture": border.astype(np.float64).mean(1)}


def ridge(known: Mapping[str, Table], direction: tuple[str, str]) -> Regression:
    """Learn one direction by ridge regression: statistics become what it makes of the first field, and the second.

    Trained on the rows of ``known``; all features are standardised by those rows.
    """
    from sklearn.linear_model import Ridge

    centre = {field: (known[field].mean(0), np.maximum(known[field].std(0), 1e-6)) for field in direction}

    def standard(statistics: Mapping[str, Table], field: str) -> Table:
        mean, deviation = centre[field]
        return np.asarray((statistics[field] - mean) / deviation, np.float64)

    source, target = direction
    model = Ridge(alpha=PENALTY).fit(standard(known, source), standard(known, target))

    def predicted(asked: Mapping[str, Table]) -> tuple[Table, Table]:
        return np.asarray(model.predict(standard(asked, source)), np.float64), standard(asked, target)

    return predicted

"""How far the vectors of a column have moved, and whether that changes what a search finds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipelines.uses.comparison.rows import Rows
from pipelines.vectors import ColumnInfo, VectorSet
from pipelines.vectors.nearest import nearest_rows

__all__ = ["Drift", "Lined", "deviations", "drift"]

BLOCK_BYTES = 32 << 20
"""Memory for the vectors of one block, per set."""


@dataclass(frozen=True)
class Drift:
    """How far vectors have moved, over rows that are ok in both sets and made of the same content."""

    rows: int
    bit_equal: int
    largest: float
    """The greatest relative L2: the length of the difference over that of the longer vector, 0 to 2."""
    furthest: str
    """The id of the record it was found at."""
    smallest_cosine: float
    mean_cosine: float
    asked: int
    """Rows whose neighbours were looked for among all the others."""
    neighbours: float | None
    """Mean share of their nearest that stay the same, 0 to 1; None where no row was asked or has a neighbour."""


@dataclass(frozen=True)
class Lined:
    """Some rows of a column, in an order that a counterpart in another set has too."""

    owner: VectorSet
    name: str
    rows: Rows

    @property
    def info(self) -> ColumnInfo:
        """The facts of the column."""
        return self.owner[self.name].info

    def block(self, places: slice | Rows) -> npt.NDArray[np.float32]:
        """The vectors of some of them, ``(n, dim)``, in memory."""
        return np.asarray(self.owner[self.name].vectors)[self.rows[places]]

    def id(self, place: int) -> str:
        """The id of one of them."""
        return str(self.owner.take([int(self.rows[place])], ["id"]).column("id")[0])

    def nearest(self, asked: Rows, k: int) -> Rows:
        """For each row asked the ``k`` of the others with the largest cosine, ``(n_asked, k)``, best first."""
        queries = self.block(asked)
        places = np.empty((len(asked), 0), np.intp)
        scores = np.empty((len(asked), 0), np.float32)
        for block in _blocks(len(self.rows), self.info.dim):
            found, new = nearest_rows(self.block(block), queries, k + 1, unit=self.info.normalized)
            places, scores = np.hstack([places, block.start + found]), np.hstack([scores, new])
            best = np.argsort(-scores, axis=1, kind="stable")[:, : k + 1]
            places, scores = np.take_along_axis(places, best, 1), np.take_along_axis(scores, best, 1)
        own = places == asked[:, None]
        own[~own.any(axis=1), -1] = True  # more than k equal vectors stand before it
        return np.asarray(places[~own].reshape(len(asked), -1))


def deviations(
    one: npt.NDArray[np.floating], other: npt.NDArray[np.floating]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Relative L2 and cosine per row of two ``(n, dim)``; two vectors of length 0 are equal."""
    x, y = one.astype(np.float64), other.astype(np.float64)
    xx, yy, xy = _products(x, x), _products(y, y), _products(x, y)
    longer, both = np.sqrt(np.maximum(xx, yy)), np.sqrt(xx * yy)
    distance = np.sqrt(_products(x - y, x - y)) / np.where(longer == 0, 1, longer)
    cosine = np.clip(xy / np.where(both == 0, 1, both), -1, 1)
    return distance, np.where(longer == 0, 1, cosine)


def drift(a: Lined, b: Lined, *, sample: int, k: int, seed: int) -> Drift:
    """Compare two equally long, non-empty lists of vectors of one dimension, row by row.

    Equal vectors are never searched: where all are, all their neighbours are the same.
    """
    count = len(a.rows)
    equal, furthest, cosines = 0, (-1.0, 0), []
    for block in _blocks(count, a.info.dim):
        one, other = a.block(block), b.block(block)
        equal += int((one.view(np.uint32) == other.view(np.uint32)).all(axis=1).sum())
        distance, cosine = deviations(one, other)
        cosines.append((float(cosine.min()), float(cosine.sum())))
        worst = int(distance.argmax())
        furthest = max(furthest, (float(distance[worst]), block.start + worst), key=lambda found: found[0])
    asked, share = _neighbours(a, b, sample, k, seed, alike=equal == count)
    return Drift(
        rows=count,
        bit_equal=equal,
        largest=furthest[0],
        furthest=a.id(furthest[1]),
        smallest_cosine=min(smallest for smallest, _ in cosines),
        mean_cosine=sum(total for _, total in cosines) / count,
        asked=asked,
        neighbours=share,
    )


def _neighbours(a: Lined, b: Lined, sample: int, k: int, seed: int, *, alike: bool) -> tuple[int, float | None]:
    drawn = np.random.default_rng(seed).choice(len(a.rows), min(sample, len(a.rows)), replace=False)
    asked = np.sort(drawn)
    asked = asked[a.block(asked).any(axis=1) & b.block(asked).any(axis=1)]  # a vector of zeros is near to nothing
    if len(asked) == 0 or len(a.rows) == 1:
        return 0, None
    if alike:
        return len(asked), 1.0
    pairs = zip(a.nearest(asked, k), b.nearest(asked, k), strict=True)
    shares = [len(np.intersect1d(one, other, assume_unique=True)) / len(one) for one, other in pairs]
    return len(asked), float(np.mean(shares))


def _products(x: npt.NDArray[np.float64], y: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.asarray(np.einsum("ij,ij->i", x, y))


def _blocks(count: int, dim: int) -> list[slice]:
    rows = max(1, BLOCK_BYTES // (4 * dim))
    return [slice(start, min(start + rows, count)) for start in range(0, count, rows)]

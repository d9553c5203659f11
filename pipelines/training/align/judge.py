"""How good a head is: for choosing, two quick numbers; for the report, all figures with their intervals."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np

from embedders.models.aligned import Head
from pipelines.training.align.pairs import Pairs, Rows, Vectors
from pipelines.uses.evaluation import Outcome, gap, positive_ranks, retrieval

__all__ = ["Score", "applied", "both_ways", "gaps", "score"]

Score: TypeAlias = tuple[float, float]
"""Mean ``hit_rate@10`` of both directions, and mean ``mrr``, which decides between equal hit rates."""

BLOCK = 8192
"""Rows that a head takes at once."""


def applied(head: Head, vectors: Vectors) -> Vectors:
    """A head's vectors ``(n, b)`` of stored ones ``(n, a)``, on the CPU."""
    import torch

    blocks = [head(torch.tensor(vectors[start : start + BLOCK])) for start in range(0, len(vectors), BLOCK)]
    found: Vectors = torch.cat(blocks).numpy()
    return found


def score(mapped: Vectors, pairs: Pairs, rows: Rows) -> Score:
    """What a head is chosen by: ``mapped`` (len(rows), b) are its vectors of these rows of ``pairs``."""
    hits, reciprocal = [], []
    for queries, gallery, asked, held in _directions(mapped, pairs, rows):
        first = np.array([ranks[0] for ranks in positive_ranks(queries, gallery, asked, held)[0]])
        hits.append(float((first <= 10).mean()))
        reciprocal.append(float((1 / first).mean()))
    return float(np.mean(hits)), float(np.mean(reciprocal))


def both_ways(mapped: Vectors, pairs: Pairs, rows: Rows, seed: int) -> dict[str, Outcome]:
    """Retrieval from the source to the anchor (``there``) and from the anchor to the source (``back``)."""
    found = [retrieval(*direction, seed=seed) for direction in _directions(mapped, pairs, rows)]
    return dict(zip(("there", "back"), found, strict=True))


def gaps(mapped: Vectors, pairs: Pairs, rows: Rows) -> dict[str, float | None]:
    """Distance of the two sides' centroids before and after the head; before, only where dimensions are equal."""
    x, y = pairs.x[rows], pairs.y[rows]
    before = gap(x, y)["centroid_distance"].value if x.shape == y.shape else None
    return {"before": before, "after": gap(mapped, y)["centroid_distance"].value}


def _directions(mapped: Vectors, pairs: Pairs, rows: Rows) -> list[tuple[Vectors, Vectors, Rows, Rows]]:
    place = {row: at for at, row in enumerate(rows.tolist())}
    first, second = pairs.distinct(rows, 0), pairs.distinct(rows, 1)
    source = mapped[[place[row] for row in first.tolist()]]
    anchor = pairs.y[second]
    asked, held = pairs.groups[first], pairs.groups[second]
    return [(source, anchor, asked, held), (anchor, source, held, asked)]

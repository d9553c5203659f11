"""Retrieval from one side to another: whether a query finds what belongs to it.

Definitions, per query, over the ranks of its positives (gallery rows of its group):

* ``hit_rate@k``: 1 if any positive is among the first k. This is what the CLIP papers call R@k.
* ``recall@k``: the share of its positives among the first k.
* ``mrr``: 1 / rank of the first positive.
* ``map``: mean over positives of (positives up to and with it) / rank, at full depth.

Values are means over queries; ``median_rank`` is the smallest rank that at least half of the queries reach.

Ties are broken against the query: every gallery row that is not a positive and is exactly as similar stands before
the positive. An embedder that gives everything the same vector therefore scores 0 and not the luck of row order.
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

__all__ = ["KS", "chance_levels", "positive_ranks", "retrieval"]

KS = (1, 5, 10)


def retrieval(
    queries: npt.NDArray[Any],
    gallery: npt.NDArray[Any],
    query_groups: npt.ArrayLike | None = None,
    gallery_groups: npt.ArrayLike | None = None,
    *,
    ks: Sequence[int] = KS,
    seed: int = 0,
) -> Outcome:
    """Rank ``gallery`` (n, dim) for each of ``queries`` (m, dim) by cosine.

    A query's positives are the gallery rows of its group; without groups row i belongs to row i. Queries without
    a positive are left out and counted; a k above the gallery's size is left out and said. Chance is the exact
    expectation under a random order (:func:`chance_levels`); intervals resample groups. ``tie_rate`` is the share
    of queries for which the highest similarity is held by more than one gallery row.

    Raises UsageError for fewer than 2 rows on either side, NaN, and queries none of which has a positive.
    """
    checked("The queries", queries)
    checked("The gallery", gallery)
    if (query_groups is None) != (gallery_groups is None):
        raise UsageError("Groups are given for one side only; queries and gallery need them both")
    if query_groups is None or gallery_groups is None:
        if len(queries) != len(gallery):
            raise UsageError(
                f"{len(queries)} queries and {len(gallery)} gallery rows; without groups row i belongs to row i",
                "Give groups for both sides",
            )
        query_groups = gallery_groups = np.arange(len(queries))
    checked("The queries", queries, groups=np.asarray(query_groups))
    checked("The gallery", gallery, groups=np.asarray(gallery_groups))
    both = codes(np.concatenate([np.asarray(query_groups), np.asarray(gallery_groups)]))
    asked, held = both[: len(queries)], both[len(queries) :]
    answered = np.isin(asked, held)
    if not answered.any():
        raise UsageError(
            "No query has a positive in the gallery", "Queries and gallery rows belong by equal groups"
        )
    queries, asked = np.asarray(queries)[answered], asked[answered]

    usable = [k for k in ks if k <= len(gallery)]
    ranks, tied = positive_ranks(queries, gallery, asked, held)
    table = np.array([_row_scores(found, usable) for found in ranks])
    first = np.array([found[0] for found in ranks], np.float64)
    table = np.column_stack([table, tied.astype(np.float64)])
    order = np.argsort(first, kind="stable")

    def statistic(weights: Floats) -> Floats:
        total = np.cumsum(weights[order])
        middle = first[order][np.searchsorted(total, total[-1] / 2)]
        return np.append(weights @ table / weights.sum(), middle)

    values = statistic(np.ones(len(first)))
    low, high = bootstrap(statistic, asked, seed=seed)
    names = [f"hit_rate@{k}" for k in usable] + [f"recall@{k}" for k in usable]
    names += ["mrr", "map", "tie_rate", "median_rank"]
    chance = chance_levels(len(gallery), [len(found) for found in ranks], usable)
    figures = tuple(
        Figure(name, float(values[i]), chance.get(name), float(low[i]), float(high[i]))
        for i, name in enumerate(names)
    )
    dropped = [str(k) for k in ks if k > len(gallery)]
    notes = (f"k = {', '.join(dropped)} is left out: the gallery has {len(gallery)} rows",) if dropped else ()
    missing = int((~answered).sum())
    left_out = {"without a positive (queries)": missing} if missing else {}
    return Outcome("retrieval", figures, len(first), len(gallery), left_out, notes, seed)


def positive_ranks(
    queries: npt.NDArray[Any], gallery: npt.NDArray[Any], asked: npt.NDArray[Any], held: npt.NDArray[Any]
) -> tuple[list[npt.NDArray[np.int64]], npt.NDArray[np.bool_]]:
    """Per query the ranks of its positives, from 1 and ascending, and whether its highest similarity is shared.

    ``asked`` and ``held`` are the groups of queries and gallery rows. Positives stand behind all others of equal
    similarity.
    """
    a, b = unit(queries), unit(gallery)
    step = max(1, BLOCK // len(b))
    ranks, tied = [], np.zeros(len(a), np.bool_)
    for start in range(0, len(a), step):
        block = similarities(a, b, start, start + step)
        for row, found in enumerate(block, start):
            relevant = held == asked[row]
            positives = np.sort(found[relevant])[::-1]
            others = np.sort(found[~relevant])
            before = len(others) - np.searchsorted(others, positives, side="left")
            ranks.append(np.arange(1, len(positives) + 1) + before)
            tied[row] = np.count_nonzero(found == found.max()) > 1
    return ranks, tied


def _row_scores(ranks: npt.NDArray[np.int64], ks: Sequence[int]) -> list[float]:
    found = np.arange(1, len(ranks) + 1)
    return [
        *(float(ranks[0] <= k) for k in ks),
        *(float((ranks <= k).mean()) for k in ks),
        1.0 / float(ranks[0]),
        float((found / ranks).mean()),
    ]


def chance_levels(gallery: int, positives: Sequence[int], ks: Sequence[int] = KS) -> dict[str, float]:
    """What a uniformly random order of the gallery gives on average, exactly; one entry of ``positives`` a query.

    With N gallery rows and P positives: hit_rate@k is 1 - C(N-P, k) / C(N, k); recall@k is k / N; the first
    positive lies at rank r with the difference of two hit rates, which gives mrr and the rank that half of the
    queries reach; map is the sum over ranks r of (1 + (r-1)(P-1)/(N-1)) / (r N), the expected precision at a
    positive. All averaged over queries.
    """
    levels = {f"recall@{k}": k / gallery for k in ks}
    rank = np.arange(1, gallery + 1)
    sizes, counts = np.unique(np.asarray(positives), return_counts=True)
    share = counts / counts.sum()
    hit = np.zeros(gallery)
    levels["mrr"] = levels["map"] = 0.0
    for size, part in zip(sizes.tolist(), share.tolist(), strict=True):
        missed = np.cumprod(np.maximum(gallery - size - rank + 1, 0) / (gallery - rank + 1))
        hit += part * (1 - missed)
        first = -np.diff(missed, prepend=1.0)
        levels["mrr"] += part * float((first / rank).sum())
        before = (rank - 1) * (size - 1) / max(gallery - 1, 1)
        levels["map"] += part * float(((1 + before) / rank).sum()) / gallery
    levels.update({f"hit_rate@{k}": float(hit[k - 1]) for k in ks})
    # a sum of rounded shares must not push the middle to the next rank
    levels["median_rank"] = float(rank[np.searchsorted(hit, 0.5 - 1e-12)])
    return levels

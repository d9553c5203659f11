"""The k nearest rows to a query, exactly: a matrix product over blocks of the mapped vectors.

Nearness is the cosine. Where a column promises unit length that is the dot product, and a search reads every
vector once and copies none; otherwise lengths are computed along the way.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from embedders.errors import UsageError

__all__ = ["Hit", "nearest_rows"]

BLOCK_BYTES = 64 << 20
"""Memory for the scores of one block. Its vectors need none, being a view of the file; and every product makes the
threads of BLAS wait for each other once, so that few large ones are the fastest."""

FIRST_ROWS = 4096
"""Rows of the first block: enough that its best are better than nearly all that follows."""

QUERIES = 256
"""Queries that share one reading of the vectors: beyond that, arithmetic takes longer than reading."""

Rows = npt.NDArray[np.int64]
Scores = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Hit:
    """A row that a search found: its id, its place in the set, and its cosine with the query, -1 to 1."""

    id: str
    row: int
    score: float


def nearest_rows(
    vectors: npt.NDArray[np.float32], queries: npt.NDArray[np.floating], k: int, *, unit: bool
) -> tuple[Rows, Scores]:
    """Rows and cosines of the ``k`` best of ``vectors`` for each query, both ``(n_queries, k)``, best first.

    ``vectors`` is ``(n, dim)`` float32 and may be mapped from a file; rows of NaN are never found. ``queries`` is
    ``(n_queries, dim)`` of any length but zero. With ``unit`` the vectors are taken to have length 1; a vector
    of length 0, which has no direction, scores 0. Equal scores come in the order of rows. Where fewer than ``k``
    rows hold a vector, there are as many columns as such rows.

    Scores are sums in float32, so that equal vectors may differ in the last digit. Memory is bounded by one block
    whatever ``n``. Raises UsageError for ``k`` below 1 and for queries of another dimension, not finite, or zero.
    """
    if k < 1:
        raise UsageError(f"k is {k}; a search returns at least 1 result")
    plain = np.asarray(vectors)  # slices of a memmap are slower to make and nothing else
    wanted = _unit(queries, plain.shape[1])
    pieces = [_best(plain, wanted[at : at + QUERIES], k, unit) for at in range(0, len(wanted), QUERIES)]
    if not pieces:
        return np.empty((0, 0), np.int64), np.empty((0, 0), np.float32)
    return np.concatenate([rows for rows, _ in pieces]), np.concatenate([scores for _, scores in pieces])


def _best(vectors: Scores, queries: Scores, k: int, unit: bool) -> tuple[Rows, Scores]:
    count = len(queries)
    rows: list[Rows] = [np.empty(0, np.int64)] * count
    best: list[Scores] = [np.empty(0, np.float32)] * count
    worst = np.full(count, -np.inf, np.float32)
    most = max(1, BLOCK_BYTES // (4 * count))
    start, end = 0, min(FIRST_ROWS, most)
    while start < len(vectors):
        scores = _cosines(queries, vectors[start:end], unit)
        failed = np.isnan(scores[0])
        if failed.any():
            scores[:, failed] = -np.inf
        # almost all rows of almost all blocks are worse than what was found before: one comparison tells
        for query in np.flatnonzero(scores.max(axis=1) > worst):
            found = np.flatnonzero(scores[query] > worst[query])
            found = found[_largest(scores[query, found], k)]
            merged = np.concatenate([best[query], scores[query, found]])
            order = np.argsort(-merged, kind="stable")[:k]
            best[query] = merged[order]
            rows[query] = np.concatenate([rows[query], start + found])[order]
            if len(order) == k:
                worst[query] = best[query][-1]
        start, end = end, end + most
    return np.stack(rows), np.stack(best)


def _cosines(queries: Scores, block: Scores, unit: bool) -> Scores:
    """Cosines ``(n_queries, n)``; NaN where the row is NaN."""
    with np.errstate(all="ignore"):
        scores: Scores = queries @ block.T
        if unit:
            return scores
        lengths = np.sqrt(np.einsum("ij,ij->i", block, block))
        # squares beyond the range of float32 on either side; NaN is neither
        odd = (lengths < 1e-15) | (lengths > 1e15)
        scores /= np.where(lengths > 0, lengths, 1)
        if odd.any():
            wide = block[odd].astype(np.float64)
            exact = np.linalg.norm(wide, axis=1)
            scores[:, odd] = (queries @ wide.T) / np.where(exact > 0, exact, 1)
    return scores


def _largest(scores: Scores, k: int) -> Rows:
    """Places of the ``k`` largest in ascending order of places; of equal ones the first."""
    if len(scores) <= k:
        return np.arange(len(scores))
    level = np.partition(scores, len(scores) - k)[len(scores) - k]
    above = np.flatnonzero(scores > level)
    equal = np.flatnonzero(scores == level)[: k - len(above)]
    return np.sort(np.concatenate([above, equal]))


def _unit(queries: npt.NDArray[np.floating], dim: int) -> Scores:
    """Queries at length 1; raises UsageError for what has no direction in ``dim`` dimensions."""
    wide = np.asarray(queries, np.float64)
    if wide.ndim != 2 or wide.shape[1] != dim:
        raise UsageError(f"The query has shape {wide.shape}; the column's vectors have {dim} dimensions")
    if not np.isfinite(wide).all():
        raise UsageError("The query has NaN or infinite values", "Leave out rows whose status is not ok")
    lengths = np.linalg.norm(wide, axis=1, keepdims=True)
    if (lengths == 0).any():
        raise UsageError("The query is a vector of zeros, which has no direction")
    return np.asarray(wide / lengths, np.float32)

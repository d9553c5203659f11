"""How samples become batches: a pure function of their order and cost, so that every run cuts them alike.

Padding wastes what the shortest sample of a batch lacks to the longest, so samples are sorted by cost; but a
sort over everything would hold everything in memory, so it happens within a *pool* of consecutive samples.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")

POOL_BATCHES = 8
"""A pool holds about this many batches: enough that sorting pays, few enough to stay small."""

__all__ = ["POOL_BATCHES", "cut", "pools"]


def cut(costs: Sequence[int], budget: int, rows: int | None = None) -> list[list[int]]:
    """Positions grouped into batches, dearest first.

    A batch holds at most ``rows`` samples, and its padded cost, samples times the dearest of them, stays
    within ``budget``; a sample dearer than the budget forms a batch alone. Equal costs keep their order.
    """
    order = sorted(range(len(costs)), key=lambda position: -costs[position])
    batches: list[list[int]] = []
    for position in order:
        last = batches[-1] if batches else None
        fits = last is not None and (len(last) + 1) * costs[last[0]] <= budget
        if last is not None and fits and (rows is None or len(last) < rows):
            last.append(position)
        else:
            batches.append([position])
    return batches


def pools(samples: Iterable[tuple[T, int]], budget: int, rows: int | None = None) -> Iterator[list[tuple[T, int]]]:
    """Consecutive ``(sample, cost)`` pairs in groups worth about :data:`POOL_BATCHES` batches."""
    pool: list[tuple[T, int]] = []
    total = 0
    for sample, cost in samples:
        pool.append((sample, cost))
        total += cost
        if total >= POOL_BATCHES * budget or (rows is not None and len(pool) >= POOL_BATCHES * rows):
            yield pool
            pool, total = [], 0
    if pool:
        yield pool

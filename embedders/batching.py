"""How samples become batches: a pure function of their order and cost, so that every run cuts them alike.

Padding wastes what the shortest sample of a batch lacks to the longest, so samples are sorted by cost; but a
sort over everything would hold everything in memory, so it happens within a *pool* of consecutive samples.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Generic, TypeVar

T = TypeVar("T")

POOL_BATCHES = 16
"""A pool holds about this many batches: enough that sorting pays, few enough to stay small."""

__all__ = ["POOL_BATCHES", "Pool", "cut"]


def cut(costs: Sequence[int], budget: int, rows: int | None = None) -> list[list[int]]:
    """Positions grouped into batches, dearest first.

    A batch holds at most ``rows`` samples, and its padded cost, samples times the dearest of them, stays
    within ``budget``; a sample dearer than the budget forms a batch alone. Equal costs keep their order, and
    nothing costs less than 1: what is free would fill a batch without end.
    """
    costs = [max(1, cost) for cost in costs]
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


class Pool(Generic[T]):
    """Consecutive samples waiting to be cut into batches.

    Full when worth about :data:`POOL_BATCHES` of them. Samples that all cost the same gain nothing from sorting,
    and are full as soon as no other of their kind fits into their batch.
    """

    def __init__(self, budget: int, rows: int | None = None) -> None:
        self.budget, self.rows = budget, rows
        self._samples: list[T] = []
        self._costs: list[int] = []
        self._total = 0

    def add(self, sample: T, cost: int) -> bool:
        """Take one sample; True when the pool is full and wants to be emptied."""
        cost = max(1, cost)
        self._samples.append(sample)
        self._costs.append(cost)
        self._total += cost
        count = len(self._costs)
        alike = self._costs[0] == cost and self._total == count * cost
        if alike and (count == self.rows or (count + 1) * cost > self.budget):
            return True
        many = self.rows is not None and count >= POOL_BATCHES * self.rows
        return many or self._total >= POOL_BATCHES * self.budget

    def batches(self) -> Iterator[list[T]]:
        """Empty the pool: its samples in batches, dearest first."""
        samples, costs = self._samples, self._costs
        self._samples, self._costs, self._total = [], [], 0
        for batch in cut(costs, self.budget, self.rows):
            yield [samples[position] for position in batch]

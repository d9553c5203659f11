"""The ceiling of retrieval by sound: what a perfect listener reaches when colours cannot be heard."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from fractions import Fraction

from embedders.errors import UsageError
from pipelines.training.scenes.world import Scene

__all__ = ["ceiling"]


def ceiling(scenes: Iterable[Scene], k: int) -> dict[str, float]:
    """Hit rate at ``k`` and median rank of a listener who knows all that a sound tells, and no more.

    Every scene is searched once among all scenes, with those of its graph as positives. The listener ranks the
    scenes of equal audible key first, in random order; of these ``m``, ``p`` are positives. The first positive
    then lies beyond rank ``r`` with probability ``C(m - p, r) / C(m, r)``, whence both figures follow exactly:
    the expected hit rate, and the smallest rank that half of all searches reach in expectation. Retrieval *of*
    sounds has the same ceiling. Returns ``{"hit_rate@<k>": ..., "median_rank": ...}``; raises UsageError for no
    scenes and for ``k`` below 1.
    """
    found = list(scenes)
    if not found or k < 1:
        raise UsageError(f"There are {len(found)} scenes and k is {k}; both must be at least 1")
    alike = Counter(scene.audible() for scene in found)
    equal = Counter(scene.graph() for scene in found)
    kinds = Counter((alike[scene.audible()], equal[scene.graph()]) for scene in found)
    hits = _hits(kinds, k)
    median = 1
    while 2 * _hits(kinds, median) < 1:
        median += 1
    return {f"hit_rate@{k}": float(hits), "median_rank": float(median)}


def _hits(kinds: Counter[tuple[int, int]], rank: int) -> Fraction:
    """The expected share of searches whose first positive has this rank or a better one."""
    found = Fraction(0)
    for (alike, equal), searches in kinds.items():
        missed = Fraction(1)
        for i in range(rank):
            missed *= Fraction(max(alike - equal - i, 0), max(alike - i, 1))
        found += searches * (1 - missed)
    return found / kinds.total()

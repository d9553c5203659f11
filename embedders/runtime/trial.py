"""Whether a faster runtime is right and fast: tried on an embedder's own examples, against plain fp32."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from embedders.errors import EmbedError
from embedders.runtime.runtime import Runtime
from embedders.spec import check_rows

if TYPE_CHECKING:
    from embedders.base import BaseEmbedder

__all__ = ["Trial", "filling"]

AGREEMENT = 0.999
"""Smallest cosine of an example's vector to that of plain fp32."""

SLOWER = 0.9
"""An engine must reach this share of plain torch's speed to be taken; it is measured on few inputs."""

TRIAL_ROWS = 8

FACTORS = (16, 32, 64, 128)
"""Batches that are tried on an accelerator, in embedders' ``batch_cost``: 128 are two thousand pictures."""

GAIN = 1.05
"""What doubling a batch must bring; less is not worth its memory."""


class Trial:
    """Plain fp32 on an embedder's examples, and candidates held against it.

    Within :func:`~embedders.runtime.network.built_once` the weights are read once for all candidates.
    """

    def __init__(self, embedder: BaseEmbedder, plain: Runtime) -> None:
        self.embedder = type(embedder)(**embedder.options)  # one of our own: what is loaded here goes with us
        self.plain = plain

    @cached_property
    def samples(self) -> list[Any]:
        """The prepared examples."""
        return [self.embedder.prepare(media) for media in self.embedder.examples()]

    @cached_property
    def expected(self) -> np.ndarray[Any, np.dtype[np.float32]]:
        """Their vectors as plain fp32 makes them."""
        return self._vectors(self.plain)

    def verdict(self, runtime: Runtime) -> dict[str, Any]:
        """Whether its vectors are ``right`` and whether it is ``fast``: no slower than plain torch as precise.

        On an accelerator also the ``batch_factor`` that fills it.
        """
        expected = self.expected
        try:
            found = self._vectors(runtime)
            taken = self._seconds(runtime, TRIAL_ROWS) / runtime.lanes
        except EmbedError as error:
            return {"right": False, "fast": False, "why": str(error)}
        except Exception as error:  # a forward of anybody's
            return {"right": False, "fast": False, "why": f"{type(error).__name__}: {error}"[:300]}
        cosine = _agreement(found, expected)
        plain = replace(runtime, accel="none")
        eager = self._seconds(plain, TRIAL_ROWS) if runtime != plain else taken
        verdict = {
            "right": bool(cosine >= AGREEMENT),
            "fast": bool(SLOWER * taken <= eager),
            "why": f"its vectors' cosine to plain fp32 is {cosine:.6f}; {AGREEMENT} is asked for",
            "cosine": cosine,
            "ratio": round(eager / taken, 3),
        }
        if verdict["right"] and runtime.device != "cpu":
            verdict["batch_factor"] = filling(lambda factor: self._rate(replace(plain, batch_factor=factor)))
        return verdict

    def _rate(self, runtime: Runtime) -> float:
        cost = max(1, self.embedder.cost(self.samples[0]))
        rows = max(1, runtime.budget(self.embedder.batch_cost) // cost)
        return rows / self._seconds(runtime, rows)

    def _vectors(self, runtime: Runtime) -> np.ndarray[Any, np.dtype[np.float32]]:
        forward = self.embedder.forward(runtime)
        with runtime.lane():
            return check_rows(forward(self.embedder.collate(self.samples)), len(self.samples), self.embedder.spec)

    def _seconds(self, runtime: Runtime, rows: int) -> float:
        forward, best = self.embedder.forward(runtime), float("inf")
        for _ in range(3):  # the first pays for kernels
            began = time.perf_counter()
            with runtime.lane():
                found = forward(self.embedder.collate([self.samples[0]] * rows))
                float(found[0][0])  # waits for the device
            best = min(best, time.perf_counter() - began)
        return best


def filling(rate: Callable[[int], float]) -> int:
    """The first of :data:`FACTORS` that the next brings little more than, or does not fit beyond.

    ``rate`` gives rows per second at a factor, and raises whatever a device without memory raises.
    """
    chosen, best = FACTORS[0], 0.0
    with contextlib.suppress(Exception):  # out of memory has many names, and any other reason ends the search too
        for factor in FACTORS:
            found = rate(factor)
            if found < GAIN * best:
                break
            chosen, best = factor, found
    return chosen


def _agreement(found: np.ndarray[Any, Any], expected: np.ndarray[Any, Any]) -> float:
    lengths = np.linalg.norm(found, axis=1) * np.linalg.norm(expected, axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        cosines = (found * expected).sum(1) / lengths
    return float(np.min(np.nan_to_num(cosines, nan=-1.0)))

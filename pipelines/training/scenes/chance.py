"""Chance that is the same everywhere: a stream of numbers decided by a key alone."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import numpy.typing as npt

__all__ = ["Chance"]

Choice = TypeVar("Choice")


class Chance:
    """A stream of random numbers named by its key; equal keys give equal streams, on any machine.

    It reads raw 64-bit words of PCG64 only: numpy promises that these never change between versions, which it
    does not promise of the distributions built upon them.
    """

    def __init__(self, *key: object) -> None:
        digest = hashlib.blake2b("/".join(map(str, key)).encode(), digest_size=16).digest()
        self._words = np.random.PCG64(int.from_bytes(digest, "little"))

    def below(self, bound: int) -> int:
        """A whole number from 0 to ``bound - 1``."""
        return int(self._words.random_raw()) % bound

    def pick(self, choices: Sequence[Choice]) -> Choice:
        """One of the choices, each as likely."""
        return choices[int(self._words.random_raw()) % len(choices)]

    def between(self, low: float, high: float) -> float:
        """A number from ``low`` to ``high``."""
        return low + (high - low) * (int(self._words.random_raw()) >> 11) * 2.0**-53

    def noise(self, count: int) -> npt.NDArray[np.int8]:
        """White noise: ``count`` whole numbers, uniform over -128 to 127."""
        raw = self._words.random_raw(-(-count // 8))
        return np.asarray(raw, dtype="<u8").view(np.int8)[:count]

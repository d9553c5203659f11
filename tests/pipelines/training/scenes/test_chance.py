"""Chance: decided by its key, even over its range."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipelines.training.scenes.chance import Chance


def test_equal_keys_give_equal_streams_and_others_do_not() -> None:
    def stream(*key: object) -> list[int]:
        chance = Chance(*key)
        return [chance.below(1000) for _ in range(5)]

    assert stream("a", 1) == stream("a", 1)
    assert len({tuple(stream(*key)) for key in (("a", 1), ("a", 2), ("b", 1), ("a",), (1, "a"))}) == 5


def test_the_stream_is_the_recorded_one() -> None:
    chance = Chance("recorded")
    assert [chance.below(100) for _ in range(6)] == [23, 37, 54, 53, 69, 44]


@given(st.integers(), st.floats(-100, 100), st.floats(0, 100))
def test_numbers_stay_within_their_bounds(key: int, low: float, width: float) -> None:
    assert low <= Chance(key).between(low, low + width) <= low + width


def test_numbers_and_noise_are_even() -> None:
    chance = Chance("even")
    assert abs(np.mean([chance.between(0, 1) for _ in range(4000)]) - 0.5) < 0.02
    assert min(np.bincount([chance.below(5) for _ in range(4000)])) > 700
    noise = chance.noise(80_003)
    assert len(noise) == 80_003
    assert len(np.unique(noise)) == 256
    assert abs(noise.mean() + 0.5) < 1

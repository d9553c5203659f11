"""The ceiling equals what a simulated listener reaches."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from embedders import UsageError
from pipelines.training.scenes import Scene, ceiling, scene
from tests.pipelines.training.scenes.made import alone


def listened(scenes: Sequence[Scene], rng: np.random.Generator) -> np.ndarray:
    """Rank of the first right answer of every search, of a listener who guesses what it cannot hear."""
    ranks = []
    for query in scenes:
        shuffled = [scenes[i] for i in rng.permutation(len(scenes))]
        ranked = sorted(shuffled, key=lambda found: found.audible() != query.audible())
        ranks.append(1 + [found.graph() for found in ranked].index(query.graph()))
    return np.array(ranks)


@pytest.mark.parametrize("k", [1, 3])
def test_a_simulated_listener_reaches_the_ceiling_and_no_more(k: int) -> None:
    # few kinds, so that audible keys and whole graphs repeat
    colours = ("red", "orange", "green", "blue")
    scenes = [alone(colour=colours[i % 4], count=1 + i % 3 % 2) for i in range(0, 90, 7)]
    scenes += [scene("iid", number) for number in range(10)]
    expected = ceiling(scenes, k)
    rng = np.random.default_rng(0)
    ranks = np.array([listened(scenes, rng) for _ in range(200)])
    assert 0.2 < expected[f"hit_rate@{k}"] < 0.95
    assert (ranks <= k).mean() == pytest.approx(expected[f"hit_rate@{k}"], abs=0.01)
    assert np.median(ranks) == expected["median_rank"]


def test_scenes_that_all_sound_different_have_no_ceiling() -> None:
    scenes = [alone(count=count) for count in (1, 2, 3)]
    assert ceiling(scenes, 1) == {"hit_rate@1": 1.0, "median_rank": 1.0}


def test_equal_graphs_are_right_answers_for_each_other() -> None:
    assert ceiling([alone(), alone(background="night")], 1)["hit_rate@1"] == 1.0


@pytest.mark.parametrize(("k", "expected"), [(1, 1 / 5), (2, 2 / 5), (5, 1.0), (9, 1.0)])
def test_five_colours_of_one_sound_are_guessed_by_chance(k: int, expected: float) -> None:
    scenes = [alone(colour=colour) for colour in ("red", "orange", "green", "blue", "pink")]
    assert ceiling(scenes, k) == {f"hit_rate@{k}": pytest.approx(expected), "median_rank": 3.0}


def test_two_right_answers_among_four_are_met_as_the_formula_says() -> None:
    scenes = [alone(), alone(), alone(colour="blue"), alone(colour="blue")]
    assert ceiling(scenes, 1)["hit_rate@1"] == pytest.approx(1 / 2)
    assert ceiling(scenes, 2)["hit_rate@2"] == pytest.approx(1 - (2 / 4) * (1 / 3))


@pytest.mark.parametrize(("scenes", "k"), [([], 1), ([alone()], 0)])
def test_nothing_to_search_is_refused(scenes: list[Scene], k: int) -> None:
    with pytest.raises(UsageError, match="at least 1"):
        ceiling(scenes, k)

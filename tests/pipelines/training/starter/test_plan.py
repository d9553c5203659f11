"""Options become a plan; what makes no training is refused."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from embedders import UsageError
from pipelines.training.scenes import VERSION, words
from pipelines.training.starter.plan import PRESETS, Options, Plan, make_towers


def test_minutes_become_steps_by_the_measured_rate() -> None:
    assert Options(minutes=2, batch=128).plan(64.0, 1).steps == 2 * 60 * 64 // 128


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_shows_as_many_examples_as_it_says(preset: str) -> None:
    plan = Options(preset=preset).plan(1.0, 1)
    assert (plan.examples, plan.steps * plan.batch) == PRESETS[preset]


def test_no_more_examples_are_made_than_shown() -> None:
    assert Options(steps=3, batch=16).plan(1.0, 1).examples == 48


def test_a_plan_survives_json() -> None:
    plan = Options(minutes=1.5, seed=4).plan(50.0, 2)
    assert Plan(**json.loads(json.dumps(plan.to_json()))) == plan


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"preset": "fast"}, "preset 'fast'"),
        ({"pairs": "none"}, "pairs 'none'"),
        ({"minutes": 1.0, "steps": 3}, "one of them"),
        ({"minutes": 0.0}, "minutes is 0"),
        ({"minutes": float("nan")}, "minutes is nan"),
        ({"minutes": float("inf")}, "minutes is inf"),
        ({"steps": -1}, "steps is -1"),
        ({"batch": 1}, "batch is 1"),
        ({"seed": -1}, "seed is -1"),
    ],
)
def test_what_makes_no_training_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Options(**options)


@pytest.mark.parametrize("again", [{}, {"steps": 5}])
def test_the_same_options_or_none_for_the_length_go_on(again: dict[str, Any]) -> None:
    assert Options(steps=5).plan(1.0, 1).differs(Options(**again)) is None


def test_the_speed_of_the_day_is_no_difference() -> None:
    assert Options(minutes=3).plan(10.0, 1).differs(Options(minutes=3)) is None
    assert Options(minutes=3).plan(10.0, 1).differs(Options()) is None


@pytest.mark.parametrize(
    ("again", "difference"),
    [
        ({"seed": 1}, "seed was 0 and is now 1"),
        ({"steps": 6}, "steps was 5 and is now 6"),
        ({"batch": 128}, "batch was 64 and is now 128"),
        ({"minutes": 2.0}, "minutes was None and is now 2.0"),
    ],
)
def test_other_options_do_not(again: dict[str, Any], difference: str) -> None:
    assert Options(steps=5).plan(1.0, 1).differs(Options(**again)) == difference


def test_another_generator_is_a_difference() -> None:
    plan = dataclasses.replace(Options().plan(1.0, 1), generator="older")
    assert plan.differs(Options()) == f"generator was 'older' and is now {VERSION!r}"


def test_the_towers_share_one_space_and_know_the_words_of_the_scenes() -> None:
    towers = make_towers("random:2")
    assert {tower.spec.space for tower in towers.values()} == {"starter/random:2"}
    assert towers["caption"].config()["words"] == list(words())

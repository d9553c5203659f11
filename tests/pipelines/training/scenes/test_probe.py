"""The forced choice differs from its scene in the one attribute that it names."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict

import pytest

from pipelines.training.scenes import SPLITS, Scene, scene, swapped
from pipelines.training.scenes.splits import HELD_COLOURS, HELD_COUNTS
from tests.pipelines.training.scenes.made import two


def values(found: Scene) -> Counter[tuple[str, object]]:
    return Counter(pair for group in found.groups for pair in asdict(group).items())


@pytest.mark.parametrize("split", SPLITS)
def test_exactly_the_named_attribute_differs(split: str) -> None:
    for number in range(100):
        found = scene(split, number)
        wrong, name = swapped(found, number)
        assert wrong.graph() != found.graph()
        if name == "relation":
            assert wrong.groups == found.groups[::-1]
            continue
        for before, after in zip(found.groups, wrong.groups, strict=True):
            assert {key for key, value in asdict(after).items() if value != asdict(before)[key]} == {name}


def test_two_groups_keep_their_values_and_exchange_owners() -> None:
    for number in range(300):
        found = scene("train", number)
        if len(found.groups) == 2:
            assert values(swapped(found, 0)[0]) == values(found)


def test_every_attribute_is_asked_for_and_relations_only_of_two() -> None:
    asked: dict[int, set[str]] = {1: set(), 2: set()}
    for number in range(400):
        found = scene("train", number)
        asked[len(found.groups)].add(swapped(found, 1)[1])
    attributes = {"shape", "colour", "size", "texture", "count"}
    assert asked == {1: attributes, 2: attributes | {"relation"}}


def test_no_swap_makes_what_training_never_shows() -> None:
    for number in range(300):
        for group in swapped(scene("train", number), 2)[0].groups:
            assert (group.shape, group.colour) not in HELD_COLOURS
            assert (group.shape, group.count) not in HELD_COUNTS


def test_a_swap_is_decided_by_scene_and_seed() -> None:
    assert swapped(two(), 1) == swapped(two(), 1)
    # exchanging shape or count would make three bells, which training never shows
    assert {swapped(two(), seed)[1] for seed in range(50)} == {"colour", "size", "texture", "relation"}

"""Which scene belongs where: pure, and never in two splits."""

from __future__ import annotations

from collections import Counter
from functools import cache

import pytest

from embedders import UsageError
from pipelines.training.scenes import SPLITS, Group, Scene, scene
from pipelines.training.scenes.splits import HELD_COLOURS, HELD_COUNTS, HELD_PAIRS, split_of
from pipelines.training.scenes.world import COLOURS, COUNTS, SHAPES

TESTS = [split for split in SPLITS if split != "train"]


@cache
def drawn(split: str) -> list[Scene]:
    return [scene(split, number) for number in range(20_000 if split == "train" else 1_000)]


def test_no_graph_is_in_two_splits() -> None:
    graphs = {split: {found.graph() for found in drawn(split)} for split in SPLITS}
    assert sum(map(len, graphs.values())) == len(set().union(*graphs.values()))


@pytest.mark.parametrize("split", SPLITS)
def test_a_scene_belongs_to_the_split_that_it_was_drawn_for(split: str) -> None:
    assert {split_of(found) for found in drawn(split)} == {split}


def test_a_scene_is_decided_by_split_number_and_seed() -> None:
    assert scene("iid", 5, 3) == scene("iid", 5, 3)
    assert len({scene("iid", 5, 3), scene("iid", 6, 3), scene("iid", 5, 4), scene("train", 5, 3)}) == 4


@pytest.mark.parametrize(
    ("groups", "split"),
    [
        ([("bell", "red", 1)], "comp-attr"),
        ([("bell", "blue", 3)], "comp-audible"),
        ([("bell", "blue", 1), ("drum", "red", 1)], "comp-pair"),
        ([("bell", "red", 3)], None),
        ([("bell", "red", 1), ("bird", "red", 2)], None),
        ([("bell", "blue", 3), ("drum", "red", 1)], None),
        ([("bell", "red", 3), ("drum", "orange", 2)], None),
    ],
)
def test_one_kind_of_novelty_has_a_split_and_several_have_none(
    groups: list[tuple[str, str, int]], split: str | None
) -> None:
    made = tuple(Group(shape, colour, "small", "plain", count) for shape, colour, count in groups)
    assert split_of(Scene(made, "left of" if len(made) == 2 else "alone", "sand")) == split


def test_training_never_shows_what_is_held_out() -> None:
    groups = {g for found in drawn("train") for g in found.groups}
    assert not {(g.shape, g.colour) for g in groups} & HELD_COLOURS
    assert not {(g.shape, g.count) for g in groups} & HELD_COUNTS
    assert not {frozenset(g.shape for g in found.groups) for found in drawn("train")} & HELD_PAIRS


def test_training_shows_everything_else() -> None:
    groups = {g for found in drawn("train") for g in found.groups}
    assert len({(g.shape, g.colour) for g in groups}) == 64 - len(HELD_COLOURS)
    assert len({(g.shape, g.count) for g in groups}) == 24 - len(HELD_COUNTS)
    pairs = {frozenset(g.shape for g in found.groups) for found in drawn("train") if len(found.groups) == 2}
    assert len(pairs) == 28 - len(HELD_PAIRS)


def test_a_fifth_of_each_kind_is_held_out() -> None:
    assert [len(HELD_COLOURS) / 64, len(HELD_COUNTS) / 24, len(HELD_PAIRS) / 28] == pytest.approx(
        [0.2] * 3, abs=0.02
    )


@pytest.mark.parametrize(("kind", "values"), [("shape", SHAPES), ("colour", COLOURS), ("count", COUNTS)])
def test_every_value_is_frequent_in_training(kind: str, values: tuple[object, ...]) -> None:
    counted = Counter(getattr(g, kind) for found in drawn("train") for g in found.groups)
    assert min(counted[value] for value in values) > 0.5 * counted.total() / len(values)


@pytest.mark.parametrize("split", SPLITS)
def test_all_relations_occur_in_every_split(split: str) -> None:
    expected = {"left of", "above"} if split == "comp-pair" else {"left of", "above", "alone"}
    assert {found.relation for found in drawn(split)} == expected


def test_two_groups_have_different_shapes() -> None:
    assert all(len({g.shape for g in found.groups}) == len(found.groups) for found in drawn("train"))


def test_an_unknown_split_is_named_with_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"no split 'comp_attr'.*Did you mean 'comp-attr'"):
        scene("comp_attr", 0)

"""Captions name everything, in words that are known."""

from __future__ import annotations

from dataclasses import replace
from itertools import groupby
from typing import Any

import pytest

from pipelines.training.scenes import SPLITS, example, scene, words
from pipelines.training.scenes.captions import HELD_OUT, LONGEST, TEMPLATES, caption
from pipelines.training.scenes.chance import Chance
from tests.pipelines.training.scenes.made import WORDS, alone, read, two

WORDINGS = 1_000


def captions(held_out: bool) -> list[str]:
    split = "template" if held_out else "train"
    return [caption(scene(split, i), Chance("wording", i), held_out) for i in range(WORDINGS)]


@pytest.mark.parametrize("held_out", [False, True])
def test_a_caption_can_be_read_back_to_its_scene(held_out: bool) -> None:
    for i, told in enumerate(captions(held_out)):
        expected = scene("template" if held_out else "train", i)
        assert read(told).graph() == expected.graph(), told


@pytest.mark.parametrize("number", range(len(TEMPLATES)))
@pytest.mark.parametrize("relation", ["left of", "above"])
def test_every_template_says_who_is_where(number: int, relation: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.training.scenes.captions.TEMPLATES", (TEMPLATES[number],))
    monkeypatch.setattr("pipelines.training.scenes.captions.HELD_OUT", ())
    for i in range(20):
        told = caption(two(relation), Chance(i))
        assert read(told).graph() == two(relation).graph(), told


def test_the_vocabulary_is_exactly_what_training_uses() -> None:
    assert {word for told in captions(False) for word in told.split()} == set(words())
    assert list(words()) == sorted(set(words()))


@pytest.mark.parametrize("split", [split for split in SPLITS if split != "train"])
def test_no_split_has_a_word_that_training_lacks(split: str) -> None:
    told = [caption(scene(split, i), Chance("split", i), split == "template") for i in range(200)]
    assert {word for one in told for word in one.split()} <= set(words())


def test_held_out_templates_are_in_no_other_split() -> None:
    kept = [TEMPLATES[i].two for i in range(len(TEMPLATES)) if i not in HELD_OUT]
    assert not {TEMPLATES[i].two for i in HELD_OUT} & set(kept)
    assert len(kept) == 9


def test_captions_are_short() -> None:
    longest = max(len(told.split()) for told in captions(False) + captions(True))
    assert 16 < longest <= LONGEST


@pytest.mark.parametrize(
    ("group", "wrong"),
    [
        ({"count": 1, "colour": "orange"}, ("a orange", "an small", "bells", "are", "two")),
        ({"count": 2}, ("bell ", "is", "one", "a two")),
        ({"count": 3}, ("bell ", "is", "single", "two")),
    ],
)
def test_number_words_articles_and_verbs_agree(group: dict[str, Any], wrong: tuple[str, ...]) -> None:
    for i in range(200):
        told = f"{caption(alone(**group), Chance(i), held_out=bool(i % 2))} "
        assert not [word for word in wrong if f" {word} " in f" {told} "], told


def test_background_changes_no_caption() -> None:
    for i in range(20):
        assert caption(alone(), Chance(i)) == caption(replace(alone(), background="night"), Chance(i))


def test_the_template_split_is_worded_as_training_never_is() -> None:
    told = {word for table in WORDS.values() for word in table} | {"single", "stripes", "with-stripes"}

    def frames(split: str) -> set[str]:
        """Captions with every group as ``x``."""
        found = set()
        for number in range(150):
            text = example(split, number).caption.replace("a scene", "the scene").replace("with str", "with-str")
            marked = ["x" if word.removesuffix("s") in told or word in told else word for word in text.split()]
            found.add(" ".join(word for word, _ in groupby(marked)))
        return found

    assert len(frames("train")) > 15
    assert not frames("train") & frames("template")


@pytest.mark.parametrize("split", SPLITS)
def test_an_examples_caption_tells_its_scene(split: str) -> None:
    for number in range(20):
        found = example(split, number)
        assert read(found.caption).graph() == found.scene.graph()

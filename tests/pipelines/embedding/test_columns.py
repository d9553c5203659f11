"""From what the user says to a list of columns, or a message that names the cure."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from embedders import Runtime, UsageError
from pipelines.embedding import columns_for
from tests.toy import Letters


def names(*arguments: Any, **options: Any) -> list[str]:
    return [column.name for column in columns_for(*arguments, **options)]


def test_a_field_named_like_a_modality_gets_its_defaults() -> None:
    assert names(["toy", "title"]) == ["toy_letters"]


def test_the_modality_alone_stands_for_its_default() -> None:
    (column,) = columns_for(["word"], {"word": "toy"})
    assert (column.name, column.reference) == ("word_letters", "toy.letters")


def test_a_class_by_path_and_an_instance_need_no_registration() -> None:
    assert names(["w"], {"w": "tests.toy:Unit"}) == ["w_unit"]
    assert names(["w"], {"w": Letters(scale=3)}) == ["w_letters"]


def test_models_take_the_embedder_of_that_name_of_every_modality() -> None:
    found = columns_for(["audio", "image", "text", "note"], models="starter", weights="random:0")
    assert [column.reference for column in found] == ["audio.starter", "image.starter", "text.starter"]
    assert len({column.spec.space for column in found}) == 1


def test_models_leave_out_what_has_none_of_that_name() -> None:
    assert names(["toy", "text"], models="unit") == ["toy_unit"]


@pytest.mark.parametrize(
    ("fields", "embed", "models", "says"),
    [
        (["toy"], None, "units", "No embedder is named like models 'units'. Did you mean 'unit'"),
        (["toy"], {"toy": "toy.unit"}, "unit", "by field .toy. and one for all, models 'unit'"),
        (["word"], None, "unit", r"No field is named like a modality \(toy\)"),
    ],
)
def test_models_that_embed_nothing_are_refused(fields: Any, embed: Any, models: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        columns_for(fields, embed, models=models)


def test_weights_for_all_and_weights_for_one() -> None:
    for weights in ("random:3", {"toy.letters": "random:3"}, {"toy": "random:3"}):
        (column,) = columns_for(["w"], {"w": "toy"}, weights)
        assert column.embedder.options["weights"] == "random:3"
        assert column.info().meaningless
    assert not columns_for(["w"], {"w": "toy"})[0].info().meaningless


def test_weights_in_brackets_win() -> None:
    (column,) = columns_for(["w"], {"w": "toy(weights=mine)"}, "random:3")
    assert column.embedder.options["weights"] == "mine"


def test_equal_embedders_of_two_fields_are_one_instance() -> None:
    first, second, other = columns_for(["a", "b"], {"a": "toy", "b": ["toy", "toy(scale=2, as=double)"]})
    assert first.embedder is second.embedder
    assert first.embedder is not other.embedder


def test_the_fingerprint_knows_options_versions_and_decoding() -> None:
    (column,) = columns_for(["w"], {"w": "toy(scale=2)"})
    fingerprint = replace(column, runtime=Runtime("cpu", "bf16")).info().fingerprint
    assert fingerprint["options"]["scale"] == 2
    assert fingerprint["runtime"] == {"device": "cpu", "precision": "bf16", "accel": "none"}
    assert {"versions", "decoding", "weights", "details"} <= set(fingerprint)


@pytest.mark.parametrize(
    ("fields", "embed", "weights", "says"),
    [
        (["photo"], None, None, "No field is named like a modality"),
        (["photo"], {"foto": "toy"}, None, "Did you mean 'photo'"),
        (["w"], {"w": "toy.leters"}, None, "Did you mean 'toy.letters'"),
        (["w"], {"w": "toi"}, None, "no embedder 'toi'"),
        (["w"], {"w": "toy(scale)"}, None, "is no option"),
        (["w"], {"w": "toy(size=2)"}, None, "has no option 'size'"),
        (["w"], {"w": "toy"}, {"toy.unit": "x"}, "which this run does not use"),
    ],
)
def test_a_wrong_choice_names_the_cure(fields: Any, embed: Any, weights: Any, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        columns_for(fields, embed, weights)

"""Examples in memory: what the embedders prepare, in the smallest types, with keys that say what is the same."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from pipelines.training.scenes import examples
from pipelines.training.starter.loop import embed
from pipelines.training.starter.plan import make_towers
from pipelines.training.starter.triples import Triples, compact, raw

TOWERS = make_towers("random:0")


def test_rows_are_small(few: Triples) -> None:
    shapes = {field: (rows.dtype, tuple(rows.shape[1:])) for field, rows in few.inputs.items()}
    assert shapes == {
        "picture": (torch.uint8, (64, 64, 3)),
        "caption": (torch.int16, (24,)),
        "sound": (torch.float16, (64, 96)),
    }
    assert len(few) == 24


@pytest.mark.parametrize("field", ["picture", "caption", "sound"])
def test_training_sees_what_embedding_sees(few: Triples, field: str) -> None:
    tower = TOWERS[field]
    vectors = embed({field: tower.network()}, few, "cpu")[field]
    inputs = [raw(example)[field] for example in examples("train", 5)]
    expected = tower.embed(inputs, device="cpu")  # type: ignore[attr-defined]
    assert abs(vectors[:5] - expected).max() < 2e-3  # half precision of sounds


def test_every_word_of_a_caption_is_known_and_fits(few: Triples) -> None:
    captions = [example.caption for example in examples("train", 24)]
    assert [int((row > 1).sum()) for row in few.inputs["caption"]] == [len(c.split()) for c in captions]


def test_keys_tell_apart_what_can_be_told_apart() -> None:
    first, second = examples("train", 2)
    repainted = tuple(replace(g, colour="blue" if g.colour == "red" else "red") for g in first.scene.groups)
    twin = replace(first, scene=replace(first.scene, groups=repainted))
    triples = Triples.of([first, twin, second, first], TOWERS)
    every = torch.arange(4)
    seen, heard = triples.keys(("picture", "caption"), every), triples.keys(("caption", "sound"), every)
    assert [(seen == seen[0]).tolist(), (heard == heard[0]).tolist()] == [
        [True, False, False, True],
        [True, True, first.scene.audible() == second.scene.audible(), True],
    ]


def test_the_first_rows_are_the_first_rows(few: Triples) -> None:
    part = few.first(3)
    assert len(part) == len(part.graphs) == len(part.audibles) == 3
    assert all(torch.equal(part.inputs[field], rows[:3]) for field, rows in few.inputs.items())


def test_compact_numbers_keep_their_values() -> None:
    for rows in (torch.tensor([0, 511]), torch.tensor([0.25, 1.0]), torch.tensor([255], dtype=torch.uint8)):
        assert torch.equal(compact(rows).to(rows.dtype), rows)

"""The loss against values computed otherwise, and changes that keep what an example means."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn.functional import cross_entropy, normalize

from pipelines.training.starter.loss import AUGMENTATIONS, contrastive

ONE = torch.tensor(1.0)


def some_units(count: int, seed: int) -> torch.Tensor:
    return normalize(torch.randn(count, 5, generator=torch.Generator().manual_seed(seed)), dim=-1)


def test_with_keys_that_differ_it_is_the_loss_of_clip() -> None:
    a, b, scale = some_units(6, 0), some_units(6, 1), torch.tensor(7.0)
    logits, own = scale * a @ b.T, torch.arange(6)
    expected = (cross_entropy(logits, own) + cross_entropy(logits.T, own)) / 2
    assert torch.allclose(contrastive(a, b, own, scale), expected)


def test_equal_vectors_cost_the_logarithm_of_their_number() -> None:
    same = some_units(1, 0).expand(8, -1)
    assert float(contrastive(same, same, torch.arange(8), ONE)) == pytest.approx(math.log(8))


def test_positives_share_the_probability_evenly() -> None:
    # rows 0 and 1 are the same thing and lie opposite to row 2
    vectors = torch.tensor([[1.0, 0.0], [1.0, 0.0], [-1.0, 0.0]])
    found = contrastive(vectors, vectors, torch.tensor([4, 4, 9]), torch.tensor(100.0))
    assert float(found) == pytest.approx(2 / 3 * math.log(2), abs=1e-5)


def test_telling_positives_apart_costs() -> None:
    keys, scale = torch.tensor([0, 0, 1, 2]), torch.tensor(20.0)
    apart = torch.eye(4)
    together = apart.clone()
    together[1] = together[0]
    assert contrastive(together, together, keys, scale) < contrastive(apart, apart, keys, scale)


def test_the_two_sides_are_alike() -> None:
    a, b, keys = some_units(6, 2), some_units(6, 3), torch.tensor([0, 1, 1, 2, 3, 3])
    assert torch.allclose(contrastive(a, b, keys, ONE), contrastive(b, a, keys, ONE))


PICTURES = torch.full((3, 64, 64, 3), 120, dtype=torch.uint8)
SOUNDS = torch.rand(3, 64, 96, generator=torch.Generator().manual_seed(0)).half()


def changed(field: str, rows: torch.Tensor, seed: int = 0) -> torch.Tensor:
    return AUGMENTATIONS[field](rows, torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("field", "rows", "top"), [("picture", PICTURES, 255), ("sound", SOUNDS, 1)])
def test_changes_are_small_repeatable_and_in_bounds(field: str, rows: torch.Tensor, top: float) -> None:
    before = rows.clone()
    found = changed(field, rows)
    assert found.shape == rows.shape
    assert torch.equal(rows, before)
    assert torch.equal(found, changed(field, rows))
    assert not torch.equal(found, changed(field, rows, seed=1))
    assert 0 <= float(found.min()) <= float(found.max()) <= top


def test_brightness_changes_by_a_tenth_at_most() -> None:
    means = changed("picture", PICTURES.repeat(30, 1, 1, 1)).mean((1, 2, 3)) / 120
    assert 0.89 < float(means.min()) < 0.95 < 1.05 < float(means.max()) < 1.11


@pytest.mark.parametrize("side", [1, 2])
def test_a_picture_moves_by_two_pixels_at_most(side: int) -> None:
    dot = torch.zeros(40, 64, 64, 3, dtype=torch.uint8)
    dot[:, 30, 30] = 255
    places = changed("picture", dot).amax((3, 3 - side)).argmax(1)
    assert set(places.tolist()) == {28, 29, 30, 31, 32}


def test_a_sound_moves_by_two_moments_at_most_and_keeps_its_bands() -> None:
    click = torch.zeros(40, 64, 96).half()
    click[:, 20, 50] = 1
    found = changed("sound", click)
    assert set(found.amax(1).argmax(1).tolist()) == {48, 49, 50, 51, 52}
    assert set(found.amax(2).argmax(1).tolist()) == {20}

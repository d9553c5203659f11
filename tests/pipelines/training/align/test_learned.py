"""Trained heads learn what no linear map can, are repeatable to the bit, and their parts do what they say."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from embedders.errors import UsageError
from pipelines.training.align.closed import solve
from pipelines.training.align.judge import Score, applied
from pipelines.training.align.learned import LOSSES, Recipe, _head, _mixed, _network, learn, sigmoid_loss
from pipelines.training.align.pairs import Pairs, divide
from pipelines.training.starter.loop import threads
from tests.pipelines.training.align.worlds import RECIPE, bent, linear, pairs_of


@pytest.fixture(scope="module")
def bent_pairs(tmp_path_factory: pytest.TempPathFactory) -> Pairs:
    return pairs_of(tmp_path_factory.mktemp("bent") / "set", *bent(1200))


@pytest.mark.parametrize("loss", LOSSES)
def test_a_hidden_layer_learns_what_no_linear_map_can(bent_pairs: Pairs, loss: str) -> None:
    parts = divide(bent_pairs, 0)
    with threads(1):
        found = learn(bent_pairs, parts, Recipe.of(loss, **{**RECIPE, "mixing": 0.0}), 0)
    chance = 10 / len(parts.valid)
    assert solve("ridge", bent_pairs, parts).score[0] < 3 * chance
    assert found.score[0] > 8 * chance


def test_two_trainings_of_one_seed_have_the_same_bits_and_of_two_seeds_not(bent_pairs: Pairs) -> None:
    parts = divide(bent_pairs, 0)
    recipe = Recipe.of("infonce", **{**RECIPE, "steps": 20, "dropout": 0.3})
    with threads(1):
        first, second, other = (learn(bent_pairs, parts, recipe, seed).head.content() for seed in (3, 3, 4))
    assert first == second != other


def test_a_training_leaves_the_callers_random_state_as_it_was(bent_pairs: Pairs) -> None:
    before = torch.random.get_rng_state()
    learn(bent_pairs, divide(bent_pairs, 0), Recipe.of("infonce", **{**RECIPE, "steps": 2}), 0)
    assert torch.equal(before, torch.random.get_rng_state())


def test_shuffled_pairs_stay_at_chance(tmp_path: Path) -> None:
    x, y = linear(600)
    pairs = pairs_of(tmp_path / "set", x, np.random.default_rng(0).permutation(y))
    parts = divide(pairs, 0)
    found = learn(pairs, parts, Recipe.of("infonce", **{**RECIPE, "steps": 60, "looks": 3}), 0)
    assert found.score[0] < 2.5 * 10 / len(parts.valid)


def test_training_stops_when_validation_gets_no_better(tmp_path: Path) -> None:
    x, y = linear(300)
    pairs = pairs_of(tmp_path / "set", x, np.random.default_rng(0).permutation(y))
    seen: list[tuple[int, Score]] = []
    recipe = Recipe.of("infonce", **{**RECIPE, "patience": 3, "looks": 100})
    found = learn(pairs, divide(pairs, 0), recipe, 0, observe=lambda step, s: seen.append((step, s)))
    assert found.steps < recipe.steps
    assert found.steps == seen[-1][0] == found.step + 3 * 3
    assert found.score == max(s for _, s in seen)


@pytest.mark.parametrize("hidden", [0, 1, 2])
def test_a_head_gives_what_its_network_gives(hidden: int) -> None:
    x = torch.randn(20, 8, generator=torch.Generator().manual_seed(0))
    network = _network(x, 5, Recipe(hidden=hidden, width=16)).eval()
    expected = torch.nn.functional.normalize(network(x), dim=-1).detach().numpy()
    assert np.abs(applied(_head(network), x.numpy()) - expected).max() < 1e-6


def test_the_first_layer_begins_as_a_standardisation() -> None:
    x = torch.randn(500, 8, generator=torch.Generator().manual_seed(0)) * torch.arange(1, 9) + 5
    found = _network(x, 5, Recipe())[0](x)
    assert found.mean(0).abs().max() < 1e-5
    assert (found.std(0) - 1).abs().max() < 1e-5


def test_a_mix_has_one_share_on_both_sides_and_knows_its_positives() -> None:
    eye = torch.eye(6)
    keys = torch.tensor([0, 0, 1, 2, 3, 4])
    drawn = [_mixed(eye, eye, keys, 1.0, np.random.default_rng(seed)) for seed in range(12)]
    mixed = [found for found in drawn if found[2] is not keys]
    assert 0 < len(mixed) < 12
    for x, y, both in mixed:
        assert torch.allclose(torch.nn.functional.normalize(x, dim=-1), y, atol=1e-6)
        shares = {tuple(sorted(row[row > 0].tolist())) for row in x.round(decimals=5)} - {(1.0,)}
        assert len(shares) <= 1
        assert len(both.unique()) >= 4
    assert _mixed(eye, eye, keys, 0.0, np.random.default_rng(0))[2] is keys


def test_the_sigmoid_loss_is_the_sum_over_pairs_by_hand() -> None:
    first, second = torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([[1.0, 0.0], [0.6, 0.8]])
    found = float(sigmoid_loss(first, second, torch.tensor([0, 1]), torch.tensor(2.0), torch.tensor(-1.0)))
    logits = {(0, 0): 1.0, (0, 1): 0.2, (1, 0): -1.0, (1, 1): 0.6}
    by_hand = sum(math.log1p(math.exp(-z if i == j else z)) for (i, j), z in logits.items()) / 2
    assert found == pytest.approx(by_hand, rel=1e-6)


@pytest.mark.parametrize(("count", "steps"), [(10, 200), (1024, 200), (2600, 400), (10**5, 2000)])
def test_few_pairs_are_not_shown_more_often_than_the_epochs_allow(count: int, steps: int) -> None:
    assert Recipe().bounded(count).steps == steps


def test_an_unknown_loss_is_refused() -> None:
    with pytest.raises(UsageError, match=r"no loss 'infonse'.*infonce"):
        Recipe.of("infonse")

"""Steps that only the plan decides: learning, schedule, order, and a stop that leaves no trace."""

from __future__ import annotations

import dataclasses
import io
from typing import Any

import numpy as np
import pytest
import torch

from pipelines.training.starter.loop import Progress, Training, directions, measure, threads
from pipelines.training.starter.plan import Plan, make_towers
from pipelines.training.starter.triples import Triples


def begin(plan: Plan, few: Triples) -> Training:
    networks = {field: tower.network() for field, tower in make_towers(f"random:{plan.seed}").items()}
    return Training(plan, networks, few, few.first(plan.held_out), "cpu")


def ignore(progress: Progress) -> None:
    pass


def flat(training: Training) -> torch.Tensor:
    return torch.cat([w.detach().flatten() for w in (*training.networks.parameters(), training.scales)])


@pytest.fixture(scope="module")
def uninterrupted(short: Plan, few: Triples) -> Training:
    training = begin(short, few)
    training.run(lambda: None, ignore, every=1e9)
    return training


def test_the_loss_falls_on_examples_seen_again_and_again(short: Plan, few: Triples) -> None:
    training = begin(dataclasses.replace(short, steps=40, warm_up=0.0), few.first(8))
    losses = [training.advance() for _ in range(15)]
    assert np.mean(losses[-3:]) < 0.8 * np.mean(losses[:3])


def test_a_stop_leaves_no_trace(short: Plan, few: Triples, uninterrupted: Training) -> None:
    first = begin(short, few)
    kept = io.BytesIO()

    def save() -> None:
        kept.seek(0)
        torch.save(first.state(), kept)

    def stop(progress: Progress) -> None:
        if progress.step == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        first.run(save, stop, every=0.0)
    kept.seek(0)
    second = begin(short, few)
    second.restore(torch.load(kept, weights_only=True))
    assert second.step == 3
    second.run(lambda: None, ignore, every=1e9)
    assert torch.equal(flat(second), flat(uninterrupted))
    assert second.history == uninterrupted.history
    assert second.best is not None
    assert uninterrupted.best is not None
    assert second.best["step"] == uninterrupted.best["step"]


def test_another_seed_is_another_training(short: Plan, few: Triples, uninterrupted: Training) -> None:
    other = begin(dataclasses.replace(short, seed=1), few)
    other.run(lambda: None, ignore, every=1e9)
    assert not torch.allclose(flat(other), flat(uninterrupted))


def test_validations_come_after_steps_and_the_best_is_kept(uninterrupted: Training) -> None:
    assert [entry["step"] for entry in uninterrupted.history] == [2, 4, 6]
    best = max(uninterrupted.history, key=lambda entry: entry["score"])
    assert uninterrupted.best is not None
    assert (uninterrupted.best["step"], uninterrupted.best["score"]) == (best["step"], best["score"])


def test_the_best_weights_are_not_those_that_come_after(short: Plan, few: Triples) -> None:
    training = begin(short, few)
    training.step = 6
    training._validate(1.0)
    assert training.best is not None
    before = {name: value.clone() for name, value in training.best["networks"].items()}
    training.advance()
    assert all(torch.equal(value, before[name]) for name, value in training.best["networks"].items())


def test_the_rate_warms_up_and_falls_to_nothing(short: Plan, few: Triples) -> None:
    training = begin(dataclasses.replace(short, steps=100, warm_up=0.1), few)
    rates = []
    for training.step in range(100):
        rates.append(training._rate() / short.rate)
    assert np.allclose(rates[:10], np.arange(1, 11) / 10)
    assert rates[10] == 1
    assert (np.diff(rates[10:]) < 0).all()
    assert rates[99] < 0.001


def test_an_epoch_shows_every_row_once_in_an_order_of_its_own(short: Plan, few: Triples) -> None:
    training = begin(short, few)
    epochs = []
    for epoch in range(2):
        rows: list[int] = []
        for training.step in range(3 * epoch, 3 * epoch + 3):
            rows += training._positions().tolist()
        epochs.append(rows)
    assert sorted(epochs[0]) == sorted(epochs[1]) == list(range(24))
    assert epochs[0] != epochs[1]


def test_without_the_direct_pair_pictures_and_sounds_are_never_compared(short: Plan, few: Triples) -> None:
    training = begin(dataclasses.replace(short, pairs="no-direct"), few)
    assert training.pairs == (("picture", "caption"), ("caption", "sound"))
    assert len(training.scales) == 2


def test_what_is_no_direction_is_not_decayed(short: Plan, few: Triples) -> None:
    decayed, kept = begin(short, few).optimizer.param_groups
    assert (decayed["weight_decay"], kept["weight_decay"]) == (0.05, 0.0)
    assert min(w.ndim for w in decayed["params"]) == 2
    assert max(w.ndim for w in kept["params"]) == 1


def test_the_scale_is_bounded(short: Plan, few: Triples) -> None:
    training = begin(short, few)
    with torch.no_grad():
        training.scales.fill_(50.0)
    assert np.isfinite(training.advance())


def test_every_step_is_observed_with_what_is_left(short: Plan, few: Triples) -> None:
    seen: list[Any] = []
    begin(short, few).run(lambda: None, seen.append, every=1e9)
    assert [progress.step for progress in seen] == [1, 2, 3, 4, 5, 6]
    assert seen[0].score is None
    assert seen[-1].score is not None
    assert seen[0].seconds_left > 0 == seen[-1].seconds_left


def test_the_measured_rate_is_that_of_steps(short: Plan, few: Triples, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(100))
    monkeypatch.setattr("time.perf_counter", lambda: float(next(clock)))
    assert measure(begin(short, few), 0.0) == 8  # one step of eight between two ticks


def test_threads_are_put_back() -> None:
    before = torch.get_num_threads()
    with threads(before + 1):
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before


def test_three_fields_have_six_directions() -> None:
    assert len(directions({"a": 0, "b": 0, "c": 0})) == 6

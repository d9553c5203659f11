"""Intervals cover the truth as often as they promise, and rows of one unit are drawn together."""

from __future__ import annotations

import numpy as np
import pytest

from pipelines.uses.evaluation import Outcome, bootstrap
from pipelines.uses.evaluation.figures import codes, unit


def mean_of(values: np.ndarray, units: np.ndarray, seed: int = 0) -> tuple[float, float]:
    low, high = bootstrap(lambda w: w @ values / w.sum(), units, seed=seed, draws=300)
    return float(low), float(high)


def test_the_interval_of_a_share_covers_the_truth_as_often_as_promised() -> None:
    rng = np.random.default_rng(0)
    covered = 0
    for trial in range(150):
        low, high = mean_of((rng.random(80) < 0.3).astype(float), np.arange(80), trial)
        covered += low <= 0.3 <= high
    assert 0.89 <= covered / 150 <= 0.99


def test_the_interval_of_a_share_is_as_wide_as_the_binomial_says() -> None:
    low, high = mean_of(np.repeat([0.0, 1.0], [700, 300]), np.arange(1000))
    assert high - low == pytest.approx(2 * 1.96 * np.sqrt(0.3 * 0.7 / 1000), rel=0.15)


def test_repeating_every_row_in_its_unit_does_not_narrow_the_interval() -> None:
    values = np.repeat([0.0, 1.0], [60, 40])
    alone = mean_of(values, np.arange(100))
    assert mean_of(values.repeat(9), np.arange(100).repeat(9)) == pytest.approx(alone)
    low, high = mean_of(values.repeat(9), np.arange(900))
    assert high - low < 0.5 * (alone[1] - alone[0])


def test_draws_for_which_a_statistic_is_not_defined_do_not_count() -> None:
    low, high = bootstrap(lambda w: np.nan if w[0] else 5.0, [0, 1, 2], seed=0, draws=50)
    assert (float(low), float(high)) == (5.0, 5.0)


def test_groups_of_any_kind_become_numbers() -> None:
    assert codes(["b", "a", "b"]).tolist() == [1, 0, 1]
    assert codes([30, 10, 20]).tolist() == [2, 0, 1]


def test_a_zero_vector_has_no_direction_and_stays_zero() -> None:
    assert unit(np.array([[3.0, 4.0], [0.0, 0.0]])).tolist() == [[0.6, 0.8], [0.0, 0.0]]


def test_an_unknown_metric_is_named_with_those_there_are() -> None:
    with pytest.raises(KeyError, match="there are"):
        Outcome("sts", (), 3)["hit_rate@5"]

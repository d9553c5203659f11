"""Closed forms find a known map, and what they compute is what others compute."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipelines.training.align.closed import CLOSED, canonical, procrustes, ridge, solve
from pipelines.training.align.judge import applied
from pipelines.training.align.pairs import divide
from tests.pipelines.training.align.worlds import linear, pairs_of


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.mark.parametrize("method", ["ridge", "cca"])
def test_a_linear_map_is_recovered(method: str) -> None:
    x, y = linear(1500, noise=0.01)
    known, new = slice(1000), slice(1000, None)
    head = ridge(x[known], y[known], 1e-6) if method == "ridge" else canonical(x[known], y[known], 1e-6).head(6)
    cosine = (applied(head, x[new].astype(np.float32)) * unit(y[new])).sum(axis=1)
    assert np.median(cosine) > 0.9999


def test_a_rotation_is_recovered_with_its_scale_and_shift() -> None:
    rng = np.random.default_rng(0)
    turn = np.linalg.qr(rng.standard_normal((6, 6)))[0]
    x = rng.standard_normal((300, 6)) + 2
    y = 0.5 * (x - 2) @ turn + np.arange(6)
    assert np.abs(applied(procrustes(x, y), x.astype(np.float32)) - unit(y)).max() < 1e-5


@pytest.mark.parametrize("dims", [(9, 4), (4, 9)])
def test_procrustes_takes_sides_of_different_length(dims: tuple[int, int]) -> None:
    x, y = linear(50, dims=dims)
    assert applied(procrustes(x, y), x.astype(np.float32)).shape == (50, dims[1])


def test_canonical_correlations_are_those_of_scikit_learn() -> None:
    from sklearn.cross_decomposition import CCA

    rng = np.random.default_rng(1)
    x = rng.standard_normal((400, 5))
    y = x[:, :4] * [1.0, 0.6, 0.3, 0.1] + rng.standard_normal((400, 4))
    left, right = CCA(4, max_iter=5000, tol=1e-12).fit_transform(x, y)
    expected = [np.corrcoef(left[:, k], right[:, k])[0, 1] for k in range(4)]
    assert np.allclose(canonical(x, y, 1e-12).correlations, expected, atol=1e-5)


def test_all_canonical_directions_predict_like_least_squares() -> None:
    x, y = linear(200)
    few = x.astype(np.float32)
    assert np.abs(applied(canonical(x, y, 1e-12).head(6), few) - applied(ridge(x, y, 1e-12), few)).max() < 1e-4


def test_a_constant_dimension_is_not_blown_up() -> None:
    x, y = linear(200)
    x[:, 0] = 7
    x[0, 0] += 1e-9
    assert np.isfinite(applied(ridge(x, y, 1e-3), x.astype(np.float32))).all()


@pytest.mark.parametrize("method", CLOSED)
def test_shuffled_pairs_stay_at_chance(tmp_path: Path, method: str) -> None:
    x, y = linear(600)
    pairs = pairs_of(tmp_path / "set", x, np.random.default_rng(0).permutation(y))
    parts = divide(pairs, 0)
    chance = 10 / len(parts.valid)
    assert solve(method, pairs, parts).score[0] < 2 * chance


def test_the_penalty_that_validation_likes_best_is_taken(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x, y = linear(120, dims=(40, 6), noise=2.0)
    x += rng.standard_normal(x.shape)
    pairs = pairs_of(tmp_path / "set", x, y)
    parts = divide(pairs, 0)
    found = solve("ridge", pairs, parts)
    assert found.settings["penalty"] > 1e-4
    assert 0 < found.score[0] <= 1

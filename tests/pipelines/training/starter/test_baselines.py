"""Plain statistics, and a regression that finds what is linear in them."""

from __future__ import annotations

import numpy as np

from pipelines.training.starter.baselines import backgrounds, features, ridge
from pipelines.training.starter.triples import Triples


def test_statistics_are_what_they_say(few: Triples) -> None:
    found = features(few)
    picture = few.inputs["picture"][0].numpy().reshape(-1, 3)
    reddish = (picture >= [192, 0, 0]).all(1) & (picture < [256, 64, 64]).all(1)
    assert found["picture"].shape == (24, 64)
    assert np.allclose(found["picture"].sum(1), 1)
    assert found["picture"][0, 48] == reddish.mean()
    words = few.inputs["caption"][0].numpy()
    assert found["caption"][0].sum() == (words != 0).sum()
    assert found["caption"][0, words[0] - 1] == (words == words[0]).sum()
    assert np.allclose(found["sound"][0, :64], few.inputs["sound"][0].float().mean(1), atol=1e-3)


def test_a_background_is_the_mean_of_the_border(few: Triples) -> None:
    picture = few.inputs["picture"][0].numpy().astype(float)
    edge = np.ones((64, 64), bool)
    edge[1:-1, 1:-1] = False
    corners = sum(picture[row, column] for row in (0, -1) for column in (0, -1))
    assert np.allclose(backgrounds(few)["picture"][0], (picture[edge].sum(0) + corners) / 256)


def test_a_linear_relation_is_found_and_noise_is_not() -> None:
    rng = np.random.default_rng(0)
    source, asked = rng.normal(size=(500, 6)), rng.normal(size=(50, 6))
    turn = rng.normal(size=(6, 6))
    known = {"a": source, "b": source @ turn, "c": rng.normal(size=(500, 6))}
    questions = {"a": asked, "b": asked @ turn, "c": rng.normal(size=(50, 6))}

    def accuracy(target: str) -> float:
        predicted, actual = ridge(known, ("a", target))(questions)
        near = predicted @ actual.T / np.linalg.norm(actual, axis=1)
        return float((near.argmax(1) == np.arange(50)).mean())

    assert accuracy("b") > 0.95
    assert accuracy("c") < 0.2

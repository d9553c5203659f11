"""Rows beside each other, and clusters: correlation, forced choice, gap, duplicates, k-means."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from embedders.errors import UsageError
from pipelines.uses.evaluation import clustering, duplicates, forced_choice, gap, retrieval, sts


def noise(seed: int, rows: int = 40, dim: int = 5) -> Any:
    return np.random.default_rng(seed).standard_normal((rows, dim))


@pytest.mark.slow  # sentence-transformers alone takes seconds to import
def test_similarity_scores_equal_what_sentence_transformers_reports() -> None:
    from sentence_transformers.sentence_transformer.evaluation import EmbeddingSimilarityEvaluator

    a, b, scores = noise(0), noise(1), np.random.default_rng(2).random(40)

    class Fixed:
        similarity_fn_name = "cosine"
        model_card_data = None

    judge = EmbeddingSimilarityEvaluator(["x"] * 40, ["y"] * 40, scores.tolist(), "cosine", write_csv=False)
    found = sts(a, b, scores)
    given = iter([a, b])
    judge.embed_inputs = lambda model, inputs, **options: next(given)  # type: ignore[method-assign, assignment]
    judge.store_metrics_in_model_card_data = lambda *all, **named: None  # type: ignore[method-assign]
    theirs = judge(Fixed())  # type: ignore[arg-type]
    for name in ("spearman", "pearson"):
        assert found[name].value == pytest.approx(theirs[f"{name}_cosine"], abs=1e-7)


def test_similarity_is_of_directions_and_its_order_is_what_counts() -> None:
    degrees = np.radians([5, 20, 40, 80])
    a = np.stack([np.cos(degrees), np.sin(degrees)], axis=1) * [[1], [9], [2], [5]]
    b = np.tile([3.0, 0.0], (4, 1))
    found = sts(a, b, [100, 3, 2, 1])
    assert found["spearman"].value == pytest.approx(1)
    assert found["pearson"].value < 0.95
    assert found["spearman"].chance == 0


@pytest.mark.parametrize(
    ("a", "scores", "says"),
    [
        (np.eye(3), [1, 1, 1], "All 3 scores are 1"),
        (np.ones((3, 3)), [1, 2, 3], "All 3 cosines are"),
        (np.eye(3), [1, np.nan, 2], "scores hold NaN"),
        (np.eye(3), [1, 2], "3 rows and 2 scores"),
        (np.eye(3)[:1], [1], "1 rows; at least 2"),
    ],
)
def test_correlation_that_is_not_defined_is_refused(a: Any, scores: list[float], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        sts(a, np.ones((len(a), 3)), scores)


def test_a_forced_choice_counts_a_tie_as_half() -> None:
    anchors = np.eye(4)
    wrong = np.roll(np.eye(4), 1, axis=0)
    right = np.eye(4)
    right[2], wrong[2] = wrong[2], right[2].copy()  # answered wrongly
    right[3] = wrong[3]  # swapped for itself
    found = forced_choice(anchors, right, wrong)
    assert found["accuracy"].value == pytest.approx((1 + 1 + 0 + 0.5) / 4)
    assert found["tie_rate"].value == 0.25
    assert found["accuracy"].chance == 0.5


def test_a_forced_choice_between_strangers_is_a_coin() -> None:
    found = forced_choice(noise(0, 800), noise(1, 800), noise(2, 800))
    assert found["accuracy"].value == pytest.approx(0.5, abs=0.05)
    assert (found["accuracy"].low or 1) < 0.5 < (found["accuracy"].high or 0)


def test_the_gap_is_the_distance_of_mean_directions() -> None:
    a, b = np.tile([5.0, 0.0], (10, 1)), np.tile([0.0, 0.1], (10, 1))
    found = gap(a, b)["centroid_distance"]
    assert found.value == pytest.approx(2**0.5)
    assert (found.low, found.high) == pytest.approx((2**0.5, 2**0.5))
    assert found.chance is not None
    assert found.chance < 0.8


def test_two_sides_of_one_cloud_have_the_gap_that_chance_gives() -> None:
    found = gap(noise(0, 400), noise(1, 400))["centroid_distance"]
    assert found.chance == pytest.approx(found.value, rel=0.5)
    assert found.value < 0.12


def test_centring_finds_what_only_the_gap_hid() -> None:
    a, aside = noise(0, 30, 3), np.full((30, 1), 3.0)
    here, there = np.hstack([a, aside]), np.hstack([a, -aside])
    assert retrieval(here, there)["hit_rate@1"].value < 0.3
    assert gap(here, there)["centred_hit_rate@1"].value > 0.6


def test_equal_sides_have_no_gap() -> None:
    found = gap(noise(0), noise(0))["centroid_distance"]
    assert (found.value, found.low, found.high, found.chance) == (0, 0, 0, 0)


def test_duplicates_are_rows_whose_vector_another_has_bit_for_bit() -> None:
    x = np.eye(5, dtype=np.float32)
    x[3] = x[1]
    x[4] = np.nextafter(x[1], np.float32(2))
    assert duplicates(x)["duplicate_rate"].value == pytest.approx(2 / 5)
    assert duplicates(np.array([[0.0], [-0.0], [1.0]]))["duplicate_rate"].value == pytest.approx(2 / 3)


def test_clusters_are_scored_as_scikit_learn_scores_them() -> None:
    from sklearn.cluster import MiniBatchKMeans
    from sklearn.metrics import adjusted_mutual_info_score, normalized_mutual_info_score, v_measure_score

    x, y = noise(0, 90).astype(np.float32), np.arange(90) % 3
    x += 2 * noise(1, 3)[y].astype(np.float32)
    found = clustering(x, [f"class {c}" for c in y], seed=4)
    own = MiniBatchKMeans(3, random_state=4, n_init=10).fit_predict(x)
    assert found["v_measure"].value == pytest.approx(v_measure_score(y, own), abs=1e-12)
    assert found["ami"].value == pytest.approx(adjusted_mutual_info_score(y, own), abs=1e-12)
    assert found["nmi"].value == pytest.approx(normalized_mutual_info_score(y, own), abs=1e-12)


def test_v_measure_is_the_harmonic_mean_of_homogeneity_and_completeness() -> None:
    x = np.array([[0.0, 0], [0, 0.1], [9, 9], [9, 9.1], [0.1, 0], [9.1, 9]], np.float32)
    y = np.array([0, 0, 1, 1, 1, 1])  # the fifth row lies in the other cluster

    def entropy(counts: list[float]) -> float:
        p = np.array(counts) / sum(counts)
        return float(-(p * np.log(p)).sum())

    conditional = 3 / 6 * entropy([2, 1])
    homogeneity = 1 - conditional / entropy([2, 4])
    completeness = 1 - 4 / 6 * entropy([1, 3]) / entropy([3, 3])
    expected = 2 * homogeneity * completeness / (homogeneity + completeness)
    assert clustering(x, y)["v_measure"].value == pytest.approx(expected)


def test_clusters_apart_score_1_and_random_vectors_give_the_chance_level() -> None:
    y = np.arange(80) % 4
    found = clustering(100 * np.eye(4)[y] + noise(0, 80, 4), y)
    assert found["ami"].value == pytest.approx(1)
    assert found["ami"].chance == pytest.approx(0, abs=0.1)
    assert found["v_measure"].chance is not None
    assert found["v_measure"].chance > 0


def test_clusters_of_one_class_are_refused() -> None:
    with pytest.raises(UsageError, match="one class"):
        clustering(np.eye(4), ["a"] * 4)

"""Labels read off vectors: neighbours against a plain loop, the probe against its definition, words for classes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from embedders.errors import UsageError
from pipelines.uses.evaluation import class_vectors, knn, linear_probe, zero_shot


def clouds(seed: int = 0, classes: int = 3, rows: int = 20, dim: int = 4, spread: float = 1.0) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    labels = np.arange(classes).repeat(rows)
    return rng.standard_normal((classes, dim))[labels] + spread * rng.standard_normal((len(labels), dim)), labels


def voted(x: Any, y: Any, asked: int, among: list[int], k: int) -> int:
    """The protocol in its plainest words."""
    cosine = {i: float(x[asked] @ x[i] / np.linalg.norm(x[asked]) / np.linalg.norm(x[i])) for i in among}
    near = sorted(among, key=lambda i: (-cosine[i], i))[:k]
    votes = {c: sum(np.exp(cosine[i] / 0.07) for i in near if y[i] == c) for c in sorted(set(y.tolist()))}
    return max(votes, key=lambda c: votes[c])


@pytest.mark.parametrize("seed", [0, 1])
def test_neighbours_vote_as_a_plain_loop_counts(seed: int) -> None:
    x, y = clouds(seed)
    found = knn(x, y)
    for k in (20, 10):
        right = [voted(x, y, i, [j for j in range(60) if j != i], k) == y[i] for i in range(60)]
        assert found[f"accuracy k={k}"].value == pytest.approx(np.mean(right))
    assert (found.n, found.against) == (60, 59)


def test_neighbours_come_from_the_training_rows_alone() -> None:
    x, y = clouds()
    split = np.array(["train", "test", "valid"])[np.arange(60) % 3]
    found = knn(x, y, split=split)
    learned, asked = [i for i in range(60) if i % 3 != 1], [i for i in range(60) if i % 3 == 1]
    assert found["accuracy k=20"].value == pytest.approx(
        np.mean([voted(x, y, i, learned, 20) == y[i] for i in asked])
    )
    assert (found.n, found.against) == (20, 40)


def test_rows_of_ones_own_group_are_no_neighbours() -> None:
    x, y = np.eye(8).repeat(4, 0), np.arange(8).repeat(4) % 2
    assert knn(x, y, ks=(1,))["accuracy k=1"].value == 1
    apart = knn(x, y, ks=(1,), groups=np.arange(8).repeat(4))
    assert apart["accuracy k=1"].value < 1
    assert (apart.n, apart.against) == (32, 28)


def test_neighbours_of_equal_similarity_are_taken_in_row_order() -> None:
    x, y = np.ones((6, 2)), np.array([1, 0, 0, 1, 1, 1])
    assert knn(x, y, ks=(1,))["accuracy k=1"].value == pytest.approx(3 / 6)  # row 0 finds row 1, the others row 0


def test_a_k_without_enough_neighbours_is_left_out_and_said() -> None:
    x, y = clouds(rows=5)
    found = knn(x, y)
    assert "k = 20 is left out: there are 14 neighbours" in found.notes
    assert [figure.metric for figure in found.figures] == ["accuracy k=10", "macro_recall k=10"]
    with pytest.raises(UsageError, match="k = 20, 10 neighbours, and there are 7"):
        knn(x[:8], y[:8])


def test_chance_is_the_most_frequent_class_and_macro_recall_sees_through_it() -> None:
    x, y = np.ones((40, 3)), np.repeat([0, 1], [30, 10])
    found = knn(x, y)
    assert found["accuracy k=20"].chance == found["accuracy k=20"].value == 0.75
    assert found["macro_recall k=20"].chance == found["macro_recall k=20"].value == 0.5


def test_a_linear_probe_reads_off_what_is_linear_whatever_the_scale() -> None:
    x, y = clouds(spread=0.1)
    found = linear_probe(x * [1e-3, 1, 1e3, 1e6] + 5, y, grid=(1.0,))
    assert found["accuracy"].value == 1
    assert any(note.startswith("accuracy over 5 folds: 1.0000") for note in found.notes)


def test_a_linear_probe_on_noise_stays_at_chance() -> None:
    rng = np.random.default_rng(0)
    found = linear_probe(rng.standard_normal((300, 5)), np.arange(300) % 3, grid=(0.01, 1.0))
    assert found["accuracy"].low is not None
    assert found["accuracy"].low <= 1 / 3 <= (found["accuracy"].high or 0)


def test_c_is_chosen_on_validation_and_the_probe_fitted_anew_with_it() -> None:
    from sklearn.linear_model import LogisticRegression

    x, y = clouds(3, spread=1.5, rows=40)
    split = np.array(["train", "valid", "test"])[np.random.default_rng(0).integers(3, size=len(y))]
    found = linear_probe(x, y, split=split)
    train, valid, test = (np.flatnonzero(split == name) for name in ("train", "valid", "test"))

    def fitted(rows: Any, c: float) -> Any:
        mean, deviation = x[rows].mean(axis=0), x[rows].std(axis=0)
        model = LogisticRegression(C=c, max_iter=1000).fit((x[rows] - mean) / deviation, y[rows])
        return lambda asked: (model.predict((x[asked] - mean) / deviation) == y[asked]).mean()

    best = max((10.0**p for p in range(-3, 4)), key=lambda c: fitted(train, c)(valid))
    assert f"C = {best:g}" in found.notes
    assert found["accuracy"].value == pytest.approx(fitted(np.concatenate([train, valid]), best)(test))
    assert (found.n, found.against) == (len(test), len(train) + len(valid))


def test_a_group_is_never_on_both_sides_of_a_made_fold() -> None:
    rng = np.random.default_rng(0)
    groups = np.arange(30).repeat(4)
    x = rng.standard_normal((30, 20))[groups]  # every group has a vector of its own, and labels mean nothing
    y = rng.integers(2, size=30)[groups]
    assert linear_probe(x, y, grid=(1.0,))["accuracy"].value > 0.9
    assert linear_probe(x, y, grid=(1.0,), groups=groups)["accuracy"].value < 0.75


def test_classes_that_no_training_row_has_count_as_wrong_and_are_said() -> None:
    x, y = clouds(spread=0.01)
    split = np.where(y == 2, "test", np.where(np.arange(60) % 2, "train", "test"))
    found = linear_probe(x, y, split=split, grid=(1.0,))
    assert found["accuracy"].value == pytest.approx(20 / 40)
    assert any(note.startswith("20 rows asked have a class") for note in found.notes)


def test_fits_that_did_not_converge_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.uses.evaluation.probe.STEPS", 1)
    x, y = clouds()
    assert any("did not converge within 1 steps" in note for note in linear_probe(x, y, grid=(1e3,)).notes)


def test_a_class_vector_is_the_direction_of_the_mean_direction() -> None:
    templates = np.array([[[2.0, 0, 0], [0, 5.0, 0]], [[0, 0, 3.0], [0, 0, 1.0]]])
    assert class_vectors(templates) == pytest.approx(np.array([[0.5**0.5, 0.5**0.5, 0], [0, 0, 1]]))


def test_words_for_classes_are_ranked_by_cosine() -> None:
    x = np.array([[1, 0.1, 0], [0.1, 1, 0.2], [0.9, 1, 0]])
    found = zero_shot(x, [0, 1, 0], np.eye(3) * [[9], [1], [1]], ks=(1, 2, 5))
    assert found["accuracy@1"].value == pytest.approx(2 / 3)
    assert found["accuracy@2"].value == 1
    assert found["accuracy@1"].chance == pytest.approx(1 / 3)
    assert found["macro_recall"].value == pytest.approx((1 / 2 + 1) / 2)
    assert found.notes == ("k = 5 is left out: there are 3 classes",)


def test_accuracy_at_k_equals_that_of_scikit_learn() -> None:
    from sklearn.metrics import balanced_accuracy_score, top_k_accuracy_score

    rng = np.random.default_rng(0)
    x, classes, y = rng.standard_normal((50, 6)), rng.standard_normal((8, 6)), rng.integers(8, size=50)
    found = zero_shot(x, y, classes)
    cosine = (x @ classes.T) / np.linalg.norm(classes, axis=1)
    for k in (1, 5):
        assert found[f"accuracy@{k}"].value == pytest.approx(top_k_accuracy_score(y, cosine, k=k, labels=range(8)))
    assert found["macro_recall"].value == pytest.approx(balanced_accuracy_score(y, cosine.argmax(axis=1)))


def test_a_tie_between_classes_goes_to_the_wrong_one() -> None:
    assert zero_shot(np.eye(2), [0, 1], np.ones((2, 2)), ks=(1,))["accuracy@1"].value == 0


@pytest.mark.parametrize("given", [{}, {"split": ["train"] * 30 + ["test"] * 30}], ids=["made", "given"])
@pytest.mark.parametrize("protocol", [knn, linear_probe])
def test_a_single_class_is_refused_by_name(protocol: Any, given: Any) -> None:
    with pytest.raises(UsageError, match="one class, 'bee'; at least two"):
        protocol(np.eye(60), ["bee"] * 60, **given)


def test_a_single_class_among_what_teaches_is_refused() -> None:
    x, y = clouds(classes=2)
    with pytest.raises(UsageError, match="training rows hold one class"):
        linear_probe(x, y, split=np.where(y == 0, "train", "test"))


@pytest.mark.parametrize("protocol", [knn, linear_probe])
def test_labels_are_one_for_each_row(protocol: Any) -> None:
    with pytest.raises(UsageError, match="4 rows and 3 labels"):
        protocol(np.eye(4), [0, 1, 1])


@pytest.mark.parametrize("labels", [[0, 3], [-1, 0], [0.0, 1.0]])
def test_zero_shot_labels_are_numbers_of_classes(labels: list[float]) -> None:
    with pytest.raises(UsageError, match="not the numbers of 2 classes"):
        zero_shot(np.eye(2), labels, np.eye(2))

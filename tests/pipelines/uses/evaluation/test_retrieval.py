"""Retrieval: figures against torchmetrics and scikit-learn, chance against enumeration, ties, groups, bad input."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embedders.errors import UsageError
from pipelines.uses.evaluation import chance_levels, positive_ranks, retrieval
from pipelines.uses.evaluation.figures import unit


def sides(seed: int, queries: int = 40, gallery: int = 60, groups: int = 15, dim: int = 8) -> tuple[Any, ...]:
    rng = np.random.default_rng(seed)
    a, b = rng.standard_normal((queries, dim)), rng.standard_normal((gallery, dim))
    return a, b, rng.integers(groups, size=queries), np.arange(gallery) % groups


def on_a_circle(*degrees: float) -> Any:
    turned = np.radians(degrees)
    return np.stack([np.cos(turned), np.sin(turned)], axis=1)


@pytest.mark.slow  # torchmetrics alone takes seconds to import
@pytest.mark.parametrize("groups", [60, 15, 4], ids=["one positive", "some", "many"])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_figures_equal_those_of_torchmetrics(seed: int, groups: int) -> None:
    import torch
    from torchmetrics.retrieval import RetrievalHitRate, RetrievalMAP, RetrievalMRR, RetrievalRecall

    a, b, asked, held = sides(seed, groups=groups)
    found = retrieval(a, b, asked, held)
    preds = torch.tensor(2 + unit(a) @ unit(b).T)  # torchmetrics takes no similarity below 0 for a find
    target = torch.tensor(asked[:, None] == held[None])
    rows = torch.arange(len(a))[:, None].expand_as(preds)
    theirs = {"mrr": RetrievalMRR(), "map": RetrievalMAP()}
    for k in (1, 5, 10):
        theirs |= {f"hit_rate@{k}": RetrievalHitRate(top_k=k), f"recall@{k}": RetrievalRecall(top_k=k)}
    for name, metric in theirs.items():
        expected = float(metric(preds.flatten(), target.flatten(), indexes=rows.flatten()))
        assert found[name].value == pytest.approx(expected, abs=1e-6), name


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_map_and_mrr_equal_those_of_scikit_learn(seed: int) -> None:
    from sklearn.metrics import average_precision_score, label_ranking_average_precision_score

    a, b, asked, held = sides(seed)
    found = retrieval(a, b, asked, held)
    similar, relevant = unit(a) @ unit(b).T, asked[:, None] == held[None]
    assert found["map"].value == pytest.approx(label_ranking_average_precision_score(relevant, similar), abs=1e-12)
    each = [average_precision_score(r, s) for r, s in zip(relevant, similar, strict=True)]
    assert found["map"].value == pytest.approx(np.mean(each), abs=1e-12)
    first = np.zeros_like(relevant)  # with one positive, average precision is the reciprocal rank
    first[np.arange(len(a)), np.where(relevant, similar, -2).argmax(axis=1)] = True
    alone = label_ranking_average_precision_score(first, np.where(relevant & ~first, -2, similar))
    assert found["mrr"].value == pytest.approx(alone, abs=1e-12)


def test_ranks_are_those_counted_by_eye() -> None:
    queries, gallery = on_a_circle(0), on_a_circle(10, 40, 20, 90, 30)
    ranks, tied = positive_ranks(queries, gallery, np.array([7]), np.array([0, 7, 1, 7, 2]))
    assert ranks[0].tolist() == [4, 5]
    assert not tied[0]
    found = retrieval(queries.repeat(2, 0), gallery, [7, 7], [0, 7, 1, 7, 2], ks=(1, 4))
    expected = {"hit_rate@4": 1, "recall@4": 0.5, "mrr": 1 / 4, "map": (1 / 4 + 2 / 5) / 2, "median_rank": 4}
    assert {name: found[name].value for name in expected} == pytest.approx(expected)


def test_hit_rate_asks_for_any_positive_and_recall_for_their_share() -> None:
    queries, gallery = on_a_circle(0, 0), on_a_circle(1, 2, 3, 4)
    found = retrieval(queries, gallery, [0, 0], [0, 1, 0, 0], ks=(1,))
    assert found["hit_rate@1"].value == 1
    assert found["recall@1"].value == pytest.approx(1 / 3)


@pytest.mark.parametrize(("ranks", "middle"), [((1, 2), 1), ((1, 2, 3), 2), ((1, 1, 3, 3), 1), ((4, 1, 2, 4), 2)])
def test_the_median_rank_is_the_smallest_that_half_of_the_queries_reach(
    ranks: tuple[int, ...], middle: int
) -> None:
    gallery = on_a_circle(10, 20, 30, 40)
    found = retrieval(on_a_circle(*[0] * len(ranks)), gallery, [rank - 1 for rank in ranks], range(4), ks=(1,))
    assert found["median_rank"].value == middle


def test_an_embedder_that_gives_one_vector_to_everything_finds_nothing() -> None:
    same = np.ones((20, 4))
    found = retrieval(same, same)
    assert [found[f"hit_rate@{k}"].value for k in (1, 5, 10)] == [0, 0, 0]
    assert found["median_rank"].value == 20
    assert found["tie_rate"].value == 1


def test_ties_stand_before_the_positive_wherever_it_lies() -> None:
    gallery = on_a_circle(0, 90, 0, 0)
    for place in (0, 2, 3):
        ranks, tied = positive_ranks(on_a_circle(0), gallery, np.array([place]), np.arange(4))
        assert (ranks[0].tolist(), tied[0]) == ([3], True)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10_000))
def test_figures_do_not_depend_on_the_order_of_rows(seed: int) -> None:
    rng = np.random.default_rng(seed)
    a, b, asked, held = sides(seed, 12, 20, 5, dim=2)
    a, b = np.sign(a), np.sign(b)  # four directions: mostly ties
    i, j = rng.permutation(len(a)), rng.permutation(len(b))
    one, other = retrieval(a, b, asked, held), retrieval(a[i], b[j], asked[i], held[j])
    for first, second in zip(one.figures, other.figures, strict=True):
        assert first.value == pytest.approx(second.value, abs=1e-12)


def test_positives_of_a_group_do_not_push_each_other_down() -> None:
    a = on_a_circle(0, 90)
    found = retrieval(a, a.repeat(5, 0), [0, 1], np.repeat([0, 1], 5))
    assert found["hit_rate@1"].value == found["map"].value == found["recall@5"].value == 1


@pytest.mark.parametrize(("gallery", "positives"), [(n, p) for n in range(2, 8) for p in range(1, n + 1)])
def test_chance_is_the_mean_over_every_possible_order(gallery: int, positives: int) -> None:
    ks = range(1, gallery + 1)
    places = [np.array(chosen) + 1 for chosen in combinations(range(gallery), positives)]
    expected = {f"hit_rate@{k}": np.mean([p[0] <= k for p in places]) for k in ks}
    expected |= {f"recall@{k}": np.mean([(p <= k).mean() for p in places]) for k in ks}
    expected["mrr"] = np.mean([1 / p[0] for p in places])
    expected["map"] = np.mean([(np.arange(1, positives + 1) / p).mean() for p in places])
    expected["median_rank"] = sorted(p[0] for p in places)[(len(places) - 1) // 2]
    assert chance_levels(gallery, [positives], ks) == pytest.approx(expected, abs=1e-12)


def test_chance_is_what_random_vectors_score() -> None:
    rng = np.random.default_rng(0)
    held = np.concatenate([np.arange(30), np.zeros(10, int)])  # one group of eleven, the others alone
    asked = rng.integers(30, size=3000)
    found = retrieval(rng.standard_normal((3000, 16)), rng.standard_normal((40, 16)), asked, held)
    for figure in found.figures:
        if figure.chance is not None and figure.metric != "median_rank":
            assert figure.value == pytest.approx(figure.chance, abs=0.03), figure.metric
    assert found["median_rank"].value == pytest.approx(found["median_rank"].chance, abs=2)


def test_chance_averages_over_queries_with_different_numbers_of_positives() -> None:
    both = chance_levels(10, [1, 4, 4, 4], (3,))
    one, four = chance_levels(10, [1], (3,)), chance_levels(10, [4], (3,))
    for name in ("hit_rate@3", "mrr", "map"):
        assert both[name] == pytest.approx(0.25 * one[name] + 0.75 * four[name])


def test_queries_without_a_positive_are_counted_and_left_out() -> None:
    found = retrieval(np.eye(4), np.eye(4), [0, 1, 2, 9], [0, 1, 2, 3], ks=(1,))
    assert (found.n, found.against) == (3, 4)
    assert found.left_out == {"without a positive (queries)": 1}
    assert found["hit_rate@1"].value == 1


def test_a_k_above_the_gallery_is_left_out_and_said() -> None:
    found = retrieval(np.eye(6), np.eye(6))
    assert "k = 10 is left out: the gallery has 6 rows" in found.notes
    assert not [f.metric for f in found.figures if f.metric.endswith("@10")]


def test_the_same_seed_gives_the_same_intervals_and_another_others() -> None:
    a, b, asked, held = sides(0)
    assert retrieval(a, b, asked, held, seed=3) == retrieval(a, b, asked, held, seed=3)
    assert retrieval(a, b, asked, held, seed=3).figures != retrieval(a, b, asked, held, seed=4).figures


def test_blocks_of_queries_give_the_same_as_all_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    a, b, asked, held = sides(0)
    whole = retrieval(a, b, asked, held)
    monkeypatch.setattr("pipelines.uses.evaluation.ranking.BLOCK", 7 * len(b))
    assert retrieval(a, b, asked, held) == whole


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((np.eye(1), np.eye(1)), "1 rows; at least 2"),
        ((np.eye(3), np.eye(4)), "row i belongs to row i"),
        ((np.eye(3), np.eye(3), [0, 1, 2]), "one side only"),
        ((np.eye(3), np.eye(3), [0, 1], [0, 1, 2]), "3 rows and 2 groups"),
        ((np.eye(3), np.eye(3), [0, 1, 2], [7, 8, 9]), "No query has a positive"),
        ((np.eye(3) * np.nan, np.eye(3)), "NaN"),
        ((np.zeros(3), np.eye(3)), "shape (3,)"),
    ],
)
def test_what_cannot_be_ranked_is_refused(arguments: tuple[Any, ...], says: str) -> None:
    with pytest.raises(UsageError) as raised:
        retrieval(*arguments)
    assert says in str(raised.value)

"""Exact search, held against the plainest way of saying it: all cosines in float64, sorted."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedders import UsageError
from pipelines import VectorSet
from pipelines.vectors import nearest
from pipelines.vectors.nearest import nearest_rows
from tests.pipelines.vectors import made


@pytest.fixture
def one_row_per_block(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nearest, "BLOCK_BYTES", 1)


def rows_of(rng: np.random.Generator, n: int, dim: int, missing: float = 0.0) -> np.ndarray:
    vectors = rng.standard_normal((n, dim)).astype(np.float32)
    vectors[rng.random(n) < missing] = np.nan
    return vectors


def plainly(vectors: np.ndarray, queries: np.ndarray) -> np.ndarray:
    wide = vectors.astype(np.float64)
    wide /= np.linalg.norm(wide, axis=1, keepdims=True)
    return queries / np.linalg.norm(queries, axis=1, keepdims=True) @ wide.T


@given(st.integers(0, 2**32 - 1), st.integers(0, 60), st.integers(1, 70), st.integers(1, 4), st.integers(1, 500))
def test_it_finds_what_sorting_everything_finds(seed: int, n: int, k: int, count: int, block: int) -> None:
    rng = np.random.default_rng(seed)
    vectors, queries = rows_of(rng, n, 3, missing=0.3), rng.standard_normal((count, 3))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nearest, "BLOCK_BYTES", block)
        rows, scores = nearest_rows(vectors, queries, k, unit=False)
    expected = plainly(vectors, queries)
    kept = min(k, int(np.isfinite(expected[0]).sum()))
    assert rows.shape == scores.shape == (count, kept)
    for query in range(count):
        assert len(set(rows[query])) == kept
        np.testing.assert_allclose(scores[query], expected[query, rows[query]], atol=1e-6)
        best = np.sort(expected[query][np.isfinite(expected[query])])[::-1][:kept]
        np.testing.assert_allclose(scores[query], best, atol=1e-6)


@given(st.lists(st.integers(0, 3), min_size=1, max_size=40), st.integers(1, 50), st.integers(1, 200))
def test_equal_scores_come_in_the_order_of_rows(kinds: list[int], k: int, block: int) -> None:
    # cosines 1, 0, 0 and -1 with the first axis, all of them exact
    vectors = np.array([[1, 0], [0, 1], [0, -1], [-1, 0]], np.float32)[kinds]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nearest, "BLOCK_BYTES", block)
        rows, scores = nearest_rows(vectors, np.array([[2.0, 0.0]]), k, unit=True)
    expected = sorted(range(len(kinds)), key=lambda row: -vectors[row, 0])[:k]
    assert rows[0].tolist() == expected
    assert scores[0].tolist() == vectors[expected, 0].tolist()


def test_rows_without_a_vector_are_never_found_and_shorten_the_list() -> None:
    vectors = np.array([[np.nan, np.nan], [1, 0], [np.nan, np.nan], [0, 1]], np.float32)
    rows, scores = nearest_rows(vectors, np.array([[0, 1]]), 10, unit=True)
    assert (rows.tolist(), scores.tolist()) == ([[3, 1]], [[1.0, 0.0]])


def test_a_column_of_unit_length_gives_the_dot_product() -> None:
    half = np.array([[0.5, 0], [0, 1]], np.float32)
    assert nearest_rows(half, np.array([[3, 0]]), 1, unit=True)[1].tolist() == [[0.5]]
    assert nearest_rows(half, np.array([[3, 0]]), 1, unit=False)[1].tolist() == [[1.0]]


@pytest.mark.parametrize("size", [1e-30, 1e-20, 1.0, 1e20, 1e38])
def test_length_does_not_matter_at_any_size(size: float) -> None:
    vectors = (size * np.array([[0.6, 0.8], [1, 0], [0, 0]])).astype(np.float32)
    rows, scores = nearest_rows(vectors, np.array([[size, 0]]), 3, unit=False)
    assert rows.tolist() == [[1, 0, 2]]
    np.testing.assert_allclose(scores, [[1, 0.6, 0]], atol=1e-6)


def test_many_queries_find_what_each_finds_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nearest, "QUERIES", 3)
    rng = np.random.default_rng(0)
    vectors, queries = rows_of(rng, 50, 8, missing=0.1), rng.standard_normal((7, 8))
    together, _ = nearest_rows(vectors, queries, 5, unit=False)
    alone = [nearest_rows(vectors, query[None], 5, unit=False)[0][0] for query in queries]
    np.testing.assert_array_equal(together, alone)


@pytest.mark.usefixtures("one_row_per_block")
def test_a_block_may_be_as_small_as_a_row() -> None:
    vectors = np.eye(4, dtype=np.float32)
    assert nearest_rows(vectors, vectors[[2]], 2, unit=True)[0].tolist() == [[2, 0]]


def test_memory_is_bounded_by_the_block_and_not_by_the_column(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    np.save(tmp_path / "v.npy", rows_of(np.random.default_rng(0), 20_000, 64))
    vectors = np.load(tmp_path / "v.npy", mmap_mode="r")
    monkeypatch.setattr(nearest, "BLOCK_BYTES", 1 << 16)
    tracemalloc.start()
    nearest_rows(vectors, np.ones((4, 64)), 10, unit=False)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert vectors.nbytes > 5e6
    assert peak < 1 << 18


@pytest.mark.parametrize(
    ("query", "k", "says"),
    [
        ([[1, 0, 0]], 0, "k is 0"),
        ([[1, 0]], 1, "3 dimensions"),
        ([1, 0, 0], 1, "3 dimensions"),
        ([[1, np.nan, 0]], 1, "NaN"),
        ([[1, np.inf, 0]], 1, "infinite"),
        ([[0, 0, 0]], 1, "no direction"),
    ],
)
def test_queries_that_mean_nothing_are_refused(query: list[list[float]], k: int, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        nearest_rows(np.eye(3, dtype=np.float32), np.array(query), k, unit=True)


def test_no_queries_find_nothing() -> None:
    assert len(nearest_rows(np.eye(3, dtype=np.float32), np.empty((0, 3)), 2, unit=True)[0]) == 0


def test_a_column_gives_hits_with_ids_for_one_vector_or_several(tmp_path: Path) -> None:
    made.write(tmp_path / "out")
    column = VectorSet.open(tmp_path / "out")["word_toy"]
    hits = column.search(np.array(made.vector(7)), k=2)
    assert [(hit.id, hit.row) for hit in hits] == [("1/siren", 7), ("1/engine", 9)]  # type: ignore[union-attr]
    assert hits[0].score == pytest.approx(1)  # type: ignore[union-attr]
    several = column.search(np.array([made.vector(0), made.vector(7)]), k=20)
    assert [len(found) for found in several] == [6, 6]  # type: ignore[arg-type]
    assert [hit.id for hit in several[1][:2]] == ["1/siren", "1/engine"]  # type: ignore[index]

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedders.batching import POOL_BATCHES, Pool, cut

COSTS = st.lists(st.integers(0, 50), max_size=60)
ROWS = st.none() | st.integers(1, 9)


@given(COSTS, st.integers(1, 100), ROWS)
def test_every_sample_is_in_one_batch_within_the_budget(costs: list[int], budget: int, rows: int | None) -> None:
    batches = cut(costs, budget, rows)
    assert sorted(position for batch in batches for position in batch) == list(range(len(costs)))
    for batch in batches:
        padded = len(batch) * max(costs[position] for position in batch)
        assert padded <= budget or len(batch) == 1
        assert len(batch) <= (rows or budget)


@given(COSTS, st.integers(1, 100), ROWS)
def test_the_dearest_come_first_and_equals_keep_their_order(
    costs: list[int], budget: int, rows: int | None
) -> None:
    order = [position for batch in cut(costs, budget, rows) for position in batch]
    assert order == sorted(order, key=lambda position: (-max(1, costs[position]), position))


@pytest.mark.parametrize(
    ("costs", "budget", "rows", "batches"),
    [
        ([], 10, None, []),
        ([1, 1, 1, 1], 3, None, [[0, 1, 2], [3]]),
        ([1, 1, 1, 1], 30, 2, [[0, 1], [2, 3]]),
        ([2, 9, 3], 10, None, [[1], [2, 0]]),
        ([99, 1, 99], 10, None, [[0], [2], [1]]),
        ([0, 0, 0], 2, None, [[0, 1], [2]]),
    ],
)
def test_batches_of_a_known_cut(costs: list[int], budget: int, rows: int | None, batches: list[list[int]]) -> None:
    assert cut(costs, budget, rows) == batches


@given(COSTS, st.integers(1, 20), ROWS)
def test_a_pool_gives_every_sample_once_and_stays_small(costs: list[int], budget: int, rows: int | None) -> None:
    pool: Pool[int] = Pool(budget, rows)
    given_away: list[list[int]] = []
    waiting: list[int] = []
    for number, cost in enumerate(costs):
        waiting.append(cost)
        assert sum(max(1, cost) for cost in waiting[:-1]) < POOL_BATCHES * budget
        assert rows is None or len(waiting) <= POOL_BATCHES * rows
        if pool.add(number, cost):
            given_away += pool.batches()
            waiting.clear()
    given_away += pool.batches()
    assert sorted(number for batch in given_away for number in batch) == list(range(len(costs)))
    for batch in given_away:
        dearest = max(max(1, costs[number]) for number in batch)
        assert len(batch) == 1 or len(batch) * dearest <= budget
        assert len(batch) <= (rows or budget)
    assert list(pool.batches()) == []


def test_samples_that_cost_the_same_wait_for_one_batch_only() -> None:
    pool: Pool[str] = Pool(32)
    assert [pool.add("picture", 1) for _ in range(32)] == [False] * 31 + [True]
    assert [len(batch) for batch in pool.batches()] == [32]
    smaller: Pool[str] = Pool(32, rows=5)
    assert [smaller.add("picture", 1) for _ in range(5)] == [False] * 4 + [True]


def test_samples_of_different_cost_wait_to_be_sorted() -> None:
    pool: Pool[int] = Pool(10)
    costs = [1, 9, 2, 8, 3, 7, 4, 6, 5, 5, 1, 9]
    assert not any(pool.add(number, cost) for number, cost in enumerate(costs))
    found = [[costs[number] for number in batch] for batch in pool.batches()]
    assert found == [[9], [9], [8], [7], [6], [5, 5], [4, 3], [2, 1, 1]]

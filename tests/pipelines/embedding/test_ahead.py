"""Results come in order whatever the threads do, and never more of them than fit."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.embedding.ahead import work_ahead


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(3) as pool:
        yield pool


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 3), max_size=30), st.integers(1, 8), st.sampled_from([0.0, 2.0, 100.0]))
def test_order_is_that_of_the_inputs(delays: list[int], count: int, budget: float) -> None:
    def work(delay: int) -> int:
        time.sleep(delay / 2000)
        return delay

    with ThreadPoolExecutor(3) as threads:
        found = work_ahead(threads, work, delays, count=count, weigh=float, budget=budget)
        assert list(found) == delays


def test_threads_go_on_while_the_caller_is_busy(threads: ThreadPoolExecutor) -> None:
    begun: list[int] = []
    found = work_ahead(threads, lambda n: begun.append(n) or n, range(100), count=10, weigh=lambda n: 0, budget=1)
    next(found)
    time.sleep(0.05)
    assert len(begun) == 11


def test_heavy_results_do_not_pile_up(threads: ThreadPoolExecutor) -> None:
    held, most, lock = 0, 0, threading.Lock()

    def work(n: int) -> int:
        nonlocal held, most
        with lock:
            held += 1
            most = max(most, held)
        return n

    for _ in work_ahead(threads, work, range(50), count=40, weigh=lambda n: 5, budget=10):
        time.sleep(0.001)
        with lock:
            held -= 1
    # three results weigh more than the budget; the threads may have begun one each before that was known
    assert most <= 3 + 3


def test_an_exception_is_raised_in_its_turn(threads: ThreadPoolExecutor) -> None:
    found = work_ahead(threads, lambda n: 6 // n, [1, 2, 0, 3], count=4, weigh=float, budget=1)
    assert [next(found), next(found)] == [6, 3]
    with pytest.raises(ZeroDivisionError):
        next(found)


def test_a_caller_that_stops_early_leaves_no_thread_waiting() -> None:
    with ThreadPoolExecutor(2, "stopped-early") as threads:
        found = work_ahead(threads, float, range(100), count=50, weigh=lambda n: 10, budget=1)
        next(found)
        found.close()
    assert not [t for t in threading.enumerate() if t.name.startswith("stopped-early")]

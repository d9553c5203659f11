"""Work done in threads ahead of its use, in order, and no further ahead than memory allows."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

__all__ = ["work_ahead"]


def work_ahead(
    threads: ThreadPoolExecutor,
    work: Callable[[T], R],
    inputs: Iterable[T],
    *,
    count: int,
    weigh: Callable[[R], float],
    budget: float,
) -> Iterator[R]:
    """The results of ``work`` in the order of ``inputs``, up to ``count`` of them begun before they are asked for.

    While the results that wait to be taken weigh more than ``budget`` together, only the next one wanted is
    worked on: threads go on while the caller is busy, yet a run of huge inputs cannot pile up. How far ahead the
    threads are never shows in the results. An exception of ``work`` is raised in its turn.
    """
    gate = _Gate(budget)
    waiting: deque[Future[R]] = deque()

    def run(position: int, given: T) -> R:
        gate.wait_for_room(position)
        result = work(given)
        gate.put(weigh(result))
        return result

    def take() -> R:
        result = waiting.popleft().result()
        gate.take(weigh(result))
        return result

    try:
        for position, given in enumerate(inputs):
            waiting.append(threads.submit(run, position, given))
            if len(waiting) > count:
                yield take()
        while waiting:
            yield take()
    finally:
        for future in waiting:
            future.cancel()
        gate.open_for_all()


class _Gate:
    """Lets a position through while there is room, and always the one that is wanted next.

    The executor begins tasks in order, so the one wanted next has always begun: nobody waits for ever.
    """

    def __init__(self, budget: float) -> None:
        self._budget = budget
        self._held = 0.0
        self._wanted = 0
        self._open = False
        self._changed = threading.Condition()

    def wait_for_room(self, position: int) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._held <= self._budget or position == self._wanted or self._open)

    def put(self, weight: float) -> None:
        with self._changed:
            self._held += weight

    def take(self, weight: float) -> None:
        with self._changed:
            self._held -= weight
            self._wanted += 1
            self._changed.notify_all()

    def open_for_all(self) -> None:
        with self._changed:
            self._open = True
            self._changed.notify_all()

"""Failures stop a run where they say that something is wrong with the run itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from embedders import TooManyFailures, UsageError
from pipelines.engines.breaker import Breaker, failure_limit
from pipelines.vectors import Cells, ColumnInfo

COLUMN = ColumnInfo(
    "w",
    "word",
    "toy.letters",
    "toy",
    "toy",
    3,
    "float32",
    False,
    {"runtime": {"device": "cpu", "precision": "bf16"}},
)


def cells(statuses: list[str]) -> Cells:
    errors = [None if status == "ok" else f"CODE: {status} {i}" for i, status in enumerate(statuses)]
    return Cells(np.zeros((len(statuses), 3), np.float32), statuses, errors, [[] for _ in statuses])


def stops_after(limit: Any, statuses: list[str], *, part: int = 10) -> int | None:
    """The number of rows that were counted before the run was stopped."""
    breaker = Breaker([COLUMN], failure_limit(limit))
    for start in range(0, len(statuses), part):
        try:
            breaker.count("w", cells(statuses[start : start + part]))
        except TooManyFailures:
            return min(start + part, len(statuses))
    return None


@pytest.mark.parametrize(
    ("given", "number"),
    [(None, None), ("20", 20.0), (0, 0.0), ("0.1", 0.1), (0.25, 0.25), ("any", float("inf")), ("0", 0.0)],
)
def test_a_limit_is_a_count_a_share_or_none(given: Any, number: float | None) -> None:
    assert failure_limit(given) == number


@pytest.mark.parametrize("given", ["-1", "1.5", "lots", "nan", True, "", -0.5])
def test_anything_else_is_no_limit(given: Any) -> None:
    with pytest.raises(UsageError, match="failure limit"):
        failure_limit(given)


@pytest.mark.parametrize(
    ("limit", "statuses", "stopped"),
    [
        (None, ["nonfinite"] * 99, None),
        (None, ["nonfinite"] * 100, 100),
        (None, ["ok"] * 5 + ["corrupt"] * 100, 105),
        (None, (["corrupt"] * 99 + ["ok"]) * 4, None),  # half of it failed, but 400 rows say nothing yet
        (None, (["corrupt"] * 99 + ["ok"]) * 6, 500),
        (None, ["ok", "corrupt"] * 600, None),
        (None, ["absent", "empty"] * 600, None),
        (None, ["corrupt", "absent"] * 100, 200),  # what was never there does not break a row of failures
        (0, ["ok"] * 15 + ["corrupt"], 16),
        (2, ["corrupt"] * 2 + ["ok"] * 50, None),
        (2, ["corrupt"] * 3, 3),
        (0.1, ["corrupt"] * 60, None),
        (0.1, (["corrupt"] + ["ok"] * 9) * 60, None),
        (0.1, (["corrupt"] * 2 + ["ok"] * 8) * 60, 500),
        ("any", ["corrupt"] * 2000, None),
    ],
)
def test_runs_stop_where_the_rule_says(limit: Any, statuses: list[str], stopped: int | None) -> None:
    assert stops_after(limit, statuses) == stopped


def test_what_was_committed_before_counts_too() -> None:
    breaker = Breaker([COLUMN], 5)
    breaker.resume({"w": {"ok": 10, "corrupt": 5, "absent": 3, "empty": 1}})
    with pytest.raises(TooManyFailures, match="6 cells failed; the limit is 5"):
        breaker.count("w", cells(["corrupt"]))


def test_the_message_names_column_precision_and_the_last_reason() -> None:
    breaker = Breaker([COLUMN], None)
    with pytest.raises(
        TooManyFailures, match=r"100 records in a row .* 'w' \(toy.letters, cpu, bf16\); the last: CODE"
    ):
        breaker.count("w", cells(["nonfinite"] * 100))

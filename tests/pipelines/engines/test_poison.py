"""A record that kills its worker is one row; all others are as if it had never been there (4.13, item 6)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from pipelines.embedding import columns_for
from pipelines.engines import Settings, WorkerEngine
from tests.pipelines.engines.conftest import local, words
from tests.pipelines.engines.poison import Poison

WORDS = ["bell", "drum", "siren", "wave", "engine", "ball", "star"]
RESTARTS = math.log2(len(WORDS)) + 2


def with_poison(word: str) -> list[str]:
    return [*WORDS[:3], word, *WORDS[3:]]


@pytest.fixture(scope="module")
def engine() -> Iterator[WorkerEngine]:
    """One engine for all of them, whose workers have 4 GB of address space."""
    columns = columns_for(["word"], {"word": Poison()})
    settings = Settings(device="cpu", threads=2, record_seconds=0.8, forward_seconds=0.8, memory=4 << 30)
    made = WorkerEngine(columns, settings)
    yield made
    made.close()


@pytest.mark.parametrize(
    ("word", "status", "error"),
    [
        ("!segfault", "crashed", "WORKER_DIED: the worker process died on it, alone: signal SIGSEGV"),
        ("!!segfault", "crashed", "WORKER_DIED: the worker process died on it, alone: signal SIGSEGV"),
        ("!exit", "crashed", "WORKER_DIED: the worker process died on it, alone: exit code 0"),
        ("!!abort", "crashed", "WORKER_DIED: the worker process died on it, alone: signal SIGABRT"),
        ("!kill", "crashed", "WORKER_DIED: the worker process died on it, alone: signal SIGKILL"),
        ("!die", "crashed", "WORKER_DIED: the worker process died on it, alone: exit code 3; it said: no more"),
        ("!hang", "timeout", "RECORD_SECONDS: opening it took longer than 0.8 s"),
        ("!!hang", "timeout", "FORWARD_SECONDS: its forward took longer than 0.8 s"),
    ],
)
def test_who_kills_its_worker_again_is_a_row(engine: WorkerEngine, word: str, status: str, error: str) -> None:
    before = engine.started
    found = engine.embed(words(*with_poison(word)))
    without = local().embed(words(*WORDS)).cells["word_poison"].vectors
    cells = found.cells["word_poison"]
    assert cells.status == ["ok"] * 3 + [status] + ["ok"] * 4
    assert cells.error[3] == error
    assert np.isnan(cells.vectors[3]).all()
    assert np.delete(cells.vectors, 3, axis=0).tobytes() == without.tobytes()
    assert found.fields["word"][0] == with_poison(word)
    assert engine.started - max(before, 1) <= RESTARTS
    assert len(found.notes) == 1
    assert found.notes[0].endswith("'r3'")


@pytest.mark.parametrize(
    ("word", "status", "error"),
    [
        ("!odd", "model_error", "PREPARE: Odd"),
        ("!!odd", "model_error", "FORWARD: Odd"),
        ("!panic", "model_error", "PREPARE: Panic: of another language"),
        ("!!panic", "model_error", "FORWARD: Panic: of another language"),
        ("!!quit", "model_error", "FORWARD: SystemExit: 0"),
        ("!hog", "limit", "MEMORY: opening it needs more memory than there is"),
        ("!!hog", "limit", "OOM: one input alone needs more memory than cpu has"),
        ("!flood", "ok", None),
        ("!!flood", "ok", None),
    ],
)
def test_what_only_raises_or_floods_costs_no_worker(
    engine: WorkerEngine, word: str, status: str, error: str | None
) -> None:
    engine.load()
    before = engine.started
    cells = engine.embed(words(*with_poison(word))).cells["word_poison"]
    assert cells.status == ["ok"] * 3 + [status] + ["ok"] * 4
    assert cells.error[3] == error
    assert engine.started == before


def test_res_05_a_memory_hog_meets_its_bound(engine: WorkerEngine) -> None:
    engine.load()
    assert f"Max address space         {4 << 30}" in Path(f"/proc/{engine.pid}/limits").read_text()


def test_several_poisoned_records_of_one_part_are_all_found(engine: WorkerEngine) -> None:
    engine.load()
    before = engine.started
    found = engine.embed(words("bell", "!exit", "drum", "!!segfault", "!quit", "wave"))
    assert found.cells["word_poison"].status == ["ok", "crashed", "ok", "crashed", "model_error", "ok"]
    assert engine.started - before <= 2 * RESTARTS


def test_num_20_a_lost_device_is_tried_in_another_worker(engine: WorkerEngine) -> None:
    found = engine.embed(words("bell", "!!lost"))
    assert found.cells["word_poison"].status == ["ok", "crashed"]
    assert "CUDA error: an illegal memory access" in str(found.cells["word_poison"].error[1])

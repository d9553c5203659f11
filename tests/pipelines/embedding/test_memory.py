"""Freed memory is given back, and not at every turn."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from pipelines.embedding import memory
from pipelines.embedding.memory import FreeMemory


def resident() -> int:
    """Resident memory of this process in bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc, and only glibc keeps what is freed")
def test_what_is_freed_between_what_is_kept_goes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "EVERY", 0.0)
    free = FreeMemory()
    blocks = [bytearray(100_000) for _ in range(2000)]
    kept = blocks[::50]
    del blocks
    before = resident()
    free.give_back()
    assert before - resident() > 50_000_000
    assert len(kept) == 40


def test_it_is_done_only_now_and_then() -> None:
    free, calls = FreeMemory(), []
    free._trim = calls.append
    for _ in range(100):
        free.give_back()
    assert calls == []
    free._last -= memory.EVERY
    free.give_back()
    assert calls == [0]

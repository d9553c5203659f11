"""Engines that are closed and leave nothing behind, and one way to run forty words through one."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from embedders import BaseEmbedder
from pipelines import Record
from pipelines.embedding import columns_for
from pipelines.engines import LocalEngine, Settings, WorkerEngine
from tests.pipelines.engines.poison import Poison

Make = Callable[..., WorkerEngine]

CPU = {"device": "cpu", "precision": "fp32", "threads": 2}


def words(*given: Any) -> list[Record]:
    return [Record(f"r{i}", {"word": word}) for i, word in enumerate(given)]


def local(embedder: BaseEmbedder | str | None = None, **settings: Any) -> LocalEngine:
    columns = columns_for(["word"], {"word": embedder or Poison()})
    return LocalEngine(columns, Settings(**{**CPU, **settings}))


@pytest.fixture
def worker() -> Iterator[Make]:
    """Makes engines with a worker; afterwards none of their processes is left."""
    made: list[WorkerEngine] = []
    pids: set[int] = set()

    def make(embedder: BaseEmbedder | str | None = None, **settings: Any) -> WorkerEngine:
        columns = columns_for(["word"], {"word": embedder or Poison()})
        made.append(WorkerEngine(columns, Settings(**{**CPU, **settings})))
        return made[-1]

    yield make
    for engine in made:
        pids |= {engine.pid} - {None}
        engine.close()
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.killpg(pid, 0)


def alive(pid: int) -> bool:
    """Whether a process runs: a zombie does not."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    return False

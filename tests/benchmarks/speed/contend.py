"""Run one contender and say how its time was spent; what ``rounds`` starts, and nothing of ours is imported.

::

    python -m tests.benchmarks.speed.contend pictures:expert TASK.json

The task is a JSON object with the fields of :class:`Task`. The function returns its vectors, one row per input in
the order of names, or several such columns by name; they are written to ``out``, flushed to the disk, and one JSON
line goes to stdout: seconds per stage since the process was started, inputs per second once the first fifth is done
(of all, where they are not told apart), and what the function adds.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["Clock", "Task", "main", "steady_rate"]

WARM, MARKS = 0.2, 6
"""Share of the inputs that counts as warming up, and from how many batches on a rate can be told."""


def steady_rate(progress: list[tuple[float, int]], warm: float = WARM) -> float | None:
    """Inputs per second after the first fifth, from (seconds, inputs done) in order; None for a few batches."""
    if len(progress) < MARKS:
        return None
    total = progress[-1][1]
    first = next(((at, done) for at, done in progress if done >= warm * total))
    seconds, inputs = progress[-1][0] - first[0], total - first[1]
    return inputs / seconds if seconds > 0 and inputs > 0 else None


@dataclass
class Clock:
    """Seconds since ``began``, on the clock that all processes of a machine share."""

    began: float
    stages: dict[str, float] = field(default_factory=dict)
    progress: list[tuple[float, int]] = field(default_factory=list)

    def mark(self, stage: str) -> None:
        """The time since the last mark was spent on ``stage``."""
        self.stages[stage] = time.perf_counter() - self.began - sum(self.stages.values())

    def done(self, inputs: int) -> None:
        """That many inputs more have become vectors; not for who does the long ones first, as rates would lie."""
        before = self.progress[-1][1] if self.progress else 0
        self.progress.append((time.perf_counter(), before + inputs))


@dataclass
class Task:
    """What a contender is given: ``model`` and its ``weights`` (kind to path), ``source``, and how to run."""

    model: str
    source: str
    weights: dict[str, str]
    out: str
    cores: int
    settings: dict[str, Any] = field(default_factory=dict)
    limit: int | None = None
    began: float = field(default_factory=time.perf_counter)

    def __post_init__(self) -> None:
        self.clock = Clock(self.began)
        self.adds: dict[str, Any] = {}

    def files(self, *suffixes: str) -> list[Path]:
        """The files of the source in the order of names, of these suffixes only where some are given."""
        found = [path for path in Path(self.source).rglob("*") if path.is_file()]
        return sorted(path for path in found if not suffixes or path.suffix in suffixes)[: self.limit]

    def lines(self) -> list[str]:
        """The texts of a JSONL source, or those of a folder's ``.txt`` files."""
        if Path(self.source).is_dir():
            return [path.read_text() for path in self.files(".txt")]
        with open(self.source) as file:
            return [json.loads(line)["text"] for line in file][: self.limit]


def _write(folder: Path, columns: dict[str, np.ndarray]) -> None:
    for name, vectors in columns.items():
        with (folder / f"{name}.npy").open("wb") as file:
            np.save(file, np.asarray(vectors, np.float32))
            file.flush()
            os.fsync(file.fileno())


def main() -> None:
    """Run what the command line names."""
    name, task_file = sys.argv[1:]
    task = Task(**json.loads(Path(task_file).read_text()))
    family, _, function = name.partition(":")
    found = getattr(importlib.import_module(f"tests.benchmarks.speed.scripts.{family}"), function)(task)
    columns = found if isinstance(found, dict) else {"vectors": found}
    task.clock.mark("embed")
    _write(Path(task.out), columns)
    task.clock.mark("write")
    rate = steady_rate(task.clock.progress) or len(next(iter(columns.values()))) / task.clock.stages["embed"]
    print(json.dumps({"stages": task.clock.stages, "rate": rate, **task.adds}))


if __name__ == "__main__":
    main()

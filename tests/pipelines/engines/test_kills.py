"""Whoever kills the worker, and whenever: the set is the same to the byte (PRO-05, PRO-06, 4.13 item 3)."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import threading
from pathlib import Path

from pipelines.embedding import columns_for
from pipelines.engines import LocalEngine, Progress, Settings, WorkerEngine, run_parts
from pipelines.engines.engine import Engine
from pipelines.records import make_plan, open_source
from pipelines.vectors import Schema, Writer
from tests.pipelines.engines.poison import Poison

PARTS, ROWS, KILLS = 40, 5, 30
WORDS = [{"word": "".join(random.Random(i).choices("abcdefgh", k=1 + i % 9))} for i in range(PARTS * ROWS)]
SETTINGS = Settings(device="cpu", threads=2)


def files(out: Path) -> dict[str, bytes]:
    """What must not differ: commit records hold seconds."""
    return {p.name: p.read_bytes() for p in out.rglob("*") if p.is_file() and p.parent.name != "commits"}


def run(engine: Engine, out: Path, observe: object = lambda progress: None) -> Progress:
    source = open_source(WORDS, suffixes={})
    plan = make_plan(source, ROWS)
    schema = Schema(("word",), tuple(engine.describe()))
    with Writer.open(out, schema, {"plan": plan.to_json()}) as writer:
        return run_parts(plan, source, engine, writer, observe)  # type: ignore[arg-type]


class Killer(threading.Thread):
    """Kills the worker again and again: in its first moments, or some time after the next part was committed."""

    def __init__(self, engine: WorkerEngine) -> None:
        super().__init__()
        self.engine = engine
        self.random = random.Random(7)
        self.committed = threading.Event()
        self.over = threading.Event()
        self.kills = 0

    def observe(self, progress: Progress) -> None:
        if progress.parts_done > self.parts:
            self.parts = progress.parts_done
            self.committed.set()

    parts = 0

    def run(self) -> None:
        killed = None
        while self.kills < KILLS and not self.over.is_set():
            if self.kills % 3:  # two of three are at the start: no more than that come before a part gets through
                self.over.wait(self.random.uniform(0, 0.1))
            else:
                self.committed.clear()
                while not self.committed.wait(0.01) and not self.over.is_set():
                    pass
                self.over.wait(self.random.uniform(0, 0.02))
            pid = self.engine.pid
            if pid is not None and pid != killed:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                    killed, self.kills = pid, self.kills + 1


def test_thirty_kills_at_random_change_nothing(tmp_path: Path) -> None:
    columns = columns_for(["word"], {"word": Poison(pause=0.002)})
    run(LocalEngine(columns, SETTINGS), tmp_path / "undisturbed")
    engine = WorkerEngine(columns, SETTINGS)
    killer = Killer(engine)
    killer.start()
    try:
        run(engine, tmp_path / "killed", killer.observe)
    finally:
        killer.over.set()
        killer.join()
        engine.close()
    assert killer.kills == KILLS
    assert files(tmp_path / "killed") == files(tmp_path / "undisturbed")
    assert engine.started > KILLS / 2

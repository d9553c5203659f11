"""A worker belongs to its parent: it sees nothing of its script, and ends with it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.pipelines.engines.conftest import alive

ROOT = Path(__file__).parents[3]

SCRIPT = """
import sys, time
sys.path[:0] = {paths!r}
import embedders
from tests import toy
embedders.register("toy", toy.Toy)
from pipelines import Record
from pipelines.embedding import columns_for
from pipelines.engines import Settings, WorkerEngine
print("RUN ONCE", flush=True)
columns = columns_for(["word"], {{"word": "tests.pipelines.engines.poison:Poison(pause={pause})"}})
engine = WorkerEngine(columns, Settings(device={device!r}, silence_seconds={silence}))
engine.describe()
engine.load()
print(engine.pid, flush=True)
sys.stdin.readline()
{then}
"""


Start = Callable[..., tuple["subprocess.Popen[str]", int]]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts a script without main guard that has a worker; returns it, and the worker, when that is ready."""
    scripts: list[subprocess.Popen[str]] = []

    def started(then: str, **options: Any) -> tuple[subprocess.Popen[str], int]:
        options = {"device": "cpu", "silence": 0.5, "pause": 0.0, "paths": [str(ROOT)], **options}
        code = SCRIPT.format(then=then, **options)
        pipe = subprocess.PIPE
        script = subprocess.Popen([sys.executable, "-c", code], stdin=pipe, stdout=pipe, stderr=pipe, text=True)
        scripts.append(script)
        assert script.stdout is not None
        assert script.stdout.readline() == "RUN ONCE\n"
        pid = int(script.stdout.readline())
        assert script.stdin is not None
        script.stdin.write("go on\n")
        script.stdin.flush()
        return script, pid

    yield started
    for script in scripts:
        script.kill()
        script.communicate()


@pytest.mark.parametrize("doing", ["bell", "!hang", "!!hang"])
def test_pro_11_a_worker_ends_with_its_parent(start: Start, doing: str) -> None:
    script, pid = start(f"engine.embed([Record('a', {{'word': {doing!r}}})])\ntime.sleep(100)")
    assert alive(pid)
    script.kill()
    deadline = time.monotonic() + 2
    while alive(pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not alive(pid)


def test_pro_18_the_script_is_not_run_again_and_its_end_ends_the_worker(start: Start) -> None:
    then = "found = engine.embed([Record('a', {'word': 'bell'})])\nprint(*found.cells['word_poison'].status)"
    script, pid = start(then)
    out, err = script.communicate(timeout=10)
    assert (script.returncode, out, err) == (0, "ok\n", "")
    assert not alive(pid)


def test_pro_17_a_pause_of_everybody_kills_nobody(start: Start) -> None:
    then = (
        "found = engine.embed([Record(str(i), {'word': 'bell'}) for i in range(3)],"
        " lambda done, failed: None)\nprint(engine.started, found.notes)"
    )
    script, pid = start(then, pause=0.2)
    time.sleep(0.1)  # in the middle of the part, or before it: neither may matter
    for one in (pid, script.pid):
        os.kill(one, signal.SIGSTOP)
    time.sleep(1.0)  # twice the silence that would be death
    for one in (script.pid, pid):
        os.kill(one, signal.SIGCONT)
    assert script.communicate(timeout=10) == ("1 []\n", "")


FAKE_TORCH = """
class cuda:
    is_available = staticmethod(lambda: False)
mps = cuda
"""


def test_a_worker_asks_torch_for_the_device_and_its_parent_never_imports_it(start: Start, tmp_path: Path) -> None:
    (tmp_path / "torch.py").write_text(FAKE_TORCH)
    then = "print(engine.settings.device, 'torch' in sys.modules)"
    script, _ = start(then, device="auto", paths=[str(tmp_path), str(ROOT)])
    assert script.communicate(timeout=60) == ("cpu False\n", "")

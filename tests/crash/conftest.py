"""A workload for tests, whose undisturbed run is made once; and gates, at which a run waits to be struck."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash.embedders import GATES
from tests.crash.workload import Ended, Started, Workload

HALFWAY, GATE = 3, "caption 25"
"""Parts that are committed when the run stands at the gate, which is in the part after them."""


@pytest.fixture(scope="session")
def workload(tmp_path_factory: pytest.TempPathFactory) -> Workload:
    """64 records in 8 parts."""
    made = Workload(tmp_path_factory.mktemp("crash") / "workload", parts=8, rows=8)
    assert made.reference
    return made


class Gated:
    """A run that stands at a gate: ``out`` holds what it has committed until then."""

    def __init__(self, workload: Workload, folder: Path, gate: str) -> None:
        self.workload, self.folder, self.out = workload, folder, folder / "set"
        (folder / gate).touch()
        self.gate = gate

    def start(self, *options: str, before: tuple[str, ...] = ()) -> Started:
        run = self.workload.start(self.out, *options, before=before, env={GATES: str(self.folder)})
        before = HALFWAY if self.gate == GATE else 0
        # a part is committed while the next is embedded
        assert run.until(lambda: (self.folder / f"at {self.gate}").exists() and self.committed == before), run.end()
        return run

    def open(self) -> None:
        (self.folder / self.gate).unlink()

    @property
    def committed(self) -> int:
        return len(list(self.out.glob("commits/part-*.json")))

    def go_on(self, *options: str) -> Ended:
        """The same run again, with nothing in its way."""
        return self.workload.run(self.out, *options)


@pytest.fixture
def gated(workload: Workload, tmp_path: Path) -> Iterator[Gated]:
    yield Gated(workload, tmp_path, GATE)
    for gate in tmp_path.glob("caption*"):
        gate.unlink()


@pytest.fixture
def loading(workload: Workload, tmp_path: Path) -> Gated:
    return Gated(workload, tmp_path, "load")

"""Processes that die, and processes that want the same folder."""

from __future__ import annotations

import os
import shutil
import signal

from tests.crash.conftest import HALFWAY, Gated
from tests.crash.kills import resumed_again
from tests.crash.workload import COMPLETE, contents, differing, standing


def test_PRO_11_PRO_13_a_killed_parent_takes_its_worker_along_and_two_others_go_on(gated: Gated) -> None:
    run = gated.start()
    assert len(run.workers()) == 1
    run.popen.kill()
    ended = run.end()
    assert (ended.code, ended.orphans, gated.committed) == (-signal.SIGKILL, (), HALFWAY)
    before = standing(gated.out)
    assert gated.go_on("--workers", "2", "--threads", "1").code == COMPLETE
    assert standing(gated.out).items() >= before.items()
    assert differing(contents(gated.out), gated.workload.reference) == []


def test_PRO_05_a_killed_worker_is_replaced_and_its_rows_are_the_same(gated: Gated) -> None:
    run = gated.start()
    (worker,) = run.workers()
    gated.open()
    os.kill(worker, signal.SIGKILL)
    ended = run.end()
    assert (ended.code, ended.orphans) == (COMPLETE, ())
    assert "A worker process was replaced" in ended.err
    assert differing(contents(gated.out), gated.workload.reference) == []


def test_PRO_05_a_worker_killed_while_it_loads_is_replaced(loading: Gated) -> None:
    run = loading.start()
    (worker,) = run.workers()
    loading.open()
    os.kill(worker, signal.SIGKILL)
    ended = run.end()
    assert (ended.code, ended.orphans) == (COMPLETE, ())
    assert differing(contents(loading.out), loading.workload.reference) == []


def test_PRO_12_of_runs_at_once_one_proceeds_and_the_others_name_it(gated: Gated) -> None:
    run = gated.start()
    before = contents(gated.out)
    others = [gated.workload.start(gated.out, "--workers", "0") for _ in range(2)]
    for other in others:
        ended = other.end()
        assert (ended.code, ended.orphans) == (6, ())
        assert f"process {run.popen.pid} on" in " ".join(ended.err.split())
    assert contents(gated.out) == before
    gated.open()
    assert run.end().code == COMPLETE
    assert differing(contents(gated.out), gated.workload.reference) == []


def test_PRO_16_a_complete_set_is_not_touched(gated: Gated) -> None:
    gated.open()
    shutil.copytree(gated.workload.folder / "reference", gated.out)
    assert resumed_again(gated.workload, gated.out) == []


def test_RES_13_a_folder_that_is_gone_ends_the_run(gated: Gated) -> None:
    run = gated.start()
    shutil.rmtree(gated.out)
    gated.open()
    ended = run.end()
    assert (ended.code, ended.orphans) == (5, ())
    assert str(gated.out) in "".join(ended.err.splitlines())
    assert gated.go_on("--workers", "0").code == COMPLETE
    assert differing(contents(gated.out), gated.workload.reference) == []

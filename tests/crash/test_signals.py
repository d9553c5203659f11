"""Signals to the command line: the first asks for an end after the part in work, the second for one now."""

from __future__ import annotations

import os
import signal
import time

import pytest

from tests.crash.conftest import HALFWAY, Gated
from tests.crash.workload import COMPLETE, Started, contents, differing


def send(run: Started, number: int) -> None:
    """To everybody, as a terminal or a service manager does."""
    for pid in run.processes():
        os.kill(pid, number)


def until_it_says(run: Started, sentence: bytes) -> None:
    said = b""
    assert run.popen.stderr is not None
    while sentence not in said:
        more = os.read(run.popen.stderr.fileno(), 4096)
        assert more, said
        said += more


@pytest.mark.parametrize(
    ("number", "code"),
    [pytest.param(signal.SIGTERM, 143, id="PRO-08"), pytest.param(signal.SIGINT, 130, id="PRO-09 once")],
)
def test_the_first_signal_finishes_the_part_and_the_same_command_goes_on(
    gated: Gated, number: int, code: int
) -> None:
    run = gated.start()
    send(run, number)
    until_it_says(run, b"finishing the part in work")
    gated.open()
    ended = run.end()
    assert (ended.code, ended.orphans, gated.committed) == (code, (), HALFWAY + 1)
    assert "4 of 8 parts committed" in ended.err
    assert gated.go_on("--workers", "0").code == COMPLETE
    assert differing(contents(gated.out), gated.workload.reference) == []


def test_PRO_09_the_second_signal_stops_now(gated: Gated) -> None:
    run = gated.start()
    send(run, signal.SIGINT)
    until_it_says(run, b"finishing the part in work")
    began = time.monotonic()
    send(run, signal.SIGINT)
    ended = run.end()
    assert (ended.code, ended.orphans, gated.committed) == (130, (), HALFWAY)
    assert time.monotonic() - began < 5
    assert "nothing that was committed is lost" in ended.err
    assert not (gated.out / "LOCK").exists()


def test_PRO_09_a_signal_while_weights_are_loaded_leaves_nothing(loading: Gated) -> None:
    run = loading.start()
    send(run, signal.SIGTERM)
    until_it_says(run, b"finishing the part in work")
    loading.open()
    ended = run.end()
    assert (ended.code, ended.orphans, loading.committed) == (143, (), 0)


def test_PRO_10_a_hangup_kills_and_costs_no_more_than_the_part(gated: Gated) -> None:
    run = gated.start()
    send(run, signal.SIGHUP)
    ended = run.end()
    assert (ended.code, ended.orphans, gated.committed) == (-signal.SIGHUP, (), HALFWAY)


def test_PRO_18_under_nohup_a_hangup_is_nothing(gated: Gated) -> None:
    run = gated.start(before=("nohup",))
    send(run, signal.SIGHUP)
    gated.open()
    ended = run.end()
    assert (ended.code, ended.orphans) == (COMPLETE, ())
    assert differing(contents(gated.out), gated.workload.reference) == []

"""Wherever a run is cut short, the same command ends with the very bytes of an undisturbed run."""

from __future__ import annotations

import io
import itertools
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from pipelines.vectors import Storage, Writer
from tests.pipelines.vectors.crashes import Disk, Subject, Tree, crash_states, crashes, failures, tree, undisturbed
from tests.pipelines.vectors.going import GOOD, PARTS, going
from tests.pipelines.vectors.made import plan, rows, schema


@pytest.fixture
def expected(where: Path) -> Tree:
    return undisturbed(GOOD, where)


def test_PRO_02_a_power_cut_after_any_operation_costs_at_most_what_was_not_committed(where: Path) -> None:
    assert list(crashes(GOOD, where)) == []


def test_RES_07_RES_08_RES_09_any_operation_may_fail(where: Path) -> None:
    assert list(failures(GOOD, where)) == []


@pytest.mark.parametrize("share", [0.1, 0.35, 0.6, 0.85])
def test_PRO_04_the_second_run_may_be_cut_short_too(where: Path, expected: Tree, share: float) -> None:
    states = crash_states(GOOD, where)
    before = states[int(share * len(states))]
    assert list(crashes(GOOD, where, expected, before)) == []


@pytest.mark.parametrize(
    "broken", ["data/part-000001.parquet", "commits/part-000000.json", "manifest.json", "run.json"]
)
def test_RES_18_the_repair_of_a_finished_set_may_be_cut_short(where: Path, expected: Tree, broken: str) -> None:
    content = bytearray(expected[f"v/{broken}"] or b"")
    content[len(content) // 2] ^= 4
    before = {**expected, f"v/{broken}": bytes(content)}
    # the damage stands at the beginning; what readers are told of it is shown elsewhere
    repair = Subject(going(), is_set=False)
    assert list(crashes(repair, where, expected, before)) == []


def test_PRO_13_parts_may_come_in_any_order(where: Path, expected: Tree) -> None:
    for order in itertools.permutations(range(PARTS)):
        assert undisturbed(Subject(going(order=order)), where) == expected


def test_RES_11_a_disk_that_takes_a_few_bytes_at_a_time_gets_the_whole_file(where: Path, expected: Tree) -> None:
    class Short(io.FileIO):
        def write(self, content: Any) -> int:
            return super().write(bytes(content[:100]))

    class Slow(Storage):
        def open_new(self, path: Path) -> BinaryIO:
            return io.BufferedWriter(Short(path, "xb"))

    out = where / "slow"
    with Writer.open(out, schema(), plan(PARTS), Slow(out)) as writer:
        for part in range(PARTS):
            writer.commit(part, rows(part), {"total": 1.0})
        writer.finish()
    assert {
        name.replace("slow", "v"): content for name, content in tree(where).items() if "slow" in name
    } == expected


def test_the_model_of_a_disk_loses_what_was_not_flushed() -> None:
    disk = Disk.holding({"v": None})
    for operation in [("create", "v/.tmp", 0), ("write", 0, b"abcd"), ("rename", "v/.tmp", "v/a")]:
        disk.do(operation)
    found = [state.get("v/a") for state in disk.states()]
    assert {None, b"", b"ab", b"abcd", bytes(4)} == set(found)
    disk.do(("sync", 0))
    disk.do(("sync folder", "v"))
    assert list(disk.states()) == [{"v": None, "v/a": b"abcd"}]

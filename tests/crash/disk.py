"""Disks that are too small by more or less, filled by a run, made larger, and the run gone on with.

A tmpfs can be made of any size and enlarged while it is mounted; that takes root, in a namespace of its own if need
be: ``unshare -rm python -m tests.benchmarks.crashes --disk-full``.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.crash.kills import reading
from tests.crash.syscalls import STORAGE
from tests.crash.workload import COMPLETE, Workload, contents, differing

SHARES = range(10, 120, 10)
"""Sizes of the disks, in percent of what the set takes."""

LARGE = 1 << 30


@dataclass
class Filled:
    """What became of a run on a disk of this size."""

    share: int
    size: int
    code: int
    committed: int
    wrong: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        said = f"{self.share:4} % ({self.size:,} bytes): exit {self.code}, {self.committed} parts committed"
        return "\n".join([f"{said}; {'wrong' if self.wrong else 'the same after going on'}", *self.wrong])


def full(workload: Workload, where: Path) -> Iterator[Filled]:
    """A run on a disk of each size, then on with it on a large one."""
    where.mkdir()
    _mount(where, LARGE)
    try:
        workload.run(where / "measured")
        needed = _used(where)
    finally:
        subprocess.run(["umount", where], check=True)
    for share in SHARES:
        size = needed * share // 100
        _mount(where, size)
        try:
            yield _filled(workload, where / "out", share, size)
        finally:
            subprocess.run(["umount", where], check=True)


def _filled(workload: Workload, out: Path, share: int, size: int) -> Filled:
    wrong: list[str] = []
    with reading(out, workload.reference, wrong):
        ended = workload.run(out)
        filled = Filled(share, size, ended.code, len(list(out.glob("commits/part-*.json"))), wrong)
        if ended.code == STORAGE:
            if str(out) not in ended.err.replace("\n", ""):
                wrong.append(f"the message names no path: {ended.err}")
            _mount(out.parent, LARGE, "remount,")
            ended = workload.run(out)
        # at 100 % either is right: a file that is being written takes room beside the one that it replaces
        expected = {code for code, fits in ((STORAGE, share <= 100), (COMPLETE, share >= 100)) if fits}
        if ended.code != COMPLETE or filled.code not in expected:
            wrong.append(f"it ended with {filled.code}, then {ended.code}: {ended.err}")
    wrong += differing(contents(out), workload.reference)
    return filled


def _mount(where: Path, size: int, how: str = "") -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"{how}size={size}", "tmpfs", where], check=True)


def _used(where: Path) -> int:
    disk = os.statvfs(where)
    return (disk.f_blocks - disk.f_bfree) * disk.f_frsize

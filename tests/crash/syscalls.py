"""Every system call of a run by which its output folder changes: killed there, or told that it failed.

The run writes in its main thread alone, and only that is traced. A first run lists the calls; each later one has
one of them struck by strace. Calls are counted from the start of the process, so a point may hit its neighbour;
what was really struck is read from strace's own log.
"""

from __future__ import annotations

import re
import signal
from dataclasses import dataclass, field
from pathlib import Path

from tests.crash.kills import MOST_RESUMES, reading
from tests.crash.workload import COMPLETE, Ended, Workload, contents, differing

CALLS = ("openat", "write", "fsync", "rename", "link", "unlink", "mkdir")

ERRORS = {
    "ENOSPC": ("openat", "write", "fsync", "rename", "link", "mkdir"),
    "EIO": ("write", "fsync", "rename", "link", "unlink", "mkdir"),
    "EDQUOT": ("write", "fsync", "rename", "link", "mkdir"),
    "EROFS": ("openat", "rename", "link", "unlink", "mkdir"),
    "EMFILE": ("openat",),
}
"""What a file system says, and in answer to what."""

CREATING = ("ENOSPC", "EROFS")
"""What it says of opening a file only where that would make or change one."""

STORAGE = 5
"""Exit code of a run whose disk refuses."""

PAST_THE_LAST = 2
"""Points beyond the last one that was counted: the run ends without being hit."""


@dataclass(frozen=True)
class Point:
    """The ``when``-th call of its kind; ``error`` is what it returns, empty for a kill."""

    call: str
    when: int
    error: str

    def __str__(self) -> str:
        return f"{self.call}={self.error or 'KILL'}"

    @property
    def name(self) -> str:
        return f"{self.call}-{self.error or 'KILL'}-{self.when}"

    @property
    def injection(self) -> str:
        what = f"error={self.error}" if self.error else "signal=KILL"
        return f"{self.call}:{what}:when={self.when}"


@dataclass
class Found:
    """How the struck run ended, which file was hit, and what was wrong then or after the run had gone on."""

    point: Point
    end: str
    hit: str
    wrong: list[str] = field(default_factory=list)


def points(workload: Workload, out: Path, *, errors: bool = True) -> list[Point]:
    """What there is to strike: the calls that name the output folder, of a run over ``out``."""
    assert workload.reference  # and all is compiled, which is read and written in another number of calls
    log = out.with_suffix(".log")
    trace = ["strace", "-y", "-o", str(log), "-e", f"trace={','.join(CALLS)}"]
    ended = workload.start(out, before=trace).end()
    assert ended.code == COMPLETE, ended
    counted = dict.fromkeys(CALLS, 0)
    ours: dict[str, list[int]] = {call: [] for call in CALLS}
    creating: list[int] = []
    for line in log.read_text(errors="replace").splitlines():
        call = line.partition("(")[0]
        if call in counted:
            counted[call] += 1
            if str(out) in line:
                ours[call].append(counted[call])
                if call == "openat" and "O_CREAT" in line:
                    creating.append(counted[call])
    found = [Point(call, when, "") for call, places in ours.items() for when in _places(places)]
    for error, calls in ERRORS.items() if errors else ():
        for call in calls:
            places = creating if call == "openat" and error in CREATING else ours[call]
            found += [Point(call, when, error) for when in _places(places)]
    return found


def _places(counted: list[int]) -> list[int]:
    return [*counted, *(counted[-1] + 1 + extra for extra in range(PAST_THE_LAST))] if counted else []


def inject(workload: Workload, out: Path, point: Point) -> Found:
    """Strike one point, look at what is left, and let the run go on."""
    log = out.with_suffix(".log")
    trace = ["strace", "-y", "-o", str(log), "-e", f"trace={point.call}", "-e", f"inject={point.injection}"]
    wrong: list[str] = []
    with reading(out, workload.reference, wrong):
        ended = workload.start(out, before=trace).end()
        hit = _hit(log.read_text(errors="replace"), point)
        found = Found(point, f"{point}: exit {ended.code}", hit.replace(str(out), "OUT"), wrong)
        if str(out) in hit:
            # some looks may fail, as that at who left a lock; what is written must not
            unfelt = point.call == "openat" and ended.code == COMPLETE
            wrong += [] if unfelt else _truthful(ended, point, out)
        elif not hit and ended.code != COMPLETE:
            wrong.append(f"nothing was struck, and yet {ended}")
        for _ in range(MOST_RESUMES):
            if ended.code == COMPLETE:
                break
            ended = workload.run(out)
        wrong += [f"after going on: {one}" for one in differing(contents(out), workload.reference)]
    return found


def _hit(log: str, point: Point) -> str:
    """The line of strace's log with the call that was struck; empty where none was."""
    if point.error:
        return next((line for line in log.splitlines() if "(INJECTED)" in line), "")
    lines = [line for line in log.splitlines() if line.startswith(f"{point.call}(")]
    return lines[-1] if "killed by SIGKILL" in log else ""


def _truthful(ended: Ended, point: Point, out: Path) -> list[str]:
    """What is wrong with the end of a run that was struck in its output folder."""
    if not point.error:
        return [] if ended.code == -signal.SIGKILL else [f"it was killed and yet {ended}"]
    said = []
    if ended.code != STORAGE:
        said.append(f"exit code {ended.code}: {ended.err[-300:]}")
    if "Traceback" in ended.err:
        said.append(f"a traceback: {ended.err[-300:]}")
    if not re.search(re.escape(str(out)), ended.err.replace("\n", "")):
        said.append(f"the message names no path: {ended.err[-300:]}")
    return said

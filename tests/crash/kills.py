"""One run that is struck again and again, at times drawn from a seed, and everything that must hold afterwards."""

from __future__ import annotations

import contextlib
import math
import os
import random
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from embedders import EmbedError
from pipelines.vectors import VectorSet
from tests.crash.workload import COMPLETE, Bytes, Ended, Started, Workload, contents, differing, standing

TERM_SECONDS = 1.0
"""From a polite signal to one that cannot be refused."""

STOP_SECONDS = 0.3
"""How long a stopped process stays so: well below the silence that is taken for death."""

GIVEN_UP = {4, 7}
"""Exit codes of a run whose workers were killed again and again, by itself or before the first record."""

ENDS = {
    "": set[int](),
    "kill": {-signal.SIGKILL},
    "term": {128 + signal.SIGTERM, -signal.SIGTERM, -signal.SIGKILL},
}
"""How a struck run may end: after SIGTERM at a part's end, or at once where it was only starting."""

MOST_RESUMES = 5
"""More starts than that without a strike and the run is taken to be stuck."""


@dataclass(frozen=True)
class Strike:
    """A signal: to whom, of which kind, and how long after which moment.

    ``victim`` is ``main``, ``worker`` or ``all``; ``kind`` is ``kill``, ``term`` (then kill) or ``stop`` (then go
    on); ``since`` is ``start`` or ``write``, the moment in which the output folder is taken.
    """

    victim: str
    kind: str
    since: str
    delay: float

    def __str__(self) -> str:
        return f"{self.kind} {self.victim} {1000 * self.delay:.0f} ms after {self.since}"


def drawn(seed: int, number: int, seconds: float) -> list[Strike]:
    """The strikes of one experiment; delays are log-uniform from 1 ms to the length of a run, in ``seconds``."""
    chance = random.Random(f"{seed}/{number}")
    count = 1
    while count < 6 and chance.random() < 0.2:
        count += 1
    return [
        Strike(
            victim=chance.choices(["main", "worker", "all"], [50, 30, 20])[0],
            kind=chance.choices(["kill", "term", "stop"], [85, 10, 5])[0],
            # four of five strikes while it writes: before that is longest, and nothing can go wrong
            since=chance.choices(["start", "write"], [20, 80])[0],
            delay=math.exp(chance.uniform(math.log(0.001), math.log(seconds))),
        )
        for _ in range(count)
    ]


@dataclass
class Outcome:
    """What an experiment found: ``wrong`` is empty, or else holds sentences."""

    landed: list[Strike] = field(default_factory=list)
    starts: int = 0
    codes: Counter[int] = field(default_factory=Counter)
    parts_kept: int = 0
    wrong: list[str] = field(default_factory=list)
    rows: tuple[int, int, int] = (0, 0, 0)
    """Lost, doubled, changed."""


def experiment(workload: Workload, out: Path, strikes: list[Strike]) -> Outcome:
    """Strike a run and those that go on with it, once each, and hold the finished set against the reference."""
    outcome = Outcome()
    with reading(out, workload.reference, outcome.wrong):
        run: Started | None = None
        for strike in strikes:
            if run is None:
                run = _begin(workload, out, outcome)
            if _land(strike, run, out):
                outcome.landed.append(strike)
            if strike.kind == "stop" or strike.victim == "worker":
                continue  # the run itself has to cope with that
            _end(run, strike, out, outcome)
            run = None
        ended = _end(run, None, out, outcome) if run else None
        while ended is None or ended.code != COMPLETE:
            if outcome.starts > len(strikes) + MOST_RESUMES:
                outcome.wrong.append(f"the run does not end: {ended}")
                break
            before = standing(out)
            ended = _end(_begin(workload, out, outcome), None, out, outcome)
            outcome.parts_kept += len(before) // 2
            after = standing(out)
            outcome.wrong += [f"{name} was touched" for name, was in before.items() if after.get(name) != was]
    _compare(workload, out, outcome)
    return outcome


def resumed_again(workload: Workload, out: Path) -> list[str]:
    """What is wrong where a complete set is asked for once more: nothing may change, not even a time (PRO-16)."""
    before = {path: path.stat() for path in sorted(out.rglob("*"))}
    ended = workload.run(out)
    after = {path: path.stat() for path in sorted(out.rglob("*"))}
    said = [] if ended.code == COMPLETE else [f"a complete set ended with {ended}"]
    same = before.keys() == after.keys() and all(
        (was.st_ino, was.st_mtime_ns, was.st_size) == (now.st_ino, now.st_mtime_ns, now.st_size)
        for was, now in zip(before.values(), after.values(), strict=True)
    )
    return said if same else [*said, "a complete set was changed by asking for it again"]


@contextlib.contextmanager
def reading(out: Path, expected: Bytes, wrong: list[str]) -> Iterator[None]:
    """Open the set again and again meanwhile: what opens has to be the reference, to the byte."""
    over = threading.Event()

    def read() -> None:
        seen = None
        while not over.wait(0.002):
            with contextlib.suppress(FileNotFoundError, EmbedError):
                stat = (out / "manifest.json").stat()
                if (stat.st_ino, stat.st_mtime_ns) == seen:
                    continue
                VectorSet.open(out)
                said = differing(_promised(contents(out)), _promised(expected))
                wrong.extend(f"readers take it for complete: {one}" for one in said)
                seen = (stat.st_ino, stat.st_mtime_ns)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        yield
    finally:
        over.set()
        reader.join()


def _promised(files: Bytes) -> Bytes:
    """What readers of a set depend on."""
    return {name: files[name] for name in files if name == "manifest.json" or name.startswith("data/part-")}


def _begin(workload: Workload, out: Path, outcome: Outcome) -> Started:
    outcome.starts += 1
    return workload.start(out)


def _land(strike: Strike, run: Started, out: Path) -> bool:
    """Whether the strike found a process to hit."""
    began = time.monotonic()
    if strike.since == "write":
        run.until(lambda: run.holds(out))
    if strike.victim == "worker":
        run.until(run.workers)
    left = strike.delay - (time.monotonic() - began if strike.since == "start" else 0.0)
    with contextlib.suppress(subprocess.TimeoutExpired):
        run.popen.wait(max(0.0, left))
    victims = {"main": lambda: [run.popen.pid], "worker": run.workers, "all": run.processes}[strike.victim]()
    if not run.alive or not victims:
        return False
    first = {"kill": signal.SIGKILL, "term": signal.SIGTERM, "stop": signal.SIGSTOP}[strike.kind]
    landed = [_signal(pid, first) for pid in victims]
    if strike.kind == "stop":
        time.sleep(STOP_SECONDS)
        for pid in victims:
            _signal(pid, signal.SIGCONT)
    if strike.kind == "term":
        with contextlib.suppress(subprocess.TimeoutExpired):
            run.popen.wait(TERM_SECONDS)
        for pid in victims if run.alive else ():
            _signal(pid, signal.SIGKILL)
    return any(landed)


def _signal(pid: int, number: int) -> bool:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
        return True
    return False


def _end(run: Started, strike: Strike | None, out: Path, outcome: Outcome) -> Ended:
    """Wait for a run's end, struck or not, and look at what it left."""
    try:
        ended = run.end()
    except subprocess.TimeoutExpired:
        for pid in run.processes():
            _signal(pid, signal.SIGKILL)
        outcome.wrong.append(f"it hangs after {strike}")
        ended = run.end()
    outcome.codes[ended.code] += 1
    allowed = {COMPLETE} | ENDS[strike.kind if strike else ""]
    if sum(one.victim == "worker" for one in outcome.landed) > 1:
        allowed |= GIVEN_UP
    if ended.code not in allowed:
        outcome.wrong.append(f"exit code {ended.code} after {strike}: {ended.err}")
    if ended.orphans:
        outcome.wrong.append(f"{len(ended.orphans)} processes outlive {strike} by 2 s")
    recorded = {path.stem for path in out.glob("commits/part-*.json")}
    loose = [path.name for path in out.glob("data/*") if path.stem not in recorded]
    if len(loose) > 1:
        outcome.wrong.append(f"{strike} cost more than one part: {loose}")
    return ended


def _compare(workload: Workload, out: Path, outcome: Outcome) -> None:
    said = differing(contents(out), workload.reference)
    outcome.wrong += said
    if said:
        outcome.rows = _rows(out, workload.folder / "reference")


def _rows(out: Path, reference: Path) -> tuple[int, int, int]:
    """How many rows are lost, doubled and changed."""
    expected = {row["id"]: repr(row) for row in VectorSet.open(reference).to_arrow().to_pylist()}
    try:
        rows = [(row["id"], repr(row)) for row in VectorSet.open(out).to_arrow().to_pylist()]
    except EmbedError:
        return len(expected), 0, 0
    found = dict(rows)
    changed = sum(expected.get(name) != row for name, row in found.items())
    return len(expected.keys() - found.keys()), len(rows) - len(found), changed

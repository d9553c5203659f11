"""Kill the real command line at random, at every system call, and on a full disk; the set must be the same.

::

    uv run python -m tests.benchmarks.crashes --kills 500 --seed 0
    uv run python -m tests.benchmarks.crashes --syscalls     # strace
    uv run python -m tests.benchmarks.crashes --disk-full    # tmpfs: as root, or in a user namespace of its own

Each experiment begins a run of 400 small records in 16 parts, strikes it, goes on until it is complete and compares
the folder with that of an undisturbed run, byte for byte. What is found wrong is printed with the command that does
that experiment alone. Exit code 1 if anything was.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import TypeVar

from tests.crash import disk, syscalls
from tests.crash.kills import Outcome, drawn, experiment, resumed_again
from tests.crash.workload import Workload, code_of_now

Given = TypeVar("Given")
Found = TypeVar("Found")

AGAIN_EVERY = 20
"""One complete set in so many is asked for again."""


def main() -> None:
    """Run what the options name, print what was found."""
    options = _options()
    where = Path(tempfile.mkdtemp(prefix="crashes-", dir=options.where))
    try:
        kind = _syscalls if options.syscalls else _disk_full if options.disk_full else _kills
        wrong = kind(options, where)
    finally:
        shutil.rmtree(where, ignore_errors=True)
    print(f"violations: {wrong}")
    sys.exit(bool(wrong))


def _kills(options: argparse.Namespace, where: Path) -> int:
    workload = Workload(where / "workload", code=code_of_now(where / "code"))
    assert workload.reference  # from here on all is compiled
    begun = time.monotonic()
    workload.run(where / "undisturbed")
    length = time.monotonic() - begun
    print(f"an undisturbed run takes {length:.2f} s; load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")

    def one(number: int) -> Outcome:
        out = where / f"out-{number}"
        outcome = experiment(workload, out, drawn(options.seed, number, length))
        if number % AGAIN_EVERY == 0:
            outcome.starts += 1
            outcome.wrong += resumed_again(workload, out)
        if outcome.wrong and options.keep is not None:
            shutil.copytree(out, options.keep / out.name, dirs_exist_ok=True)
        shutil.rmtree(out, ignore_errors=True)
        return outcome

    victims, codes = Counter[str](), Counter[int]()
    experiments = starts = kept = wrong = 0
    lost = doubled = changed = 0
    numbers: Iterable[int] = range(10**6) if options.only is None else [options.only]
    for number, outcome in _together(one, numbers, options.jobs):
        experiments += 1
        victims.update(f"{strike.kind} {strike.victim}" for strike in outcome.landed)
        codes.update(outcome.codes)
        starts, kept, wrong = starts + outcome.starts, kept + outcome.parts_kept, wrong + len(outcome.wrong)
        lost, doubled, changed = (sum(pair) for pair in zip((lost, doubled, changed), outcome.rows, strict=True))
        for sentence in outcome.wrong:
            struck = "; ".join(map(str, outcome.landed))
            print(f"VIOLATION {sentence}\n  after: {struck}\n  again: --seed {options.seed} --only {number}")
        if experiments % 25 == 0:
            print(f"{victims.total()} strikes, {wrong} violations, {time.monotonic() - begun:.0f} s", flush=True)
        if victims.total() >= options.kills:
            break
    print(f"seed {options.seed}: {victims.total()} strikes in {experiments} experiments, {starts} starts")
    print(f"  {', '.join(f'{count} x {name}' for name, count in victims.most_common())}")
    print(f"  exit codes: {dict(codes.most_common())}; {kept} committed parts found again, none touched anew")
    print(f"  rows lost {lost}, doubled {doubled}, changed {changed}; {time.monotonic() - begun:.0f} s")
    return wrong


def _syscalls(options: argparse.Namespace, where: Path) -> int:
    workload = Workload(
        where / "workload", parts=3, rows=8, options=("--workers", "0"), code=code_of_now(where / "code")
    )
    begun = time.monotonic()
    points = syscalls.points(workload, where / "traced", errors=not options.kills_only)
    print(f"{len(points)} points: {dict(Counter(str(point) for point in points))}")
    tried = Counter[str]()
    wrong = 0
    for _, found in _together(
        lambda point: syscalls.inject(workload, where / f"out-{point.name}", point), points, options.jobs
    ):
        tried[found.end] += 1
        for sentence in found.wrong:
            wrong += 1
            print(f"VIOLATION {found.point.name} at {found.hit}: {sentence}")
        if tried.total() % 50 == 0:
            print(f"{tried.total()} points, {wrong} violations, {time.monotonic() - begun:.0f} s", flush=True)
    print(f"{tried.total()} points in {time.monotonic() - begun:.0f} s, by how the struck run ended:")
    for end, count in tried.most_common():
        print(f"  {count:4} {end}")
    return wrong


def _disk_full(options: argparse.Namespace, where: Path) -> int:
    wrong = 0
    for found in disk.full(Workload(where / "workload", code=code_of_now(where / "code")), where / "disk"):
        print(found)
        wrong += len(found.wrong)
    return wrong


def _together(work: Callable[[Given], Found], given: Iterable[Given], jobs: int) -> Iterator[tuple[Given, Found]]:
    """Several at a time, each as it is done; no new ones are begun once nobody asks any more."""
    with ThreadPoolExecutor(jobs) as threads:
        running: dict[Future[Found], Given] = {}
        for one in given:
            running[threads.submit(work, one)] = one
            if len(running) < jobs:
                continue
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                yield running.pop(future), future.result()
        for future, one in running.items():
            yield one, future.result()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--kills", type=int, default=500, help="signals that have to land")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int, help="one experiment of the seed")
    parser.add_argument("--syscalls", action="store_true", help="kill and fail at every system call instead")
    parser.add_argument("--kills-only", action="store_true", help="with --syscalls: only the kills")
    parser.add_argument("--disk-full", action="store_true", help="fill disks of growing size instead")
    parser.add_argument("--jobs", type=int, default=2, help="experiments at a time")
    parser.add_argument("--where", type=Path, help="folder to work in; default: the system's for temporary files")
    parser.add_argument("--keep", type=Path, help="folder for the sets that came out wrong")
    return parser.parse_args()


if __name__ == "__main__":
    main()

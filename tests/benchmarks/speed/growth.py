"""What is no race: memory and speed as a run grows twentyfold, and how soon the first vectors are committed."""

from __future__ import annotations

import shutil
import statistics
import sys
import threading
import time
from pathlib import Path
from typing import Any

from tests.benchmarks.speed.rounds import Place, committed_rate
from tests.benchmarks.speed.sets import made
from tests.benchmarks.speed.watching import Outcome, watch
from tests.benchmarks.speed.workloads import OURS

__all__ = ["growing", "starting"]

SMALL, LARGE = 5_000, 100_000
QUICK = (500, 2_000)
STARTED = 10
"""Files of the run whose start is timed."""

MEGABYTE = 1e6


def _run(source: Path, place: Place, embed: str, *flags: str | Path, memory: bool) -> Outcome:
    out = place.runs / "out"
    shutil.rmtree(out, ignore_errors=True)
    command = [sys.executable, "-m", "pipelines.cli.main", "run", source, "-o", out, "--embed", embed, *flags]
    return watch(command, env=place.env, cores=place.cores, timeout=place.timeout, memory=memory)


def growing(place: Place, cache: Path, rounds: int, *, memory: bool) -> dict[str, Any]:
    """Tiny pictures by ``image.starter``, few and many, in turns: peak memory, or inputs per second of commits.

    What is not between commits (start-up, plan, end) is told apart, as ``outside`` in seconds.
    """
    few, many = QUICK if place.quick else (SMALL, LARGE)
    sources = {count: made("tiny", count, cache) for count in (few, many)}
    outcomes: dict[int, list[Outcome]] = {count: [] for count in sources}
    rates: dict[int, list[float]] = {count: [] for count in sources}
    rows = str(few // 5)
    for number in range(rounds):
        for count in (few, many) if number % 2 == 0 else (many, few):
            outcomes[count].append(
                _run(sources[count], place, "image=image.starter", "--part-rows", rows, memory=memory)
            )
            if not outcomes[count][-1].error:
                rates[count].append(committed_rate(place.runs / "out"))
    errors = [f"{count} files: {o.error}" for count, all_ in outcomes.items() for o in all_ if o.error]
    found: dict[str, Any] = {"files": [few, many], "errors": errors}
    found["disturbed"] = sum(o.disturbed for all_ in outcomes.values() for o in all_)
    if errors:
        return found
    if memory:
        peaks = {count: [o.peak_bytes / MEGABYTE for o in outcomes[count]] for count in (few, many)}
        found["peak_mb"] = {str(count): statistics.median(values) for count, values in peaks.items()}
        found["growth_mb"] = [b - a for a, b in zip(peaks[few], peaks[many], strict=True)]
        return found
    found["outside"] = {
        str(count): statistics.median(
            o.seconds - count / rate for o, rate in zip(outcomes[count], rates[count], strict=True)
        )
        for count in (few, many)
    }
    found["rate"] = {str(count): statistics.median(values) for count, values in rates.items()}
    found["ratio"] = [b / a for a, b in zip(rates[few], rates[many], strict=True)]
    return found


def starting(place: Place, cache: Path, weights: dict[str, str], rounds: int) -> dict[str, Any]:
    """Seconds from the start of the process to the first commit, for ten files, beside ``import torch`` alone."""
    source = made("pictures", STARTED, cache)
    runs: dict[str, tuple[str, ...]] = {"image.starter": ("image=image.starter",)}
    for name, flags in OURS.items():
        runs[f"image.resnet50, {name}"] = ("image=image.resnet50", "--weights", weights["resnet"], *flags)
    found: dict[str, list[float]] = {name: [] for name in ("import torch", *runs)}
    for _ in range(rounds):
        torch = [sys.executable, "-c", "import torch"]
        alone = watch(torch, env=place.env, cores=place.cores, timeout=place.timeout, memory=False)
        found["import torch"].append(alone.seconds)
        for name, (embed, *flags) in runs.items():
            found[name].append(_first_commit(source, place, embed, *flags))
    beyond = {
        name: statistics.median(a - b for a, b in zip(values, found["import torch"], strict=True))
        for name, values in found.items()
        if name != "import torch"
    }
    return {"seconds": {name: statistics.median(values) for name, values in found.items()}, "beyond_torch": beyond}


def _first_commit(source: Path, place: Place, embed: str, *flags: str | Path) -> float:
    """Seconds until the first commit record stands; NaN where none came to be."""
    wanted = place.runs / "out" / "commits" / "part-000000.json"
    seen: list[float] = []
    over = threading.Event()

    def wait() -> None:
        while not seen and not over.is_set():
            if wanted.exists():
                seen.append(time.perf_counter())
            over.wait(0.005)

    shutil.rmtree(place.runs / "out", ignore_errors=True)
    watcher = threading.Thread(target=wait)
    began = time.perf_counter()
    watcher.start()
    outcome = _run(source, place, embed, *flags, memory=False)
    over.set()
    watcher.join()
    return seen[0] - began if seen and not outcome.error else float("nan")

"""A long run through a worker that is killed again and again: rows, memory against rows, time.

::

    uv run python -m tests.benchmarks.soak --rows 200000 --every 5

``--every`` is the seconds between two kills, 0 for none. The memory is that of all processes of the run together
(proportional set size: what they share counts once) and, since a fresh worker begins small, that of the main
process alone; the slope is that of a line by least squares through the last four fifths. Exit code 1 if a row is
lost, doubled or not what it should be.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from embedders import Runtime
from pipelines import VectorSet
from tests.crash.embedders import Words
from tests.crash.workload import Started, Workload, code_of_now

MEBIBYTE = 1 << 20
PART_ROWS = 1024
DIM = 64


class Long(Workload):
    """So many captions, and nothing else."""

    def command(self, out: Path, *more: str) -> list[str]:
        options = f"--id-column id --device cpu --part-rows {PART_ROWS}".split()
        words = f"caption=tests.crash.embedders:Words(dim={DIM})"
        run = [sys.executable, "-m", *self.program, "run", str(self.captions), "-o", str(out)]
        return [*run, *options, "-e", words, *more]

    @property
    def captions(self) -> Path:
        return self.folder / "captions.jsonl"


def main() -> None:
    """Run, kill, measure, compare."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--every", type=float, default=5.0, help="seconds between two kills of the worker; 0: none")
    options = parser.parse_args()
    where = Path(tempfile.mkdtemp(prefix="soak-"))
    try:
        sys.exit(_soak(options.rows, options.every, where))
    finally:
        shutil.rmtree(where, ignore_errors=True)


def _soak(rows: int, every: float, where: Path) -> int:
    workload = Long(where / "workload", parts=1, rows=1, code=code_of_now(where / "code"))
    with workload.captions.open("w") as table:
        for number in range(rows):
            table.write(json.dumps({"id": f"r{number}", "caption": f"caption {number}"}) + "\n")
    out = where / "set"
    run = workload.start(out)
    kills, seen = _watch(run, out, every)
    ended = run.end()
    seconds = time.monotonic() - run.began
    print(f"exit code {ended.code}, {rows:,} rows in {seconds:.0f} s, {rows / seconds:,.0f} rows/s, {kills} kills")
    for name, place in (("all processes", 1), ("main process", 2)):
        kept = np.array(seen[len(seen) // 5 :], np.float64)
        slope = np.polyfit(kept[:, 0] / 10_000, kept[:, place] / MEBIBYTE, 1)[0]
        most = kept[:, place].max() / MEBIBYTE
        print(f"  {name}: {slope:+.3f} MiB per 10,000 rows, at most {most:,.0f} MiB")
    vs = VectorSet.open(out)
    ids = [str(name) for name in vs.ids]
    expected = Words(dim=DIM).load(Runtime())([f"caption {number}".encode() for number in range(rows)])
    wrong = {
        "lost": len({f"r{number}" for number in range(rows)} - set(ids)),
        "doubled": len(ids) - len(set(ids)),
        "out of order": sum(name != f"r{number}" for number, name in enumerate(ids)),
        "changed": int((vs["caption_words"].vectors != expected).any(axis=1).sum()),
        "orphans": len(ended.orphans),
    }
    print("  " + ", ".join(f"{name} {count}" for name, count in wrong.items()))
    return int(any(wrong.values()) or ended.code != 0)


def _watch(run: Started, out: Path, every: float) -> tuple[int, list[tuple[int, int, int]]]:
    """Kill until it ends; the number of kills, and (rows committed, memory of all, memory of the main process)."""
    kills, struck = 0, time.monotonic()
    seen: list[tuple[int, int, int]] = []
    while run.alive:
        committed = len(list(out.glob("commits/part-*.json"))) * PART_ROWS
        if committed and (not seen or committed > seen[-1][0]):
            seen.append((committed, sum(map(_memory, run.processes())), _memory(run.popen.pid)))
        if every and committed and time.monotonic() - struck > every:
            for worker in run.workers():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(worker, signal.SIGKILL)
                    kills += 1
            struck = time.monotonic()
        time.sleep(0.05)
    return kills, seen


def _memory(pid: int) -> int:
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0


if __name__ == "__main__":
    main()

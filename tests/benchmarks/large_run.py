"""Run ``embed run`` over a folder from ``tests.benchmarks.media`` and hold the outcome against the truth.

::

    uv run python -m tests.benchmarks.large_run /tmp/media /tmp/vectors --weights random:0

Prints wall time, rows, failures against ``damaged.json``, and the memory of the process over time: the peak, and
the median of the first and of the last tenth of the run after the weights were loaded.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

from pipelines import VectorSet

MEBIBYTE = 1 << 20
PAGE = 4096


def resident(pid: int) -> int:
    """Resident memory of a process in bytes; 0 once it is gone."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE
    except (FileNotFoundError, ProcessLookupError, IndexError):
        return 0


def main() -> None:
    """Run, watch, compare."""
    source, out, *options = sys.argv[1:]
    began = time.perf_counter()
    run = subprocess.Popen([sys.executable, "-m", "pipelines.cli.main", "run", source, "-o", out, *options])
    seen: list[int] = []
    while run.poll() is None:
        if Path(out, "run.json").exists():  # written once the weights are loaded
            seen.append(resident(run.pid) // MEBIBYTE)
        time.sleep(0.2)
    seconds = time.perf_counter() - began
    seen = [value for value in seen if value]
    tenth = max(len(seen) // 10, 1)
    vs = VectorSet.open(out)
    truth = json.loads(Path(source).parent.joinpath("damaged.json").read_text())
    print(f"exit code {run.returncode}, {seconds:,.0f} s, {len(vs):,} rows")
    for name, column in vs.columns.items():
        failed = {str(i) for i, s in zip(vs.ids, column.status, strict=True) if s not in ("ok", "absent")}
        expected = set(truth.get(column.info.field, ()))
        print(f"  {name}: {dict(column.statuses)}; exactly the damaged ones failed: {failed == expected}")
        if failed != expected:
            print(f"    unexpected {sorted(failed - expected)[:5]}, missed {sorted(expected - failed)[:5]}")
    first, last = statistics.median(seen[:tenth]), statistics.median(seen[-tenth:])
    print(f"memory: peak {max(seen)} MiB; median of the first tenth {first:.0f}, of the last {last:.0f} MiB")


if __name__ == "__main__":
    main()

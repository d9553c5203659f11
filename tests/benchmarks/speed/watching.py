"""One process tree under measurement: its time on the clock, its processors, its memory, and what else ran.

Linux only. Memory is the proportional set size, summed over the tree: shared pages count once, whatever the number
of processes that share them.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["DISTURBED", "Outcome", "busy_seconds", "tree", "tree_bytes", "watch"]

PAUSE = 0.2
"""Seconds between two looks at the memory."""

SHARE = 0.02
"""Looking takes at most this share of one core; where one look takes long, looks become fewer."""

DISTURBED = 0.10
"""Share of the cores that others may take."""

HERTZ = os.sysconf("SC_CLK_TCK")


@dataclass
class Outcome:
    """What became of one process: ``error`` is empty where all went well."""

    seconds: float
    cpu_seconds: float
    peak_bytes: int
    foreign: float
    """Processor time of others, and of the machine below a virtual one, as a share of the cores' time."""
    load: tuple[float, float]
    """The load average of the last minute, before and after."""
    output: str
    error: str = ""

    @property
    def disturbed(self) -> bool:
        """Others took so much that the time says little."""
        return self.foreign > DISTURBED

    @property
    def counts(self) -> bool:
        """Finished, and undisturbed."""
        return not self.error and not self.disturbed


def busy_seconds(cores: Sequence[int], stat: str) -> float:
    """Seconds that these cores were busy since the machine started, from the content of ``/proc/stat``.

    Time that a hypervisor gave to others (``steal``) is busy; time waiting for a disk is not.
    """
    wanted = {f"cpu{core}" for core in cores}
    ticks = 0
    for line in stat.splitlines():
        name, *values = line.split()
        if name in wanted:
            user, nice, system, _idle, _iowait, irq, softirq, steal, *_ = map(int, values)
            ticks += user + nice + system + irq + softirq + steal
    return ticks / HERTZ


def tree(pid: int) -> Iterator[int]:
    """The process and all its descendants, as far as they still live."""
    yield pid
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            with contextlib.suppress(OSError):
                for child in (task / "children").read_text().split():
                    yield from tree(int(child))


def tree_bytes(pid: int) -> int:
    """Proportional set size of a process tree in bytes; what has ended counts nothing."""
    total = 0
    for member in tree(pid):
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{member}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1]) * 1024
    return total


def watch(
    command: Sequence[str | Path],
    *,
    env: Mapping[str, str],
    cores: Sequence[int],
    timeout: float,
    fine: Sequence[int] = (0,),
    memory: bool = True,
) -> Outcome:
    """Run a command to its end; exit codes outside of ``fine`` and running out of time are its ``error``."""
    load = os.getloadavg()[0]
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
        busy, own = busy_seconds(cores, Path("/proc/stat").read_text()), time.process_time()
        began = time.perf_counter()
        process = subprocess.Popen(
            [str(word) for word in command], stdout=output, stderr=errors, env=dict(env), start_new_session=True
        )
        try:
            peak = _peak(process.pid, began + timeout, memory)
        except BaseException:  # Ctrl-C ends the contender with the benchmark
            _end(process.pid)
            raise
        if peak is None:
            _end(process.pid)
        _, status, used = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        cpu = used.ru_utime + used.ru_stime
        others = busy_seconds(cores, Path("/proc/stat").read_text()) - busy - cpu - (time.process_time() - own)
        output.seek(0)
        errors.seek(0)
        said, complaint = output.read(), errors.read()
    error = ""
    if peak is None:
        error = f"not done after {timeout:.0f} s"
    elif process.returncode not in fine:
        last = [line for line in complaint.splitlines() if line.strip()][-1:]
        error = f"exit code {process.returncode}: {''.join(last).strip()[:200]}"
    foreign = max(others, 0.0) / (seconds * len(cores))
    return Outcome(seconds, cpu, peak or 0, foreign, (load, os.getloadavg()[0]), said, error)


def _peak(pid: int, until: float, memory: bool) -> int | None:
    """The largest memory seen until the process ended; None where it had not by then."""
    ended, peak, pause = select.poll(), 0, PAUSE
    descriptor = os.pidfd_open(pid)
    try:
        ended.register(descriptor, select.POLLIN)
        while not ended.poll(1000 * pause):
            looked = time.process_time()
            if memory:
                peak = max(peak, tree_bytes(pid))
            pause = max(PAUSE, (time.process_time() - looked) / SHARE)
            if time.perf_counter() > until:
                return None
        return peak
    finally:
        os.close(descriptor)


def _end(pid: int) -> None:
    for member in list(tree(pid)):
        with contextlib.suppress(ProcessLookupError):
            os.kill(member, signal.SIGKILL)

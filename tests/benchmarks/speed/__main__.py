"""The command: see the package's docstring, or ``--help``."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.benchmarks import speed
from tests.benchmarks.speed import growth, report, venvs
from tests.benchmarks.speed.machine import describe
from tests.benchmarks.speed.models import weights
from tests.benchmarks.speed.rounds import Bench, Entry, Place, ordered
from tests.benchmarks.speed.sets import amount, made
from tests.benchmarks.speed.workloads import OURS, TUTORIAL, WORKLOADS, Contender, Workload

CACHE = Path("~/.cache/multimodal-embedders-bench").expanduser()
OTHERS = ("memory", "linearity", "start")
"""Workloads that are no races."""


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.speed", description=speed.__doc__.split("\n")[0]
    )
    known = (*WORKLOADS, *OTHERS)
    parser.add_argument("--workload", action="append", choices=known, help="repeatable; default: all of them")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peers", help="names of contenders, by commas; default: all of them")
    parser.add_argument("--quick", action="store_true", help="a tenth of the inputs, one round, nobody tuned")
    parser.add_argument("--count", action="append", default=[], metavar="SET=N", help="pictures=2000")
    parser.add_argument("--cores", help="numbers by commas; default: all that this process may use")
    parser.add_argument("--cache", type=Path, default=CACHE, help="inputs, weights and the peers' environments")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where everything is written")
    parser.add_argument("--timeout", type=float, default=1800.0, help="seconds that one process may take")
    parser.add_argument("--flags", action="append", default=[], metavar="NAME=FLAGS", help="'ours=--threads 1'")
    return parser.parse_args()


def tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def entries_of(bench: Bench, workload: Workload, cache: Path, chosen: set[str] | None) -> dict[str, Entry]:
    """Everyone who can be started, and those who cannot with the reason; the reference is always there."""
    found = {name: bench.ours(name) for name in OURS}
    for contender in workload.peers:
        if chosen is None or contender.name in chosen or contender.name == workload.reference:
            found[contender.name] = _peer(bench, contender, cache)
    return found


def _peer(bench: Bench, contender: Contender, cache: Path) -> Entry:
    if contender.venv is None:
        return bench.peer(contender, Path(sys.executable))
    python = venvs.environment(contender.venv, cache)
    if isinstance(python, str):
        return Entry(contender, None, problem=python)
    made_by_it = venvs.prepare(contender.venv, python, bench.weights, cache)
    if isinstance(made_by_it, str):
        return Entry(contender, None, problem=made_by_it)
    bench.weights.update(made_by_it)
    entry = bench.peer(contender, python)
    entry.versions = venvs.versions(contender.venv, python)
    return entry


def race(name: str, workload: Workload, count: int, given: argparse.Namespace, place: Place) -> dict[str, Any]:
    """All rounds of a workload."""
    source = made(workload.inputs, count, given.cache)
    kinds = {*workload.weights.values(), *workload.also}
    paths = {kind: str(weights(kind, given.cache)) for kind in kinds}
    bench = Bench(workload, source, paths, place, count)
    chosen = set(given.peers.split(",")) if given.peers else None
    entries = entries_of(bench, workload, given.cache, chosen)
    alone = {c.name: bench.peer(c, Path(sys.executable)) for c in workload.ceilings}
    warm(source)
    running = {label: entry for label, entry in {**entries, **alone}.items() if entry.command is not None}
    if not place.quick:
        for label, entry in running.items():
            tell(f"{name}: tuning {label}")
            bench.tune(entry)
    for number in range(given.rounds):
        for label in ordered(list(running), number):
            if running[label].problem and label not in OURS:
                continue  # it has failed already
            bench.turn(running[label])
            last = running[label].outcomes[-1]
            said = last.error or f"{last.seconds:.1f} s"
            tell(f"{name}, round {number + 1}: {label}: {said} (others {last.foreign:.0%})")
    return {**report.record(entries, workload.reference, count, alone), "amount": amount(workload.inputs, source)}


def warm(source: Path) -> None:
    """Read every file once: all contenders then find them in memory."""
    for path in source.rglob("*") if source.is_dir() else (source,):
        if path.is_file():
            path.read_bytes()


def grown(name: str, given: argparse.Namespace, place: Place) -> dict[str, Any]:
    if name == "start":
        paths = {"resnet": str(weights("resnet", given.cache))}
        return growth.starting(place, given.cache, paths, given.rounds)
    found = growth.growing(place, given.cache, given.rounds, memory=name == "memory")
    if name == "memory":
        beside = replace(WORKLOADS["resnet"], peers=(TUTORIAL,), ceilings=())
        raced = race(name, beside, beside.quick() if place.quick else beside.count, given, place)
        found["peak_mb_resnet"] = {label: row["peak_mb"] for label, row in raced["contenders"].items()}
    return found


def main() -> None:
    """Run what is asked for, print tables as they come, write everything at the end of each workload."""
    given = options()
    os.environ["HF_HUB_OFFLINE"] = "1"
    if given.quick:
        given.rounds = 1
    for pair in given.flags:
        ours, _, flags = pair.partition("=")
        OURS[ours] = tuple(flags.split())
    if given.cores:
        os.sched_setaffinity(0, {int(core) for core in given.cores.split(",")})
    cores = tuple(sorted(os.sched_getaffinity(0)))
    counts = {name: int(number) for name, _, number in (pair.partition("=") for pair in given.count)}
    runs = Path(tempfile.mkdtemp(prefix="runs-", dir=_folder(given.cache)))
    place = Place(runs, cores, given.timeout, given.quick)
    try:
        found: dict[str, Any] = {"machine": describe(cores, place.env), "rounds": given.rounds, "workloads": {}}
        found["flags"] = {name: list(flags) for name, flags in OURS.items()}
        print(report.machine_lines(found["machine"]) + "\n", flush=True)
        for name in given.workload or (*WORKLOADS, *OTHERS):
            if name in WORKLOADS:
                workload = WORKLOADS[name]
                count = counts.get(workload.inputs, workload.quick() if given.quick else workload.count)
                outcome = race(name, workload, count, given, place)
                print(report.table(name, outcome), flush=True)
            else:
                outcome = grown(name, given, place)
                print(f"### {name}\n\n```json\n{json.dumps(outcome, indent=1)}\n```\n", flush=True)
            found["workloads"][name] = outcome
            if given.json:
                given.json.write_text(json.dumps(found, indent=1))
    finally:
        shutil.rmtree(runs, ignore_errors=True)


def _folder(path: Path) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    return path


if __name__ == "__main__":
    main()

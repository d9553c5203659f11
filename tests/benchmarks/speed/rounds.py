"""Taking turns: every contender once per round, in one order and then in the other, each a fresh process."""

from __future__ import annotations

import json
import os
import shutil
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks.speed.contend import Task
from tests.benchmarks.speed.watching import Outcome, watch
from tests.benchmarks.speed.workloads import OURS, Contender, Workload

__all__ = ["Bench", "Entry", "Place", "committed_rate", "ordered", "ratios", "summary"]

ROOT = Path(__file__).parents[3]
TRIAL, TRIAL_INPUTS = 0.1, 128
"""Share of the inputs that a setting is tried on, and the least of them."""


def ordered(names: Sequence[str], number: int) -> list[str]:
    """The turns of round ``number``: forwards, then backwards, so that nobody is always the first."""
    return list(names) if number % 2 == 0 else list(reversed(names))


def ratios(peer: Sequence[Outcome], ours: Sequence[Outcome]) -> list[float]:
    """How many times the peer took as long as ours, per round in which both count."""
    return [a.seconds / b.seconds for a, b in zip(peer, ours, strict=True) if a.counts and b.counts]


def summary(values: Sequence[float]) -> dict[str, float] | None:
    """Median, smallest, largest and number; None where there is nothing."""
    if not values:
        return None
    return {
        "median": statistics.median(values),
        "min": min(values),
        "max": max(values),
        "rounds": len(values),
    }


@dataclass
class Entry:
    """One contender in a workload: how it is started, and what became of it."""

    contender: Contender
    command: Callable[[Path, Path], list[str | Path]] | None
    """From a folder for the output and a task file to the command; None where it cannot be started."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    problem: str = ""
    outcomes: list[Outcome] = field(default_factory=list)
    told: list[dict[str, Any]] = field(default_factory=list)
    sweep: list[dict[str, Any]] = field(default_factory=list)
    columns: dict[str, np.ndarray] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Place:
    """Where and how processes are run."""

    runs: Path
    cores: tuple[int, ...]
    timeout: float
    quick: bool = False

    @property
    def env(self) -> dict[str, str]:
        """Offline, on the CPU, with threads as the contenders choose, and importing what was compiled before."""
        unset = ("PYTHONDONTWRITEBYTECODE",)
        inherited = {
            n: value for n, value in os.environ.items() if not n.endswith("_NUM_THREADS") and n not in unset
        }
        return {**inherited, "HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": str(ROOT)}


class Bench:
    """A workload's rounds. ``count`` inputs lie at ``source``; ``weights`` maps kinds to paths."""

    def __init__(
        self, workload: Workload, source: Path, weights: Mapping[str, str], place: Place, count: int
    ) -> None:
        self.workload, self.source, self.weights = workload, source, dict(weights)
        self.place, self.count = place, count

    def ours(self, name: str) -> Entry:
        """``embed run`` with the flags of one of our ways."""
        flags = [*OURS[name]]
        for pair in self.workload.embed:
            flags += ["--embed", "=".join(pair)]
        for embedder, kind in self.workload.weights.items():
            flags += ["--weights", f"{embedder}={self.weights[kind]}"]
        if self.source.suffix == ".jsonl":
            flags += ["--id-column", "id"]
        run = [sys.executable, "-m", "pipelines.cli.main", "run", self.source]
        precision = "fp32" if "fp32" in flags else "half"
        return Entry(Contender(name, "", precision), lambda out, task: [*run, "-o", out / "set", *flags])

    def peer(self, contender: Contender, python: Path) -> Entry:
        """A script run by ``python``, or a peer's own command beside it."""
        if contender.script == "clip-retrieval":
            return Entry(contender, lambda out, task: self._clip_retrieval(python, out), contender.settings[0])
        run: list[str | Path] = [python, "-m", "tests.benchmarks.speed.contend", contender.script]
        middle = contender.settings[len(contender.settings) // 2]
        return Entry(contender, lambda out, task: [*run, task], middle)

    def _clip_retrieval(self, python: Path, out: Path) -> list[str | Path]:
        pictures = self.workload.inputs == "pictures"
        source = self.source if pictures else self.source.with_name("files")
        if not source.is_dir():  # it reads captions from files alone
            source.mkdir()
            for line in self.source.read_text().splitlines():
                record = json.loads(line)
                source.joinpath(f"{record['id']}.txt").write_text(record["text"])
        given = {
            "input_dataset": source,
            "output_folder": out / "set",
            "clip_model": f"open_clip:ViT-B-32/{self.weights['clip']}",
            "enable_text": not pictures,
            "enable_image": pictures,
            "use_jit": False,
            "enable_wandb": False,
            "batch_size": 16,
            "num_prepro_workers": len(self.place.cores),
        }
        words = [word for name, value in given.items() for word in (f"--{name}", str(value))]
        return [python.with_name("clip-retrieval"), "inference", *words]

    def tune(self, entry: Entry) -> None:
        """Try every setting on a tenth of the inputs, and keep the fastest in steady state."""
        if len(entry.contender.settings) < 2:
            return
        limit = min(self.count, max(round(TRIAL * self.count), TRIAL_INPUTS))
        best = 0.0
        for settings in entry.contender.settings:
            outcome, told, _ = self._run(entry, settings, limit)
            rate = 0.0 if outcome.error else float(told.get("rate") or 0.0)
            entry.sweep.append({**settings, "rate": rate, "error": outcome.error})
            if rate > best:
                best, entry.settings = rate, settings

    def turn(self, entry: Entry) -> None:
        """Run a contender once more; its vectors are kept the first time."""
        outcome, told, columns = self._run(entry, entry.settings, None)
        entry.outcomes.append(outcome)
        entry.told.append(told)
        entry.problem = outcome.error or entry.problem
        entry.columns = entry.columns or columns

    def _run(
        self, entry: Entry, settings: Mapping[str, Any], limit: int | None
    ) -> tuple[Outcome, dict[str, Any], dict[str, np.ndarray]]:
        assert entry.command is not None
        out = self.place.runs / "out"
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir(parents=True)
        task = {
            "model": self.workload.model,
            "source": str(self.source),
            "weights": self.weights,
            "out": str(out),
            "cores": len(self.place.cores),
            "settings": dict(settings),
            "limit": limit,
        }
        assert task.keys() <= Task.__dataclass_fields__.keys()
        path = self.place.runs / "task.json"
        path.write_text(json.dumps(task))
        fine = (0, 3) if entry.contender.name in OURS else (0,)  # 3: complete, with damaged inputs as rows
        outcome = watch(
            entry.command(out, path),
            env=self.place.env,
            cores=self.place.cores,
            timeout=self.place.timeout,
            fine=fine,
        )
        if outcome.error:
            return outcome, {}, {}
        try:
            told, columns = self._harvest(entry, out, outcome)
        except Exception as error:  # a contender without vectors has failed, whatever it says of itself
            outcome.error = f"its vectors cannot be read: {type(error).__name__}: {error}"
            return outcome, {}, {}
        return outcome, told, columns

    def _harvest(self, entry: Entry, out: Path, outcome: Outcome) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        if entry.contender.name in OURS:
            return _of_set(out / "set", outcome.seconds)
        if entry.contender.script == "clip-retrieval":
            return _of_clip_retrieval(out / "set")
        told = json.loads(outcome.output.strip().splitlines()[-1])
        found = {path.stem: np.load(path) for path in sorted(out.glob("*.npy"))}
        return told, {} if entry.contender.script.startswith("ceilings:") else found


def _of_set(out: Path, seconds: float) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Ours: the columns, and what its commit records say of time; the rest is start-up and end."""
    from pipelines import VectorSet

    vs = VectorSet.open(out)
    columns = {name: np.array(column.vectors) for name, column in vs.columns.items()}
    rate = committed_rate(out)
    return {"stages": {"start and end": seconds - len(vs) / rate, "embed": len(vs) / rate}, "rate": rate}, columns


def committed_rate(out: Path) -> float:
    """Records per second of one of our sets, from the times of its commits after the first.

    Of one or two parts alone, from the seconds that they say they took: their first batches count, too.
    """
    paths = sorted((out / "commits").glob("*.json"))
    parts = [json.loads(path.read_text()) for path in paths]
    if len(parts) < 3:
        return sum(part["rows"] for part in parts) / sum(part["seconds"]["total"] for part in parts)
    at = [path.stat().st_mtime for path in paths]
    return sum(part["rows"] for part in parts[1:]) / (max(at) - min(at))


def _of_clip_retrieval(out: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """clip-retrieval's vectors, in the order of names where it names its files."""
    import pyarrow.parquet as pq

    (vectors,) = [*out.glob("img_emb/*.npy"), *out.glob("text_emb/*.npy")]
    found = np.load(vectors).astype(np.float32)
    table = pq.read_table(next(out.glob("metadata/*.parquet")))
    if "image_path" in table.column_names:
        found = found[np.argsort(table["image_path"].to_pylist(), kind="stable")]
    return {}, {"vectors": found}

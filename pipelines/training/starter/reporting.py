"""A finished training, measured: ``eval.json`` and the model card in its folder, made as often as one likes."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from embedders import RefusedError, Runtime, UsageError
from pipelines.training.scenes import examples
from pipelines.training.starter.card import model_card
from pipelines.training.starter.loop import threads
from pipelines.training.starter.plan import make_towers
from pipelines.training.starter.report import BASELINE_ROWS, Trained, evaluate
from pipelines.training.starter.triples import Triples
from pipelines.vectors import Storage

__all__ = ["MANIFEST", "report", "write_report"]

MANIFEST = "manifest.json"


def report(
    folder: str | Path,
    beside: Sequence[str | Path] = (),
    *,
    device: str = "auto",
    say: Callable[[str], None] = lambda line: None,
    rows: int = 1000,
) -> dict[str, Any]:
    """Measure a finished training anew and write its report and card; returns both manifest and figures.

    ``beside`` are finished trainings to compare with: other seeds add mean and deviation, other choices of pairs
    stand by name. Raises RefusedError for folders without a finished training, UsageError for the same training
    twice; SetupError for a device that is not there; StorageError for what the disk refuses.
    """
    manifests = [_manifest(Path(place)) for place in (folder, *beside)]
    marks = [(m["plan"]["seed"], m["plan"]["pairs"]) for m in manifests]
    if len(set(marks)) < len(marks):
        raise UsageError(
            f"Of the trainings {', '.join(map(str, (folder, *beside)))} two have the same seed and pairs",
            "Name each once: a deviation is that of different seeds",
        )
    own, *others = [
        Trained(make_towers(str(place)), *mark) for place, mark in zip((folder, *beside), marks, strict=True)
    ]
    place = Runtime.of(device).device
    known = Triples.of(examples("train", BASELINE_ROWS, own.seed), own.towers)
    with threads(manifests[0]["plan"]["threads"]):
        found = evaluate(own, others, known, place, say, rows)
    write_report(Storage(Path(folder)), manifests[0], found)
    return {"manifest": manifests[0], "eval": found}


def write_report(storage: Storage, manifest: Mapping[str, Any], found: Mapping[str, Any]) -> None:
    """The figures as ``eval.json``, and both as ``MODEL_CARD.md``."""
    card = model_card(manifest, found).encode()
    storage.write_json("eval.json", dict(found))
    storage.write_bytes("MODEL_CARD.md", card)


def _manifest(folder: Path) -> dict[str, Any]:
    path = folder / MANIFEST
    try:
        found: dict[str, Any] = json.loads(path.read_text("utf-8"))
        _ = found["plan"]["seed"], found["plan"]["pairs"], found["plan"]["threads"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RefusedError(
            f"{str(folder)!r} holds no finished training ({path.name}: {type(error).__name__}: {error})",
            "Name a folder that embed train scenes has finished",
        ) from error
    return found

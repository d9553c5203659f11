"""The packages under samples/plugins, as if they were installed: importable, and registered as they ask to be."""

from __future__ import annotations

import contextlib
import csv
import importlib
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

from embedders.registry import registry
from pipelines.uses.evaluation import Truth

PLUGINS = Path(__file__).parent.parent.parent / "samples" / "plugins"
NAMES = ("code", "graph", "molecule", "video")

# their names are nobody else's, so that they may stay
sys.path += [str(PLUGINS / name / inner) for name in NAMES for inner in ("", "tests")]


@contextlib.contextmanager
def plugged(name: str) -> Iterator[Path]:
    """Everything that a package declares, registered; afterwards the registry is as it was. Gives its folder."""
    folder = PLUGINS / name
    declared = tomllib.loads((folder / "pyproject.toml").read_text("utf-8"))["project"]["entry-points"]
    held = (registry._registered, registry._classes, registry._instances)
    before = [
        {key: dict(value) if isinstance(value, dict) else value for key, value in table.items()} for table in held
    ]
    try:
        for group in sorted(declared, reverse=True):
            assert group.startswith("multimodal_embedders.")
            for entry, target in declared[group].items():
                module, _, cls = target.partition(":")
                registry.register(entry, getattr(importlib.import_module(module), cls))
        yield folder
    finally:
        for table, old in zip(held, before, strict=True):
            table.clear()  # type: ignore[attr-defined]
            table.update(old)  # type: ignore[attr-defined]


def labels(table: Path, column: str) -> Truth:
    """The ids of a CSV table with one of its columns as their classes."""
    with table.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return Truth([row["id"] for row in rows], label=[row[column] for row in rows])

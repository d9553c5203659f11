"""Pairs of vectors with a known relation, as arrays and as vector sets: what the tests of aligning share."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.training.align.pairs import Pairs
from pipelines.vectors import VectorSet
from tests.pipelines.uses.evaluation.sets import made

SPACES = {"sound_base": "base", "photo_anchor": "anchor"}
RECIPE: Mapping[str, Any] = {"width": 64, "steps": 300, "batch": 128, "looks": 15, "dropout": 0.0, "rate": 5e-3}
"""Small enough for a test."""


def linear(rows: int, *, dims: tuple[int, int] = (8, 6), noise: float = 0.05, seed: int = 0) -> tuple[Any, Any]:
    """Rows of ``y`` are a fixed linear map of those of ``x``, far from zero and of uneven scale, plus noise."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((rows, dims[0])) * np.linspace(0.5, 2, dims[0]) + 3
    y = (x - 3) @ rng.standard_normal(dims) + noise * rng.standard_normal((rows, dims[1]))
    return x, y


def bent(rows: int, seed: int = 0) -> tuple[Any, Any]:
    """Rows of ``y`` depend on the absolute values of those of ``x``: nothing of it is linear."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((rows, 8))
    y = (np.abs(x) - 0.8) @ rng.standard_normal((8, 8))
    return x, y


def aligned_set(out: Path, x: Any, y: Any, **more: Any) -> VectorSet:
    fingerprint = {"class": "tests.toy:Letters", "options": {"scale": 1.0}, "weights": {}}
    return made(out, {"sound_base": x, "photo_anchor": y}, SPACES, fingerprint=fingerprint, **more)


def pairs_of(out: Path, x: Any, y: Any, **more: Any) -> Pairs:
    return Pairs.of(aligned_set(out, x, y, **more), "sound_base", "photo_anchor")

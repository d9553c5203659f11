"""How close two sets of vectors are, and an embedder's vectors of the same inputs from differently cut batches.

The inputs are media: what an embedder's ``prepare`` takes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from embedders import BaseEmbedder, Runtime
from embedders.base import Vectors, check_rows

if TYPE_CHECKING:
    import torch

__all__ = ["Recording", "embed_media", "mixed_batches", "relative_l2", "smallest_cosine", "unit_rows"]


class Recording(Runtime):
    """A runtime on the CPU that keeps the modules placed on it."""

    placed: ClassVar[list[torch.nn.Module]] = []

    def place(self, module: torch.nn.Module) -> torch.nn.Module:
        self.placed.append(super().place(module))
        return self.placed[-1]


def relative_l2(a: npt.ArrayLike, b: npt.ArrayLike) -> float:
    """The largest over all rows of ``|a - b| / |b|``, in float64; NaN where any value is."""
    left, right = _rows(a), _rows(b)
    return float((np.linalg.norm(left - right, axis=1) / np.linalg.norm(right, axis=1)).max())


def smallest_cosine(a: npt.ArrayLike, b: npt.ArrayLike) -> float:
    """The smallest over all rows of the cosine between ``a[i]`` and ``b[i]``, in float64."""
    return float((unit_rows(a) * unit_rows(b)).sum(axis=1).min())


def unit_rows(vectors: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """The rows at length 1, in float64."""
    rows = _rows(vectors)
    lengths: npt.NDArray[np.float64] = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / lengths


def embed_media(embedder: BaseEmbedder, inputs: Sequence[Any], size: int) -> Vectors:
    """Vectors of media on the CPU in fp32, in batches of ``size`` consecutive inputs, checked as a run does."""
    forward = embedder.forward(Runtime())
    samples = [embedder.prepare(media) for media in inputs]
    cuts = [samples[start : start + size] for start in range(0, len(samples), size)]
    return np.concatenate([check_rows(forward(embedder.collate(cut)), len(cut), embedder.spec) for cut in cuts])


def mixed_batches(
    embedder: BaseEmbedder, inputs: Sequence[Any], sizes: Sequence[int] = (1, 7, 32)
) -> dict[tuple[int, str], Vectors]:
    """Vectors in input order by ``(batch size, order)``; the orders ``given`` and ``shuffled`` mix neighbours.

    ``(1, "given")`` is every input alone, which all others must equal within the published tolerance.
    """
    shuffled = np.random.default_rng(0).permutation(len(inputs))
    found: dict[tuple[int, str], Vectors] = {}
    for size in sizes:
        found[size, "given"] = embed_media(embedder, inputs, size)
        if size == 1:
            continue  # alone, an input has no order
        vectors = embed_media(embedder, [inputs[i] for i in shuffled], size)
        found[size, "shuffled"] = np.empty_like(vectors)
        found[size, "shuffled"][shuffled] = vectors
    return found


def _rows(vectors: npt.ArrayLike) -> npt.NDArray[np.float64]:
    rows = np.asarray(vectors, dtype=np.float64)
    return rows.reshape(len(rows), -1) if rows.ndim > 1 else rows[None]

"""What the checks have in common: an embedder at work, and how far vectors moved."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from embedders.base import BaseEmbedder, Vectors
from embedders.conformance.surroundings import Seen, watched
from embedders.errors import BadInput, ContractError
from embedders.registry import registry

__all__ = ["TOLERANCE", "decoded", "embedded", "farthest", "observed", "require"]

TOLERANCE = 1e-5
"""How far a vector may move, relative to its length, with its neighbours, its batch or its place: the noise of
fp32 sums that are added in another order. A missing mask or a batch statistic moves it by a hundred times more."""


def require(holds: bool, message: str) -> None:
    """Raise ContractError with the message unless it holds."""
    if not holds:
        raise ContractError(message)


def decoded(embedder: BaseEmbedder) -> list[Any]:
    """The media of its examples."""
    modality = registry.modality(embedder.spec.modality)
    examples = list(embedder.examples())
    require(len(examples) >= 3, f"examples() gives {len(examples)} inputs; the checks need at least 3")
    return [modality.decode(example).media for example in examples]


def embedded(
    embedder: BaseEmbedder,
    inputs: Sequence[Any] | None = None,
    batch_size: int | None = None,
    precision: str = "fp32",
) -> Vectors:
    """Vectors of the inputs, by default its examples, on the CPU; silent, and without traces in this process."""
    return observed(embedder, inputs, batch_size, precision)[0]


def observed(
    embedder: BaseEmbedder,
    inputs: Sequence[Any] | None = None,
    batch_size: int | None = None,
    precision: str = "fp32",
) -> tuple[Vectors, Seen]:
    """The same, with what it did to this process meanwhile."""
    inputs = list(embedder.examples()) if inputs is None else inputs
    with watched() as seen:
        try:
            found = embedder.embed(inputs, device="cpu", precision=precision, batch_size=batch_size)
        except BadInput as error:
            raise ContractError(f"an example cannot be embedded: {error.status}: {error}") from error
    return found, seen


def farthest(found: Vectors, expected: Vectors, where: str) -> float:
    """How far the row that moved most did, relative to its length; raises ContractError beyond the tolerance."""
    lengths = np.maximum(np.linalg.norm(expected, axis=1), np.finfo(np.float32).tiny)
    moved = np.linalg.norm(found - expected, axis=1) / lengths
    worst = int(moved.argmax())
    require(
        bool(moved[worst] <= TOLERANCE),
        f"example {worst} moves by {moved[worst]:.1e} of its length when embedded {where}; allowed {TOLERANCE:.0e}",
    )
    return float(moved[worst])

"""What is known of an embedder's vectors beforehand, and whether what came back keeps it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from embedders.errors import BadInput, ContractError, Status

__all__ = ["HEAD", "EmbedderSpec", "Vectors", "anchor_space", "check_rows", "row_failures"]

Vectors: TypeAlias = npt.NDArray[np.float32]
"""Shape ``(n, dim)``, float32, C-contiguous."""

UNIT_TOLERANCE = 1e-3
"""How far from 1 the length of a vector promised as unit length may lie: half-precision models round."""


@dataclass(frozen=True)
class EmbedderSpec:
    """What can be known about an embedder before its weights are there.

    ``space`` decides what may be compared: two vectors are comparable if and only if :func:`anchor_space` of both
    is equal.
    ``details`` holds everything else that decides a vector's value (preprocessing, pooling, windows), as plain
    JSON values; it goes into the fingerprint.
    """

    modality: str
    space: str
    dim: int
    normalized: bool
    details: Mapping[str, Any] = field(default_factory=dict)


HEAD = "+head:"
"""Stands in the space of a head's vectors between the anchor's space and the hash of the head."""


def anchor_space(space: str) -> str:
    """The space that vectors are compared in: a head brings its vectors into its anchor's.

    Vectors of ``clip+head:1f3a`` were made by another encoder than those of ``clip``, so that they are not mixed
    into one column, but they were taught to lie among them.
    """
    return space.partition(HEAD)[0]


def check_rows(found: Any, rows: int, spec: EmbedderSpec) -> Vectors:
    """What a forward returned, as ``(rows, dim)`` float32; raises ContractError where the contract is broken.

    Rows that are not finite pass: they are facts about an input, which :func:`row_failures` reports.
    """
    if hasattr(found, "detach"):
        found = found.detach().float().cpu().numpy()
    vectors = np.asarray(found)
    if vectors.shape != (rows, spec.dim):
        raise ContractError(
            f"The embedder of space {spec.space!r} returned shape {vectors.shape} for a batch of {rows}; "
            f"its spec promises {(rows, spec.dim)}"
        )
    if vectors.dtype.kind not in "fiu":
        raise ContractError(f"The embedder of space {spec.space!r} returned {vectors.dtype}, not numbers")
    with np.errstate(over="ignore"):  # beyond float32 becomes inf, which row_failures reports
        vectors = np.ascontiguousarray(vectors, dtype=np.float32)
    if spec.normalized:
        lengths = np.linalg.norm(vectors, axis=1)
        wrong = np.isfinite(lengths) & (lengths != 0) & (np.abs(lengths - 1) > UNIT_TOLERANCE)
        if wrong.any():
            length = lengths[wrong][0]
            raise ContractError(
                f"The embedder of space {spec.space!r} promises unit length and returned length {length:.4g}"
            )
    return vectors


def row_failures(vectors: Vectors, spec: EmbedderSpec) -> dict[int, BadInput]:
    """Rows that must not be stored as ok, by position: NaN or infinite, or of no length where length is 1."""
    failures = {}
    finite = np.isfinite(vectors).all(axis=1)
    for position in np.flatnonzero(~finite):
        failures[int(position)] = BadInput(Status.NONFINITE, "NONFINITE", "the vector has NaN or infinite values")
    if spec.normalized:
        for position in np.flatnonzero(finite & ~vectors.any(axis=1)):
            failures[int(position)] = BadInput(Status.NONFINITE, "ZERO_NORM", "the vector has no direction")
    return failures

"""Embedders: one input becomes one vector.

::

    input ──▶ modalities/  decode ──▶ media ──▶ models/  prepare · collate · forward ──▶ vector
                  ▲                                ▲            ▲
              modality.py                       base.py     runtime/  device, precision
              (the promise)                  (the contract)  weights.py  where parameters come from

    registry.py      names to classes, built-ins and plugins alike; listing imports nothing
    batching.py      which samples are embedded together
    conformance.py   the checks that every embedder passes; plugin authors run them too
    errors.py        everything that can go wrong, as a tree

Importing this package loads neither torch nor any model library; using an embedder does::

    import embedders

    clip = embedders.create("text.clip", weights="random:0")
    vectors = clip.embed(["two red bells", "a quiet engine"])    # (2, 512) float32
"""

from embedders.base import BaseEmbedder, EmbedderSpec
from embedders.errors import (
    BadInput,
    ContractError,
    EmbedError,
    RefusedError,
    SetupError,
    Status,
    StorageError,
    TooManyFailures,
    UsageError,
)
from embedders.modality import Decoded, Limits, Modality, Waveform
from embedders.registry import create, entries, find, modalities, modality, register
from embedders.runtime import Runtime

__all__ = [
    "BadInput",
    "BaseEmbedder",
    "ContractError",
    "Decoded",
    "EmbedError",
    "EmbedderSpec",
    "Limits",
    "Modality",
    "RefusedError",
    "Runtime",
    "SetupError",
    "Status",
    "StorageError",
    "TooManyFailures",
    "UsageError",
    "Waveform",
    "create",
    "entries",
    "find",
    "modalities",
    "modality",
    "register",
]

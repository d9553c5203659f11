"""Embedders: one input becomes one vector.

::

    input ──▶ modalities/  decode ──▶ media ──▶ models/  prepare · collate · forward ──▶ vector
                  ▲                                ▲            ▲
              modality.py                       base.py     runtime/  device, precision, engine
              (the promise)               (the contract: spec.py)  weights.py  where parameters come from

    registry/        names to classes, built-ins and plugins alike; listing imports nothing
    batching.py      which samples are embedded together
    conformance/     the checks that every embedder passes; plugin authors run them too
    remote/          inputs by URL, and services that embed; within strict bounds
    errors.py        everything that can go wrong, as a tree

Importing this package loads neither torch nor any model library; using an embedder does::

    import embedders

    clip = embedders.create("text.clip", weights="random:0")
    vectors = clip.embed(["two red bells", "a quiet engine"])    # (2, 512) float32
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from embedders.base import BaseEmbedder, EmbedderSpec, anchor_space
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
    from embedders.registry import create, entries, find, register
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
    "anchor_space",
    "create",
    "entries",
    "find",
    "register",
]

_HOMES = {
    "embedders.base": ("BaseEmbedder", "EmbedderSpec", "anchor_space"),
    "embedders.modality": ("Decoded", "Limits", "Modality", "Waveform"),
    "embedders.registry": ("create", "entries", "find", "register"),
    "embedders.runtime": ("Runtime",),
}


def __getattr__(name: str) -> Any:
    """Import a public name on first use: reading a vector set and ``embed --help`` need none of them."""
    home = next((home for home, names in _HOMES.items() if name in names), "embedders.errors")
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(home), name)
    return found

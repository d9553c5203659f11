"""Embedders that start at once and whose vectors are hashes: what a killed run made of a record shows in every bit.

They stop at *gates*, so that a test can strike at a moment and not after a time: while the folder in
``CRASH_GATES`` holds a file ``load``, or one named like the caption in work, they wait, and say so by a file
``at <gate>``.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from embedders import BaseEmbedder, EmbedderSpec, Runtime
from embedders.base import Forward

GATES = "CRASH_GATES"


def at_gate(name: str) -> None:
    """Wait until the gate is open."""
    gate = Path(os.environ.get(GATES, "/nowhere"), name)
    while gate.exists():
        gate.with_name(f"at {name}").touch()
        time.sleep(0.002)


class Words(BaseEmbedder):
    """The SHA-256 of a text and a ``salt`` as ``dim`` numbers from 0 to 1, after a ``pause`` in seconds per batch.

    ``!raise`` and ``!nan`` are texts that it fails on.
    """

    modality: ClassVar[str] = "text"

    def __init__(self, *, salt: int = 0, dim: int = 8, pause: float = 0.0) -> None:
        self.salt = salt
        self.dim = dim
        self.pause = pause

    @property
    def spec(self) -> EmbedderSpec:
        return EmbedderSpec(self.modality, f"hash/{self.modality}/{self.salt}", self.dim, normalized=False)

    def prepare(self, media: Any) -> bytes:
        return str(media).encode()

    def collate(self, samples: Sequence[bytes]) -> list[bytes]:
        return list(samples)

    def load(self, runtime: Runtime) -> Forward:
        at_gate("load")

        def forward(batch: list[bytes]) -> Any:
            time.sleep(self.pause)
            for sample in batch if GATES in os.environ else ():
                at_gate(sample.decode("latin-1").replace("/", "-"))
            if b"!raise" in batch:
                raise ValueError("this one cannot be embedded")
            return np.stack([self._vector(sample) for sample in batch])

        return forward

    def _vector(self, sample: bytes) -> Any:
        if sample == b"!nan":
            return np.full(self.dim, np.nan, np.float32)
        hashed = hashlib.shake_128(b"%d " % self.salt + sample).digest(self.dim)
        return np.frombuffer(hashed, np.uint8) / np.float32(255)

    def examples(self) -> list[Any]:
        return ["a", "bell", "wonderful"]


class Pictures(Words):
    """The same of a picture's pixels."""

    modality = "image"

    def prepare(self, media: Any) -> bytes:
        return b"%dx%d " % media.shape[:2] + bytes(media)

    def examples(self) -> list[Any]:
        return [np.full((size, size, 3), 60 * size, np.uint8) for size in (1, 2, 3)]

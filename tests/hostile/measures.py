"""Embedders without weights, one per modality: each vector is a few numbers that can be checked by hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from embedders import BadInput, BaseEmbedder, EmbedderSpec, Runtime, Status, Waveform
from embedders.base import Forward
from embedders.modality import Pixels

SHORTEST = 400
"""Samples that the sound embedder needs at least, as wav2vec2 does."""


class Measures(BaseEmbedder):
    """Rows of numbers made by ``prepare``; ``unit`` brings them to length 1."""

    modality: ClassVar[str]
    dim: ClassVar[int]

    def __init__(self, *, unit: bool = False) -> None:
        self.unit = unit

    @property
    def spec(self) -> EmbedderSpec:
        return EmbedderSpec(self.modality, f"{self.modality}-measures", self.dim, normalized=self.unit)

    def collate(self, samples: Sequence[Any]) -> Any:
        return np.array(samples, np.float64)

    def load(self, runtime: Runtime) -> Forward:
        def forward(batch: Any) -> Any:
            lengths = np.linalg.norm(batch, axis=1, keepdims=True) if self.unit else 1
            return batch / np.where(lengths == 0, 1, lengths)

        return forward


class PictureMeasures(Measures):
    """Height, width, mean red, green and blue, and the spread of all levels."""

    modality = "image"
    dim = 6

    def prepare(self, media: Pixels) -> list[float]:
        return [*media.shape[:2], *media.mean(axis=(0, 1)), media.std()]

    def examples(self) -> list[Pixels]:
        return [np.full((size, size, 3), 60 * size, np.uint8) for size in (1, 2, 3)]


class SoundMeasures(Measures):
    """Of the sound at 16 kHz: loudness, peak and mean."""

    modality = "audio"
    dim = 3

    def prepare(self, media: Waveform) -> list[float]:
        if len(media.samples) < SHORTEST:
            raise BadInput(Status.LIMIT, "AUD_TOO_SHORT", f"{len(media.samples)} samples of {SHORTEST}")
        x = media.at(16_000)
        return [float(np.sqrt(np.mean(x.astype(np.float64) ** 2))), float(np.abs(x).max()), float(x.mean())]

    def examples(self) -> list[Waveform]:
        return [Waveform(np.full(400 * n, 0.1 * n, np.float32), 16_000) for n in (1, 2, 3)]


class TextMeasures(Measures):
    """Characters, and their mean code point."""

    modality = "text"
    dim = 2

    def prepare(self, media: str) -> list[float]:
        return [len(media), sum(map(ord, media)) / len(media)]

    def examples(self) -> list[str]:
        return ["a", "bell", "wonderful"]

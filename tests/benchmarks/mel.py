"""Mel statistics as an embedder: something to align that knows of sounds no more than their spectrum.

::

    embed samples scenes --count 4000 --out scenes
    embed run scenes -o vectors -e audio=tests.benchmarks.mel:MelStatistics -e image=image.starter
    embed align vectors --from audio_melstatistics --to image_starter --out head
    embed tune vectors --from audio_melstatistics --to image_starter --out study
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from embedders import BaseEmbedder, EmbedderSpec, Runtime, Waveform
from embedders.base import Forward
from embedders.models import starter_sound

__all__ = ["MelStatistics"]

SLICES = 6
"""Of a window's time: coarse enough to forget most of the order of what is heard."""


class MelStatistics(BaseEmbedder):
    """Mean and spread of 64 mel bands in six slices of the first 2.88 s: ``(768,)``, learned from nothing."""

    @property
    def spec(self) -> EmbedderSpec:
        """768 dimensions, not normalised."""
        return EmbedderSpec("audio", "mel-statistics", 2 * SLICES * starter_sound.BANDS, False)

    def prepare(self, media: Waveform) -> npt.NDArray[np.float32]:
        """The statistics themselves; raises BadInput for less than 50 ms."""
        levels = starter_sound.levels(starter_sound.windows(media.at(starter_sound.RATE))[0])
        slices = levels.reshape(starter_sound.BANDS, SLICES, -1)
        return np.concatenate([slices.mean(2), slices.std(2)]).ravel().astype(np.float32)

    def collate(self, samples: Sequence[npt.NDArray[np.float32]]) -> npt.NDArray[np.float32]:
        """Stack to ``(n, 768)``."""
        return np.stack(samples)

    def load(self, runtime: Runtime) -> Forward:
        """Nothing is left to do."""
        return lambda batch: batch

    def examples(self) -> list[Any]:
        """Three tones."""
        time = np.arange(48_000, dtype=np.float32) / 16_000
        return [Waveform(np.sin(6.28 * hertz * time), 16_000) for hertz in (220, 440, 880)]

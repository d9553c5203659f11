"""Clips of any length for models that read one length alone: consecutive windows, each alone, averaged again.

::

    Waveform ─ prepare ─▶ Sound (features of windows) ─ collate ─▶ Batch (windows of all clips) ─ forward ─▶ rows

Windows do not overlap. What a last one lacks is made up as the model's own preprocessing does, and a window counts
as much as there is of the clip in it. No chance is involved, whatever upstream does with longer clips.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Protocol, TypeAlias

import numpy as np

from embedders.base import BaseEmbedder, Forward
from embedders.errors import BadInput, Status
from embedders.modality import Samples, Waveform
from embedders.models.log_mel import Features
from embedders.models.pooling import unit

if TYPE_CHECKING:
    import torch

__all__ = ["Batch", "Ear", "FixedWindows", "Sound"]

Pooled: TypeAlias = "Callable[[torch.Tensor, torch.Tensor], torch.Tensor]"
"""Features ``(windows, ...)`` and how much each holds ``(windows,)`` to vectors ``(windows, dim)``."""


class Ear(Protocol):
    """What makes features of a window."""

    @property
    def rate(self) -> int:
        """Samples a second, in Hz."""

    @property
    def window(self) -> int:
        """Samples of a window."""

    def features(self, samples: Samples) -> Features:
        """Of one window or less, always of one shape."""


@dataclass(frozen=True)
class Sound:
    """One prepared clip: the features of its windows, and how much of it each holds."""

    features: Features
    held: tuple[int, ...]


@dataclass(frozen=True)
class Batch:
    """The windows of all clips; ``owners`` number the clips."""

    features: torch.Tensor
    held: list[int]
    owners: list[int]


class FixedWindows(BaseEmbedder):
    """An audio embedder over windows of one length; subclasses name the ear and run the model."""

    batch_cost: ClassVar[int] = 8
    """Windows."""

    @property
    @abstractmethod
    def _ear(self) -> Ear:
        """How this model turns samples into features."""

    @abstractmethod
    def _held(self, samples: int) -> int:
        """What so many samples count for in the mean."""

    def prepare(self, media: Waveform) -> Sound:
        """Resample, cut into windows and make features of each."""
        ear = self._ear
        samples = media.at(ear.rate)
        if not len(samples):
            raise BadInput(Status.LIMIT, "AUD_TOO_SHORT", f"{media.seconds:.6f} seconds are less than one sample")
        windows = [samples[start : start + ear.window] for start in range(0, len(samples), ear.window)]
        features = np.stack([ear.features(window) for window in windows])
        return Sound(features, tuple(self._held(len(window)) for window in windows))

    def cost(self, sample: Sound) -> int:
        """Windows."""
        return len(sample.held)

    def flags(self, sample: Sound) -> tuple[str, ...]:
        """``windows_3`` for a clip that was cut."""
        return (f"windows_{len(sample.held)}",) if len(sample.held) > 1 else ()

    def collate(self, samples: Sequence[Sound]) -> Batch:
        """All windows of all clips, one after another."""
        import torch

        features = torch.from_numpy(np.concatenate([sound.features for sound in samples]))
        owners = [position for position, sound in enumerate(samples) for _ in sound.held]
        return Batch(features, [held for sound in samples for held in sound.held], owners)

    def examples(self) -> list[Waveform]:
        """A tone, noise that fades, and clicks; two rates, three lengths."""
        time = np.arange(9600, dtype=np.float64) / 16_000
        tone = 0.5 * np.sin(2 * np.pi * 440 * time[:3200])
        noise = np.random.default_rng(0).normal(0, 0.1, 9600) * np.exp(-5 * time)
        clicks = 0.8 * (np.arange(4800) % 400 < 8)
        return [
            Waveform(tone.astype(np.float32), 16_000),
            Waveform(noise.astype(np.float32), 16_000),
            Waveform(clicks.astype(np.float32), 8_000),
        ]

    def _averaged(self, pooled: Pooled, normalize: bool, rows: int) -> Forward:
        """The forward around a model: ``rows`` windows at a time, so that a long clip needs no more memory."""
        import torch

        @torch.inference_mode()
        def forward(batch: Batch) -> torch.Tensor:
            # summed on the CPU, where the order of additions is always the same
            held = torch.tensor(batch.held)
            parts = zip(torch.split(batch.features, rows), torch.split(held, rows), strict=True)
            vectors = torch.cat([pooled(features, counts).float().cpu() for features, counts in parts])
            weights = held.float()[:, None]
            owners = torch.tensor(batch.owners)
            sums = vectors.new_zeros(max(batch.owners) + 1, vectors.shape[1])
            sums.index_add_(0, owners, vectors * weights)
            totals = weights.new_zeros(len(sums), 1).index_add_(0, owners, weights)
            means = sums / totals
            return unit(means) if normalize else means

        return forward

"""Clips of any length for models of the wav2vec2 family: cut into windows, padded into batches, averaged again.

::

    Waveform ─ prepare ─▶ Clip (windows) ─ collate ─▶ Batch (windows of all clips) ─ forward ─▶ one row per clip

A clip longer than ``window_seconds`` is cut into consecutive windows. Each is embedded as if it were a clip of its
own, and the clip's vector is the mean over the valid frames of all its windows. A last window that is too short to
give a single frame is left out.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from embedders.base import BaseEmbedder, Forward
from embedders.errors import BadInput, Status, UsageError
from embedders.modality import Samples, Waveform
from embedders.models.pooling import unit
from embedders.runtime import Network, Run

if TYPE_CHECKING:
    import torch

    from embedders.runtime import Runtime

__all__ = ["Batch", "Clip", "Stem", "WindowedAudio"]


@dataclass(frozen=True)
class Stem:
    """How samples become frames: what a model's convolutions and its preprocessing ask for.

    ``standardise`` brings every window to mean 0 and variance 1, with ``epsilon`` added to the variance.
    """

    kernels: tuple[int, ...]
    strides: tuple[int, ...]
    rate: int
    standardise: bool
    epsilon: float

    def frames(self, samples: int) -> int:
        """Frames behind all convolutions, which do not pad their input."""
        for kernel, stride in zip(self.kernels, self.strides, strict=True):
            samples = (samples - kernel) // stride + 1 if samples >= kernel else 0
        return samples

    @property
    def shortest(self) -> int:
        """Samples that give one frame: the receptive field, 400 for the usual convolutions."""
        samples = 1
        for kernel, stride in zip(reversed(self.kernels), reversed(self.strides), strict=True):
            samples = (samples - 1) * stride + kernel
        return samples

    def ready(self, samples: Samples) -> Samples:
        """One window as the model takes it."""
        if not self.standardise:
            return samples
        centred = samples - samples.mean()
        return np.asarray(centred / np.sqrt(samples.var() + self.epsilon), dtype=np.float32)


@dataclass(frozen=True)
class Clip:
    """One prepared clip: its windows, and whether a rest too short for a frame was left out."""

    windows: tuple[Samples, ...]
    rest_left_out: bool = False


@dataclass(frozen=True)
class Batch:
    """The windows of all clips, padded with zeros: ``waves (windows, samples)``; ``owners`` number the clips."""

    waves: torch.Tensor
    lengths: list[int]
    owners: list[int]


class WindowedAudio(BaseEmbedder):
    """An audio embedder that averages hidden states over time; subclasses name the stem and run the model.

    ``layer`` picks the hidden state: ``"mean"`` of all layers, ``"last"``, or its number. ``window_seconds`` of
    None or 0 takes every clip whole, at a cost that grows with the square of its length.
    """

    batch_cost: ClassVar[int] = 500
    """Frames: ten seconds of sound at the usual 50 frames a second. A core is as fast with half as many as with six
    times as many, and less is padded."""
    worth_trying: ClassVar[int] = 16
    """A clip takes as long as a hundred captions."""

    def __init__(self, *, layer: str | int, normalize: bool, window_seconds: float | None) -> None:
        number = isinstance(layer, int) and not isinstance(layer, bool)
        if not number and layer not in ("mean", "last"):
            raise UsageError(f"There is no layer {layer!r}", "Take mean, last, or the number of a hidden state")
        seconds = window_seconds or 0.0
        if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds < math.inf:
            raise UsageError(
                f"window_seconds is {window_seconds!r}; it must be a number of seconds",
                "Take 0 to embed every clip whole",
            )
        self._layer = layer
        self._normalize = bool(normalize)
        self._window_seconds = float(seconds)

    @property
    @abstractmethod
    def _stem(self) -> Stem:
        """How this model turns samples into frames."""

    def _details(self) -> dict[str, Any]:
        """The part of ``spec.details`` that is the same for every model of the family."""
        return {
            "rate": self._stem.rate,
            "resampler": "soxr HQ",
            "standardise": self._stem.standardise,
            "epsilon": self._stem.epsilon,
            "kernels": list(self._stem.kernels),
            "strides": list(self._stem.strides),
            "layer": self._layer,
            "pooling": "mean over the valid frames of all windows",
            "window_seconds": self._window_seconds,
        }

    def prepare(self, media: Waveform) -> Clip:
        """Resample, cut into windows and standardise each; raises BadInput where there is not even one frame."""
        stem = self._stem
        samples = media.at(stem.rate)
        if len(samples) < stem.shortest:
            raise BadInput(
                Status.LIMIT,
                "AUD_TOO_SHORT",
                f"{media.seconds:.4f} seconds; this model needs at least {stem.shortest / stem.rate:.4f} seconds",
            )
        window = round(self._window_seconds * stem.rate) or len(samples)
        if window < stem.shortest:
            raise UsageError(
                f"window_seconds is {self._window_seconds}; this model needs {stem.shortest / stem.rate} at least"
            )
        windows = [samples[start : start + window] for start in range(0, len(samples), window)]
        rest = len(windows[-1]) < stem.shortest
        return Clip(tuple(stem.ready(window) for window in windows[: len(windows) - rest]), rest)

    def cost(self, sample: Clip) -> int:
        """Frames of all windows."""
        return sum(self._stem.frames(len(window)) for window in sample.windows)

    def flags(self, sample: Clip) -> tuple[str, ...]:
        """``windows_3`` for a clip that was cut, ``rest_left_out`` where its end was too short for a frame."""
        count = len(sample.windows)
        return ((f"windows_{count}",) if count > 1 else ()) + (("rest_left_out",) if sample.rest_left_out else ())

    def collate(self, samples: Sequence[Clip]) -> Batch:
        """Pad all windows of all clips to the longest."""
        import torch

        windows = [window for clip in samples for window in clip.windows]
        lengths = [len(window) for window in windows]
        waves = np.zeros((len(windows), max(lengths)), dtype=np.float32)
        for wave, window in zip(waves, windows, strict=True):
            wave[: len(window)] = window
        owners = [position for position, clip in enumerate(samples) for _ in clip.windows]
        return Batch(torch.from_numpy(waves), lengths, owners)

    def examples(self) -> list[Waveform]:
        """A tone, noise that fades, and clicks; two rates, three lengths."""
        time = np.arange(9600, dtype=np.float64) / 16_000
        tone = 0.5 * np.sin(2 * np.pi * 440 * time[:3200])
        noise = np.random.default_rng(0).normal(0, 0.1, 6400) * np.exp(-5 * time[:6400])
        clicks = 0.8 * (np.arange(4800) % 400 < 8)
        return [
            Waveform(tone.astype(np.float32), 16_000),
            Waveform(noise.astype(np.float32), 16_000),
            Waveform(clicks.astype(np.float32), 8_000),
        ]

    def _network(self, build: Callable[[], torch.nn.Module]) -> Network:
        """The model from ``waves (windows, samples)`` and their ``lengths`` to the hidden states to be averaged."""
        import torch

        def example() -> tuple[torch.Tensor, ...]:
            longest = 4 * self._stem.shortest
            waves = torch.randn(2, longest, generator=torch.Generator().manual_seed(0))
            waves[1, longest // 2 :] = 0
            return waves, torch.tensor([longest, longest // 2])

        return Network("trunk", self.identity, build, example, ((0, 1), (0,)))

    def _pooled(self, trunk: Run, runtime: Runtime) -> Forward:
        """The forward around a model: a few windows at a time, so that a long clip needs no more memory."""
        import torch

        budget = runtime.budget(self.batch_cost)

        @torch.inference_mode()
        def forward(batch: Batch) -> torch.Tensor:
            frames = [self._stem.frames(length) for length in batch.lengths]
            rows = max(1, budget // max(frames))
            pooled = []
            for start in range(0, len(frames), rows):
                lengths = batch.lengths[start : start + rows]
                waves = batch.waves[start : start + rows, : max(lengths)].contiguous()
                states = trunk(waves, torch.tensor(lengths))
                pooled.append(_mean_of_layers(states, frames[start : start + rows]))
            # summed on the CPU, where the order of additions is always the same
            weights = torch.tensor(frames, dtype=torch.float32)[:, None]
            owners = torch.tensor(batch.owners)
            means = torch.cat(pooled).cpu() * weights
            sums = means.new_zeros(max(batch.owners) + 1, means.shape[1]).index_add_(0, owners, means)
            totals = weights.new_zeros(len(sums), 1).index_add_(0, owners, weights)
            vectors = sums / totals
            return unit(vectors) if self._normalize else vectors

        return forward


def _mean_of_layers(states: Sequence[torch.Tensor], frames: Sequence[int]) -> torch.Tensor:
    """The mean over the valid frames, then over the layers, one layer at a time: ``(windows, dim)`` in fp32."""
    import torch

    device = states[0].device
    counts = torch.tensor(frames, device=device)[:, None]
    weights = (torch.arange(states[0].shape[1], device=device) < counts).float() / counts
    # a product of matrices: no layer is written a second time
    means = [torch.bmm(weights[:, None], state.float())[:, 0] for state in states]
    return torch.stack(means).mean(0)

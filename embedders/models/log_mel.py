"""Samples to the log-mel spectrograms of CLAP and Whisper, equal to what upstream's feature extractors compute."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from embedders.errors import SetupError
from embedders.modality import Samples

if TYPE_CHECKING:
    import torch

__all__ = ["ClapEar", "Features", "WhisperEar"]

Features: TypeAlias = npt.NDArray[np.float32]

FLOOR = 1e-10
"""The least power before the logarithm is taken, of both extractors."""


@dataclass(frozen=True)
class ClapEar:
    """The settings of a ``ClapFeatureExtractor``; the defaults are those of ``laion/clap-htsat-unfused``.

    ``fused`` checkpoints were trained with the filters of torchaudio, the others with those of librosa.
    """

    rate: int = 48_000
    seconds: int = 10
    fft: int = 1024
    hop: int = 480
    mels: int = 64
    lowest: float = 50
    highest: float = 14_000
    fused: bool = False
    padding: str = "repeatpad"

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> ClapEar:
        """From ``preprocessor_config.json``, with the defaults of upstream's class for what it leaves out."""
        return cls(
            int(settings.get("sampling_rate", 48_000)),
            int(settings.get("max_length_s", 10)),
            int(settings.get("fft_window_size", 1024)),
            int(settings.get("hop_length", 480)),
            int(settings.get("feature_size", 64)),
            float(settings.get("frequency_min", 0)),
            float(settings.get("frequency_max", 14_000)),
            settings.get("truncation", "fusion") == "fusion",
            str(settings.get("padding", "repeatpad")),
        )

    @property
    def details(self) -> dict[str, Any]:
        """Plain JSON values for the fingerprint."""
        return asdict(self)

    @property
    def window(self) -> int:
        """Samples of a window."""
        return self.rate * self.seconds

    @property
    def frames(self) -> int:
        """Frames of a window."""
        return self.window // self.hop + 1

    def features(self, samples: Samples) -> Features:
        """At most a window of samples, made up to one, as decibels ``(frames, mels)``."""
        short = self.window - len(samples)
        if short and self.padding == "repeat":
            samples = np.resize(samples, self.window)
        elif short:
            times = self.window // len(samples) if self.padding == "repeatpad" else 1
            samples = np.pad(np.tile(samples, times), (0, self.window - times * len(samples)))
        around = np.pad(samples, self.fft // 2, mode="reflect").astype(np.float64)
        pieces = np.lib.stride_tricks.sliding_window_view(around, self.fft)[:: self.hop]
        spectrum = np.fft.rfft(pieces * _hann(self.fft)).astype(np.complex64)
        power = np.abs(spectrum, dtype=np.float64) ** 2
        mels = np.maximum(FLOOR, np.dot(_clap_filters(self).T, power.T))
        return np.ascontiguousarray((10.0 * np.log10(mels)).T, np.float32)


@dataclass(frozen=True)
class WhisperEar:
    """The settings of a ``WhisperFeatureExtractor``; only the number of mels differs between published models."""

    mels: int = 80
    rate: int = 16_000
    seconds: int = 30
    fft: int = 400
    hop: int = 160

    @classmethod
    def of(cls, settings: Mapping[str, Any], mels: int) -> WhisperEar:
        """From ``preprocessor_config.json``, if there is one, for a model that reads so many mels.

        Raises SetupError for the settings of another model.
        """
        if settings.get("feature_size", mels) != mels:
            raise SetupError(
                f"The preprocessing gives {settings['feature_size']} mels, and the model reads {mels}",
                "The folder mixes the files of two models",
            )
        names = (("sampling_rate", 16_000), ("chunk_length", 30), ("n_fft", 400), ("hop_length", 160))
        return cls(mels, *(int(settings.get(name, default)) for name, default in names))

    @property
    def details(self) -> dict[str, Any]:
        """Plain JSON values for the fingerprint."""
        return asdict(self)

    @property
    def window(self) -> int:
        """Samples of a window."""
        return self.rate * self.seconds

    @property
    def frames(self) -> int:
        """Frames of a window."""
        return self.window // self.hop

    def features(self, samples: Samples) -> Features:
        """At most a window of samples, followed by silence up to one, as ``(mels, frames)``."""
        import torch

        wave = torch.zeros(1, self.window)
        wave[0, : len(samples)] = torch.from_numpy(np.array(samples))
        window, filters = _whisper_filters(self)
        spectrum = torch.stft(wave, self.fft, self.hop, window=window, return_complex=True)
        power = (spectrum[..., :-1].abs() ** 2).contiguous()
        levels = torch.clamp(filters.T @ power, min=FLOOR).log10()[0]
        return np.asarray(((torch.maximum(levels, levels.max() - 8.0) + 4.0) / 4.0).numpy(), np.float32)


@functools.cache
def _hann(length: int) -> npt.NDArray[np.float64]:
    from transformers.audio_utils import window_function

    return np.asarray(window_function(length, "hann"), np.float64)


@functools.cache
def _clap_filters(ear: ClapEar) -> npt.NDArray[np.float64]:
    scale = {"norm": None, "mel_scale": "htk"} if ear.fused else {"norm": "slaney", "mel_scale": "slaney"}
    return _filters(ear.fft, ear.mels, ear.rate, ear.lowest, ear.highest, scale)


@functools.cache
def _whisper_filters(ear: WhisperEar) -> tuple[torch.Tensor, torch.Tensor]:
    import torch

    scale = {"norm": "slaney", "mel_scale": "slaney"}
    filters = _filters(ear.fft, ear.mels, ear.rate, 0.0, 8000.0, scale)
    return torch.hann_window(ear.fft), torch.from_numpy(filters).to(torch.float32)


def _filters(
    fft: int, mels: int, rate: int, lowest: float, highest: float, scale: Mapping[str, Any]
) -> npt.NDArray[np.float64]:
    from transformers.audio_utils import mel_filter_bank

    filters: npt.NDArray[np.float64] = mel_filter_bank(
        num_frequency_bins=fft // 2 + 1,
        num_mel_filters=mels,
        min_frequency=lowest,
        max_frequency=highest,
        sampling_rate=rate,
        **scale,
    )
    return filters

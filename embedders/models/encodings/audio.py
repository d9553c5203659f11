"""``audio.melstats``: mean and spread over time of what signal processing measures in a sound, by librosa."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from embedders.base import BaseEmbedder, EmbedderSpec, Forward, Vectors
from embedders.errors import BadInput, Status
from embedders.modality import Waveform

if TYPE_CHECKING:
    from embedders.runtime import Runtime

__all__ = ["BANDS", "HOP", "RATE", "SPAN", "MelStats"]

RATE = 22_050
"""Hz: what librosa's own defaults are made for."""
SPAN, HOP = 2048, 512
"""Samples of a frame, and from one to the next: 93 and 23 ms."""
BANDS = 64
CEPSTRA = 20
CHROMA = 12
QUIETEST = 1e-10
"""Power that counts as silence, -100 dB."""
FRAMES = 4096
"""Frames measured at once, 95 seconds: the spectra of an hour would take gigabytes."""
ROWS = (
    *(f"mel_{band}" for band in range(BANDS)),
    *(f"mfcc_{number}" for number in range(CEPSTRA)),
    *(f"chroma_{tone}" for tone in ("c", "c#", "d", "d#", "e", "f", "f#", "g", "g#", "a", "a#", "b")),
    "centroid",
    "bandwidth",
    "rolloff",
    "flatness",
    "zero_crossings",
)
DETAILS: dict[str, Any] = {
    "rate": RATE,
    "span": SPAN,
    "hop": HOP,
    "window": "hann, centred, zeros beyond the ends",
    "numbers": "mean over the frames of each row, then standard deviation of each",
    "rows": list(ROWS),
    "mel": f"power in dB / 100, {BANDS} bands of Slaney's scale, 0 to {RATE // 2} Hz, silence at -1",
    "mfcc": "orthonormal DCT-II of mel",
    "chroma": "of power, largest tone of a frame 1, tuned to A 440",
    "centroid, bandwidth, rolloff": "share of half the rate; rolloff at 85 per cent of the magnitude",
    "flatness": "of power, 0 to 1",
    "zero_crossings": "share of a frame's samples",
}


class MelStats(BaseEmbedder):
    """202 numbers: mean and standard deviation over time of mel bands, cepstra, chroma and five spectral measures.

    Each is scaled by a constant so that none drowns the others; ``details`` names all of them. A sound shorter than
    one frame (93 ms) is refused.
    """

    kind: ClassVar[str] = "encoding"
    libraries: ClassVar[tuple[str, ...]] = ("librosa", "numpy", "scipy", "soxr")

    def __init__(self) -> None:
        """No options: the numbers would not be those that ``details`` lists."""

    @property
    def spec(self) -> EmbedderSpec:
        """One space: there is nothing to choose."""
        return EmbedderSpec("audio", "melstats:1", 2 * len(ROWS), False, DETAILS)

    def prepare(self, media: Waveform) -> npt.NDArray[np.float32]:
        """The vector itself; raises BadInput ``limit/AUD_TOO_SHORT`` for less than one frame."""
        samples = media.at(RATE)
        if len(samples) < SPAN:
            message = f"{len(samples) / RATE:.4f} seconds; at least {SPAN / RATE:.4f} are needed"
            raise BadInput(Status.LIMIT, "AUD_TOO_SHORT", message)
        padded, held = np.pad(samples, SPAN // 2), np.pad(samples, SPAN // 2, mode="edge")
        frames = 1 + len(samples) // HOP
        count, mean, squares = 0, np.zeros(len(ROWS)), np.zeros(len(ROWS))
        for first in range(0, frames, FRAMES):
            last = min(first + FRAMES, frames)
            block = slice(first * HOP, (last - 1) * HOP + SPAN)
            rows = _measured(padded[block], held[block])
            # Chan, Golub and LeVeque: the squares of two blocks around their common mean
            there = last - first
            gap = rows.mean(axis=1) - mean
            squares += rows.var(axis=1) * there + gap**2 * count * there / (count + there)
            mean += gap * there / (count + there)
            count += there
        return np.concatenate([mean, np.sqrt(squares / count)]).astype(np.float32)

    def collate(self, samples: Sequence[npt.NDArray[np.float32]]) -> Vectors:
        """The vectors under one another."""
        return np.stack(samples)

    def load(self, runtime: Runtime) -> Forward:
        """Nothing is left to be done."""
        return lambda batch: batch

    def examples(self) -> list[Waveform]:
        """A tone, a falling one at another rate, and noise."""
        time = np.arange(RATE, dtype=np.float32) / RATE
        tone = np.sin(2 * np.pi * 440 * time)
        falling = np.sin(2 * np.pi * (1000 - 300 * time[:8000]) * time[:8000])
        noise = np.random.default_rng(0).standard_normal(5000) / 10
        pairs = ((tone, RATE), (falling, 16_000), (noise, RATE))
        return [Waveform(np.asarray(samples, np.float32), rate) for samples, rate in pairs]


def _measured(samples: npt.NDArray[np.float32], held: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """All rows of a stretch, ``(len(ROWS), frames)``; in ``held`` the ends are held, not zeros."""
    from librosa import feature, power_to_db, stft

    magnitude = np.abs(stft(samples, n_fft=SPAN, hop_length=HOP, center=False))
    power = magnitude**2
    mel = power_to_db(_bands() @ power, amin=QUIETEST, top_db=None) / 100
    rows = (
        mel,
        feature.mfcc(S=mel, n_mfcc=CEPSTRA),
        feature.chroma_stft(S=power, sr=RATE, n_chroma=CHROMA, tuning=0.0),
        feature.spectral_centroid(S=magnitude, sr=RATE) * 2 / RATE,
        feature.spectral_bandwidth(S=magnitude, sr=RATE) * 2 / RATE,
        feature.spectral_rolloff(S=magnitude, sr=RATE) * 2 / RATE,
        feature.spectral_flatness(S=magnitude, amin=QUIETEST),
        feature.zero_crossing_rate(held, frame_length=SPAN, hop_length=HOP, center=False),
    )
    return np.concatenate(rows).astype(np.float64)


@functools.cache
def _bands() -> npt.NDArray[np.float32]:
    """The mel filters ``(BANDS, SPAN // 2 + 1)``, made once."""
    from librosa.filters import mel

    bands: npt.NDArray[np.float32] = mel(sr=RATE, n_fft=SPAN, n_mels=BANDS)
    return bands

"""How the starter hears: windows of one length, and of each a picture of 64 bands by 96 moments."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import numpy.typing as npt

from embedders.errors import BadInput, Status
from embedders.modality import Samples

__all__ = ["BANDS", "DETAILS", "FRAMES", "RATE", "WINDOW", "levels", "windows"]

RATE = 16_000
"""Hz."""
HOP = 480
"""Samples from one moment to the next: 30 ms."""
SPAN = 800
"""Samples that make a moment: 50 ms, under a Hann window."""
BINS = 1024
"""Points of the Fourier transform, the moment filled up with zeros."""
BANDS = 64
FRAMES = 96
WINDOW = HOP * FRAMES
"""Samples of a window: 2.88 s. The tower takes this length alone."""
DECADES = 6
"""From the loudest point of a window to what counts as silence: a factor of a million in power, 60 dB."""
QUIETEST = 1e-8
"""Power of the loudest point below which a window is not turned up: silence stays silent."""

DETAILS: dict[str, Any] = {
    "rate": RATE,
    "resampler": "soxr HQ",
    "hop": HOP,
    "span": SPAN,
    "window": "hann",
    "bins": BINS,
    "bands": BANDS,
    "scale": "mel, 2595 log10(1 + f / 700), 0 to 8000 Hz, triangles of height 1",
    "levels": f"log10 of power, {DECADES} decades below the window's loudest point, 0 to 1",
    "quietest": QUIETEST,
    "window_samples": WINDOW,
    "longer": "consecutive windows, the last moved back to be full; mean of their unit vectors",
    "shorter": "repeated to fill the window",
    "shortest_samples": SPAN,
}


def windows(samples: Samples) -> npt.NDArray[np.float32]:
    """Cut into ``(windows, WINDOW)``: the last one is moved back to be full, a shorter sound is repeated.

    A sound is never filled up with silence, which the tower would hear as part of it. Raises BadInput
    ``limit/AUD_TOO_SHORT`` for less than one moment.
    """
    count = len(samples)
    if count < SPAN:
        raise BadInput(
            Status.LIMIT, "AUD_TOO_SHORT", f"{count / RATE:.4f} seconds; at least {SPAN / RATE} are needed"
        )
    if count <= WINDOW:
        return np.resize(samples, (1, WINDOW))
    starts = [*range(0, count - WINDOW, WINDOW), count - WINDOW]
    return np.stack([samples[start : start + WINDOW] for start in starts])


def levels(window: Samples) -> npt.NDArray[np.float32]:
    """Loudness of each band at each moment, ``(BANDS, FRAMES)`` from 0 to 1.

    1 is the loudest point of this window and 0 is 60 dB below it, so that a recording turned up or down looks
    the same. Moment *i* is centred on sample ``480 i + 240``.
    """
    margin = (SPAN - HOP) // 2
    padded = np.pad(window.astype(np.float64), margin)
    moments = np.lib.stride_tricks.sliding_window_view(padded, SPAN)[::HOP]
    hann = np.hanning(SPAN + 1)[:-1]
    power = np.abs(np.fft.rfft(moments * hann, BINS)) ** 2 / hann.sum() ** 2
    # not a matrix product, whose threads would wait for each other where sounds are prepared in threads
    bands = np.einsum("bf,mf->bm", _triangles(), power)
    top = max(float(bands.max()), QUIETEST)
    relative = np.log10(np.maximum(bands / top, 10.0**-DECADES)) / DECADES + 1
    return np.asarray(relative, np.float32)


@functools.cache
def _triangles() -> npt.NDArray[np.float64]:
    """Filters ``(BANDS, BINS // 2 + 1)``, evenly spaced in mel (O'Shaughnessy 1987)."""
    highest = 2595 * np.log10(1 + RATE / 2 / 700)
    edges = 700 * (10 ** (np.linspace(0, highest, BANDS + 2) / 2595) - 1)
    frequencies = np.fft.rfftfreq(BINS, 1 / RATE)
    low, centre, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    rising = (frequencies - low) / (centre - low)
    falling = (high - frequencies) / (high - centre)
    return np.asarray(np.maximum(0, np.minimum(rising, falling)))

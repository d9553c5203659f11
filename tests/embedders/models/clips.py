"""Sounds of many lengths and kinds, and parameters that no test can confuse with their initial values."""

from __future__ import annotations

from typing import Any

import numpy as np

from embedders import Waveform

# the shortest that gives a frame, one sample on either side of a second frame, and up to half a second
LENGTHS = (400, 719, 720, 1600, 8000, 401, 3000, 5555, 4000)


def clips(lengths: tuple[int, ...] = LENGTHS, rate: int = 16_000) -> list[Waveform]:
    """Noise, tones and a constant offset, no two alike."""
    rng = np.random.default_rng(7)
    found = []
    for position, length in enumerate(lengths):
        time = np.arange(length) / rate
        tone = np.sin(2 * np.pi * (100 + 173 * position) * time) * (position % 3)
        noise = rng.normal(0, 0.05 + 0.1 * (position % 2), length)
        found.append(Waveform((0.2 * tone + noise + 0.1 * (position % 4)).astype(np.float32), rate))
    return found


def perturb(module: Any, seed: int = 0) -> Any:
    """Every gain, bias and statistic away from 1 and 0, so that none of them can be forgotten unseen."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            spread = 0.2 * (0.5 + parameter.float().std(correction=0))
            parameter.add_(spread * torch.randn(parameter.shape, generator=generator))
        for buffer in module.buffers():
            if buffer.is_floating_point():
                buffer.add_(0.3 * torch.rand(buffer.shape, generator=generator))
    return module.eval()

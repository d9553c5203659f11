"""What this machine offers: cores, a place for what can be made again, and a measure of its half precision."""

from __future__ import annotations

import functools
import importlib.util
import os
import time
from pathlib import Path

__all__ = ["cache_folder", "cores", "has_openvino", "prefers_half"]

SIDE = 1024
"""Rows of the probe's matrices: two milliseconds of work for a good core, and too large for its nearest cache."""

GAIN = 1.3
"""How many times faster halves must be. Units for them bring a factor of 2 to 8, emulation one far below 1."""


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def cache_folder() -> Path:
    """Where converted networks lie: ``EMBED_CACHE``, or a folder of ours in the user's cache. May be deleted."""
    given = os.environ.get("EMBED_CACHE")
    if given:
        return Path(given)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "multimodal-embedders"


def has_openvino() -> bool:
    """Whether OpenVINO is installed; it is not imported."""
    return importlib.util.find_spec("openvino") is not None


@functools.cache
def prefers_half(device: str) -> bool:
    """Whether products of bfloat16 matrices are clearly faster on this device than those of float32, by measure.

    No list of processors is asked: a name says nothing of what a virtual machine passes on, and where bfloat16 is
    emulated it is a hundred times slower. Takes about ten milliseconds, once per process.
    """
    import torch

    if device.startswith("mps"):
        return False
    try:
        seconds = {dtype: _product_seconds(device, dtype) for dtype in (torch.float32, torch.bfloat16)}
    except RuntimeError:  # a device without such products
        return False
    return seconds[torch.float32] > GAIN * seconds[torch.bfloat16]


def _product_seconds(device: str, dtype: object) -> float:
    import torch

    given = torch.ones(SIDE, SIDE, dtype=torch.float32, device=device).to(dtype)  # type: ignore[call-overload]  # a dtype
    best = float("inf")
    with torch.inference_mode():
        for _ in range(4):  # the first call pays for kernels
            began = time.perf_counter()
            (given @ given)[0, 0].item()  # waits for the device
            best = min(best, time.perf_counter() - began)
    return best

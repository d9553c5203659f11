"""JPEG without the detour over Pillow's memory: the same pixels for less, or smaller ones for less yet.

Pillow keeps four bytes a pixel and gives them away through two more copies; simplejpeg writes them where they are
wanted. It runs the same library with the same settings, so that whatever it reads without complaint has Pillow's
pixels, bit for bit; at the least complaint the file is Pillow's, which decides whether it is damaged and how.
"""

from __future__ import annotations

import numpy as np

from embedders.modality import Pixels

__all__ = ["jpeg_pixels"]

MODES = frozenset({"RGB", "L"})
"""Pillow's modes of what is decoded here; CMYK is inverted or not depending on who wrote it, which Pillow knows."""

FACTORS = (8, 4, 2)
"""What the inverse cosine transform can divide both sides by, each for less work than the one before it."""


def jpeg_pixels(content: bytes, size: tuple[int, int], mode: str, at_least: int | None) -> Pixels | None:
    """RGB pixels as they lie in the file, ``(height, width, 3)`` uint8; None where Pillow has to read it.

    ``size`` (width, height) and ``mode`` are what Pillow read from the header. With ``at_least`` both sides are
    divided by the largest factor that leaves the shorter one that many pixels, rounded up.
    """
    if mode not in MODES:
        return None
    import simplejpeg

    factor = next((f for f in FACTORS if at_least is not None and -(-min(size) // f) >= at_least), 1)
    shape = (-(-size[1] // factor), -(-size[0] // factor), 3)
    room = np.empty(shape, np.uint8)
    try:
        # the room is as large as the header promised: a file that turns out larger is refused
        pixels: Pixels = simplejpeg.decode_jpeg(
            content, min_height=shape[0], min_width=shape[1], min_factor=factor, buffer=room
        )
    except ValueError:
        return None
    return pixels if pixels.shape == shape else None

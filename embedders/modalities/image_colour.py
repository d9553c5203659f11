"""From any Pillow mode to RGB in 8 bits, and upright: the colour half of the image policy."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from embedders.errors import BadInput, Status
from embedders.modalities.image_header import orientation
from embedders.modality import Pixels

if TYPE_CHECKING:
    import PIL.Image

__all__ = ["rgb", "upright"]

WITH_ALPHA = frozenset({"RGBA", "LA", "PA", "RGBa", "La"})
WITH_KEY = frozenset({"1", "L", "P", "RGB"})
BITS_PER_SAMPLE = 258
PHOTOMETRIC = 262


STRIP = 1 << 20
"""Pixels taken out of Pillow at a time, which copies them twice on the way: so few stay in the cache."""

TURNS: dict[int, Callable[[npt.NDArray[Any]], npt.NDArray[Any]]] = {
    2: lambda cells: cells[:, ::-1],
    3: lambda cells: cells[::-1, ::-1],
    4: lambda cells: cells[::-1],
    5: lambda cells: cells.T,
    6: lambda cells: cells.T[:, ::-1],
    7: lambda cells: cells[::-1, ::-1].T,
    8: lambda cells: cells.T[::-1],
}
"""By EXIF orientation."""


def upright(pixels: Pixels, exif: Any) -> Pixels:
    """Pixels turned as an EXIF block says, C-contiguous; anything but bytes is no block."""
    turn = TURNS.get(orientation(exif)) if isinstance(exif, bytes) else None
    if turn is None:
        return pixels
    # as cells of three bytes: numpy copies single bytes several times slower
    turned = np.ascontiguousarray(turn(pixels.view("V3")[..., 0]))
    return turned.view(np.uint8).reshape(*turned.shape, 3)


def rgb(picture: PIL.Image.Image) -> Pixels:
    """Pixels of a loaded picture as they lie in the file: ``(height, width, 3)`` uint8, C-contiguous and writable.

    Raises BadInput ``invalid/IMG_NONFINITE`` for float pixels that are no numbers.
    """
    coloured = _rgb(picture)
    width, height = coloured.size
    pixels = np.empty((height, width, 3), np.uint8)
    rows = max(1, STRIP // width)
    for top in range(0, height, rows):
        strip = coloured if rows >= height else coloured.crop((0, top, width, min(top + rows, height)))
        pixels[top : top + rows] = np.asarray(strip)
    return pixels


def _rgb(picture: PIL.Image.Image) -> PIL.Image.Image:
    import PIL.Image

    mode = picture.mode
    if mode in ("I", "F") or mode.startswith("I;16"):
        return PIL.Image.fromarray(_grey(picture)).convert("RGB")
    if mode == "La":
        picture = picture.convert("LA")
    if mode in WITH_ALPHA or (mode in WITH_KEY and "transparency" in picture.info):
        colours = picture.convert("RGBA")
        white = PIL.Image.new("RGB", colours.size, "white")
        white.paste(colours, mask=colours)
        return white
    return picture if mode == "RGB" else picture.convert("RGB")


def _grey(picture: PIL.Image.Image) -> npt.NDArray[np.uint8]:
    """Grey levels of more than 8 bits, scaled to 0..255 and rounded; clipping would turn them white."""
    fields: Any = getattr(picture, "tag_v2", {})
    values = np.asarray(picture)
    if picture.mode == "F":
        grey = _scaled_float(values)
    elif picture.mode == "I":
        grey = _stretched(values)
    else:
        top = 4095 if fields.get(BITS_PER_SAMPLE) == (12,) else 65535
        levels = np.arange(65536).clip(max=top)
        grey = ((levels * 255 + top // 2) // top).astype(np.uint8)[values]
    if fields.get(PHOTOMETRIC) == 0:  # zero is white, which Pillow heeds up to 8 bits only
        grey = 255 - grey
    key = picture.info.get("transparency")
    if isinstance(key, int):
        grey[values == key] = 255
    return grey


def _scaled_float(values: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    low, high = values.min(), values.max()
    if not (np.isfinite(low) and np.isfinite(high)):
        raise BadInput(Status.INVALID, "IMG_NONFINITE", "the picture has NaN or infinite pixels")
    if low >= 0 and high <= 1:
        return np.asarray(np.floor(values * 255.0 + 0.5), np.uint8)
    return _stretched(values)


def _stretched(values: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    exact = values.astype(np.float64)
    low, high = exact.min(), exact.max()
    if low == high:
        return np.zeros(values.shape, np.uint8)
    return np.asarray(np.floor((exact - low) / (high - low) * 255 + 0.5), np.uint8)

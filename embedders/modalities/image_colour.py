"""From any Pillow mode to upright RGB in 8 bits: the colour half of the image policy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from embedders.errors import BadInput, Status
from embedders.modalities.image_header import orientation
from embedders.modality import Pixels

if TYPE_CHECKING:
    import PIL.Image

__all__ = ["upright_rgb"]

WITH_ALPHA = frozenset({"RGBA", "LA", "PA", "RGBa", "La"})
WITH_KEY = frozenset({"1", "L", "P", "RGB"})
BITS_PER_SAMPLE = 258
PHOTOMETRIC = 262


def upright_rgb(picture: PIL.Image.Image) -> Pixels:
    """Pixels of a loaded picture, turned as its EXIF block says: ``(height, width, 3)`` uint8, C-contiguous.

    Raises BadInput ``invalid/IMG_NONFINITE`` for float pixels that are no numbers.
    """
    import PIL.Image

    turn = {
        2: PIL.Image.Transpose.FLIP_LEFT_RIGHT,
        3: PIL.Image.Transpose.ROTATE_180,
        4: PIL.Image.Transpose.FLIP_TOP_BOTTOM,
        5: PIL.Image.Transpose.TRANSPOSE,
        6: PIL.Image.Transpose.ROTATE_270,
        7: PIL.Image.Transpose.TRANSVERSE,
        8: PIL.Image.Transpose.ROTATE_90,
    }
    rgb = _rgb(picture)
    exif = picture.info.get("exif")
    method = turn.get(orientation(exif)) if isinstance(exif, bytes) else None
    # np.array copies: a view of Pillow's memory would be read-only, which torch warns about
    return np.array(rgb if method is None else rgb.transpose(method))


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

"""``image.colourhist``: how much of a picture has which colour."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from embedders.base import BaseEmbedder, EmbedderSpec, Forward, Vectors
from embedders.errors import UsageError, nearest
from embedders.modality import Pixels

if TYPE_CHECKING:
    from embedders.runtime import Runtime

__all__ = ["ColourHist"]

COLOURS = ("hsv", "rgb")
BLOCK = 1 << 20
"""Pixels counted at once."""


class ColourHist(BaseEmbedder):
    """A joint histogram of three channels: ``bins ** 3`` shares of the picture's area, which add up to 1.

    ``colours`` is ``"hsv"`` (hue, saturation and value, as Pillow converts them) or ``"rgb"``. Each channel's 256
    levels are cut into ``bins`` of ``256 / bins`` levels; the number at ``(bins * a + b) * bins + c`` is of the
    bins a, b, c of the first, second and third channel. Where things are does not matter, nor how large the picture
    is.
    """

    kind: ClassVar[str] = "encoding"
    libraries: ClassVar[tuple[str, ...]] = ("pillow",)

    def __init__(self, *, colours: str = "hsv", bins: int = 8) -> None:
        if colours not in COLOURS:
            raise UsageError(f"There are no colours {colours!r}", nearest(str(colours), COLOURS))
        if not isinstance(bins, int) or isinstance(bins, bool) or bins not in (2, 4, 8, 16, 32):
            raise UsageError(f"bins is {bins!r}; 2, 4, 8, 16 and 32 cut 256 levels into equal ones")
        self._colours, self._bins = colours, bins

    @property
    def spec(self) -> EmbedderSpec:
        """One space per kind of colours and number of bins."""
        details = {"colours": self._colours, "bins": [self._bins] * 3, "levels": 256, "sum": 1}
        space = f"colourhist:{self._colours}/bins={self._bins}"
        return EmbedderSpec("image", space, self._bins**3, False, details)

    def prepare(self, media: Pixels) -> Vectors:
        """The vector itself, ``(dim,)``."""
        import PIL.Image

        rows = max(1, BLOCK // media.shape[1])
        counts = np.zeros(self._bins**3, np.int64)
        for top in range(0, len(media), rows):
            block = media[top : top + rows]
            if self._colours == "hsv":
                block = np.asarray(PIL.Image.fromarray(block).convert("HSV"))
            place = block.reshape(-1, 3) // (256 // self._bins) @ np.array([self._bins**2, self._bins, 1])
            counts += np.bincount(place, minlength=len(counts))
        return np.asarray(counts / counts.sum(), np.float32)

    def collate(self, samples: Sequence[Vectors]) -> Vectors:
        """The vectors under one another."""
        return np.stack(samples)

    def load(self, runtime: Runtime) -> Forward:
        """Nothing is left to be done."""
        return lambda batch: batch

    def examples(self) -> list[Pixels]:
        """One colour, two colours, and a ramp."""
        red = np.full((4, 6, 3), (200, 10, 10), np.uint8)
        flag = np.concatenate([red, np.full((4, 3, 3), (10, 10, 200), np.uint8)], axis=1)
        ramp = np.repeat(np.arange(256, dtype=np.uint8), 3).reshape(16, 16, 3)
        return [red, flag, ramp]

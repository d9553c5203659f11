"""From a decoded picture to what a vision model reads, bitwise as the model's own library does it.

The work is cut where memory is smallest: :meth:`Preprocess.frame` resizes and crops in uint8 on the CPU, and
:meth:`Preprocess.normalise` makes floats of a whole batch on the device, with the operations of torchvision's
``to_tensor`` and ``normalize`` in their order. A sample is a quarter of the float tensor that upstream's transform
would hand over.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from embedders.modality import Pixels

if TYPE_CHECKING:
    import torch

__all__ = ["Preprocess", "example_pictures"]

SUPPORT = {"bilinear": 1.0, "bicubic": 2.0}
"""Reach of Pillow's filters to each side, in pixels of the coarser of source and result."""

LONG = 200
"""Above this ratio of the sides only the part that the crop keeps is resized, within one grey level of resizing the
whole: a picture of 1 x 5000 pixels would otherwise become one of 224 x 1120000. Up to it, the whole takes 40 MB."""


@dataclass(frozen=True)
class Preprocess:
    """How a picture becomes the input of one model.

    ``size`` is the model's input, ``(height, width)``. ``resize_mode`` is ``shortest`` (keep the proportions, the
    shorter side becomes ``shorter`` pixels, crop the centre), ``longest`` (keep them, fit inside ``size``, fill the
    rest with the grey level ``fill``) or ``squash`` (resize to ``size``, whatever the proportions).
    """

    size: tuple[int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    interpolation: str = "bicubic"
    resize_mode: str = "shortest"
    shorter: int | None = None
    fill: int = 0

    @property
    def details(self) -> dict[str, Any]:
        """Plain JSON values for the fingerprint."""
        return {**asdict(self), "size": list(self.size), "mean": list(self.mean), "std": list(self.std)}

    @property
    def side(self) -> int:
        """The pixels that the shorter side of a picture is reduced to at most, whatever its proportions."""
        square = self.size[0] == self.size[1]
        return self.shorter if self.shorter and square and self.resize_mode == "shortest" else max(self.size)

    def frame(self, media: Pixels, fast: bool = False) -> Pixels:
        """Resize and crop with Pillow's antialiased filters: any ``(h, w, 3)`` becomes ``(*size, 3)`` uint8.

        ``fast`` resizes by torch, which has the same filters with weights of 16 bits: at least four times as fast
        on a CPU with AVX2, and no more than two grey levels from Pillow; on average 0.2 at worst (noise, squashed)
        and 0.003 over pictures like photographs.
        """
        from PIL import Image

        height, width = media.shape[:2]
        resized = self.resized(height, width)
        method = Image.Resampling[self.interpolation.upper()]
        if self.resize_mode == "shortest" and max(height, width) > LONG * min(height, width):
            return self._framed_part(media, resized, method)
        if resized == (height, width):
            return self._centred(media)
        if fast:
            return self._centred(_resized_fast(media, resized, self.interpolation))
        return self._centred(np.asarray(Image.fromarray(media).resize((resized[1], resized[0]), method)))

    def resized(self, height: int, width: int) -> tuple[int, int]:
        """Height and width of the whole picture after resizing, before cropping or filling.

        Two roundings are in use upstream: torchvision cuts the longer side to whole pixels, while open_clip, for
        ``longest`` and for inputs that are not square, rounds both.
        """
        if self.resize_mode == "squash":
            return self.size
        if self.resize_mode == "shortest" and self.size[0] == self.size[1]:
            shorter = self.shorter or self.size[0]
            longer = int(shorter * max(height, width) / min(height, width))
            return (longer, shorter) if width <= height else (shorter, longer)
        ratios = (height / self.size[0], width / self.size[1])
        ratio = max(ratios) if self.resize_mode == "longest" else min(ratios)
        return max(1, round(height / ratio)), max(1, round(width / ratio))

    def normalise(self, batch: torch.Tensor) -> torch.Tensor:
        """``(n, height, width, 3)`` uint8 becomes ``(n, 3, height, width)`` float32 on the same device."""
        import torch

        # divisors are tensors on the device: CUDA multiplies by the reciprocal of a Python number, one bit off
        full, mean, std = (
            torch.tensor(values, dtype=torch.float32, device=batch.device).view(1, -1, 1, 1)
            for values in ([255.0], self.mean, self.std)
        )
        return batch.permute(0, 3, 1, 2).contiguous().float().div_(full).sub_(mean).div_(std)

    @staticmethod
    def collate(samples: Sequence[Pixels]) -> torch.Tensor:
        """Framed pictures as one ``(n, height, width, 3)`` uint8 tensor on the CPU."""
        import torch

        return torch.from_numpy(np.stack(samples))

    def _centred(self, picture: Pixels) -> Pixels:
        """The centre of a picture, filled up to ``size`` where it is smaller."""
        (top, high), (left, wide) = (_centre(*sides) for sides in zip(picture.shape[:2], self.size, strict=True))
        part = picture[max(top, 0) : max(top, 0) + high, max(left, 0) : max(left, 0) + wide]
        if part.shape[:2] == self.size:
            return np.array(part)  # never the media itself, nor all of what was resized
        framed = np.full((*self.size, 3), self.fill, np.uint8)
        above, before = max(-top, 0), max(-left, 0)
        framed[above : above + part.shape[0], before : before + part.shape[1]] = part
        return framed

    def _framed_part(self, media: Pixels, resized: tuple[int, int], method: Any) -> Pixels:
        """The same pixels as resizing all and cropping, from the part of the source that they depend on."""
        from PIL import Image

        slices, box = [], []
        for length, target, kept in zip(media.shape[:2], resized, self.size, strict=True):
            scale = length / target
            start, count = _centre(target, kept)
            first, last = start * scale, (start + count) * scale
            reach = SUPPORT[self.interpolation] * max(scale, 1.0) + 1
            # Pillow takes the box in single precision: near the origin that costs nothing
            origin = max(0, math.floor(first - reach))
            slices.append(slice(origin, min(length, math.ceil(last + reach))))
            box.append((first - origin, last - origin))
        picture = Image.fromarray(np.ascontiguousarray(media[slices[0], slices[1]]))
        (top, bottom), (left, right) = box
        framed = picture.resize((self.size[1], self.size[0]), method, box=(left, top, right, bottom))
        return np.asarray(framed)


def _resized_fast(media: Pixels, size: tuple[int, int], interpolation: str) -> Pixels:
    import torch

    # torch warns of memory that it may not write to
    writable = media if media.flags.writeable else media.copy()
    picture = torch.from_numpy(writable).permute(2, 0, 1)[None]
    steps = [size]
    (height, width), (high, wide) = media.shape[:2], size
    if height > high and height - high > 2 * (width - wide):
        # where Pillow 13 does so too: rounded in between, the order of the directions shows
        steps.insert(0, (high, width))
    for step in steps:
        picture = torch.nn.functional.interpolate(picture, step, mode=interpolation, antialias=True)
    return np.asarray(picture[0].permute(1, 2, 0).numpy(), np.uint8)


def _centre(length: int, kept: int) -> tuple[int, int]:
    """First pixel and number of the ``kept`` middle ones of ``length``; a negative first one has to be filled."""
    if kept > length:
        return -((kept - length) // 2), length
    return round((length - kept) / 2.0), kept


def example_pictures() -> list[Pixels]:
    """Three small pictures of different size and content: a ramp, a chequered cloth, coloured noise."""
    ramp = np.zeros((40, 64, 3), np.uint8)
    ramp[..., 0] = np.arange(64) * 4
    ramp[..., 2] = 255 - np.arange(40)[:, None] * 6
    rows, columns = np.mgrid[:96, :48] // 8
    colours = np.array([[230, 200, 40], [20, 60, 160]], np.uint8)
    noise = np.random.default_rng(0).integers(0, 256, (17, 17, 3), np.uint8)
    return [ramp, colours[(rows + columns) % 2], noise]

"""Preprocessing as timm and transformers do it, where that differs from torchvision and open_clip.

Both bring a picture to one size and cut another out of its middle, whatever the way of resizing; and transformers
begins that cut one pixel earlier than torchvision where what is left over is odd.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from embedders.errors import SetupError
from embedders.modality import Pixels
from embedders.models.pixels import Preprocess

__all__ = ["Framing", "of_timm", "of_transformers"]

INTERPOLATIONS = {2: "bilinear", 3: "bicubic"}
"""Pillow's numbers, which transformers writes down."""

CROP_MODES = {"center": "shortest", "border": "longest", "squash": "squash"}
"""timm's words for how a picture is resized, and ours."""


@dataclass(frozen=True)
class Framing(Preprocess):
    """A picture is resized to ``scaled``, and ``size`` is cut out of its middle.

    ``scaled`` is ``(height, width)``: what the picture is to cover (``shortest``), fit into (``longest``) or become
    (``squash``). With ``rounds_down`` an odd rest leaves one pixel more behind the cut than
    before it.
    """

    scaled: tuple[int, int] = (0, 0)
    rounds_down: bool = False

    @property
    def details(self) -> dict[str, Any]:
        """Plain JSON values for the fingerprint."""
        return {**super().details, "scaled": list(self.scaled)}

    @property
    def side(self) -> int:
        """The pixels that the shorter side of a picture is reduced to at most, whatever its proportions."""
        return max(self.scaled)

    def resized(self, height: int, width: int) -> tuple[int, int]:
        """Height and width of the whole picture after resizing, before cropping or filling."""
        whole = Preprocess(self.scaled, self.mean, self.std, resize_mode=self.resize_mode)
        return whole.resized(height, width)

    def frame(self, media: Pixels, fast: bool = False) -> Pixels:
        """Any ``(h, w, 3)`` becomes ``(*size, 3)`` uint8; ``fast`` as in :class:`Preprocess`."""
        resized = self.resized(*media.shape[:2])
        odd = [(length - kept) % 2 for length, kept in zip(resized, self.size, strict=True)]
        if not self.rounds_down or not any(odd):
            return super().frame(media, fast)
        height, width = self.size
        # a cut of one pixel more leaves an even rest, and begins where the rounded down one does
        larger = replace(self, size=(height + odd[0], width + odd[1]), rounds_down=False)
        return np.array(larger.frame(media, fast)[:height, :width])


def of_timm(config: Mapping[str, Any]) -> Framing:
    """What timm's ``create_transform`` does for evaluation, from what its ``resolve_data_config`` gives.

    Raises SetupError for other than three channels and for filters other than bilinear and bicubic.
    """
    channels, height, width = config["input_size"]
    mode, interpolation = CROP_MODES.get(config["crop_mode"], "shortest"), config["interpolation"]
    if channels != 3 or interpolation not in INTERPOLATIONS.values():
        raise SetupError(
            f"The model wants pictures of {channels} channels, resized {interpolation}",
            "3 channels, bilinear and bicubic are supported",
        )
    share = config["crop_pct"]
    fill = {round(255 * value) for value in config["mean"]} if mode == "longest" else {0}
    if len(fill) > 1:
        raise SetupError(f"The model wants borders in the colour {config['mean']}", "Only grey ones are supported")
    return Framing(
        (height, width),
        tuple(config["mean"]),
        tuple(config["std"]),
        interpolation,
        mode,
        fill=fill.pop(),
        scaled=(int(height / share), int(width / share)),
    )


def of_transformers(settings: Mapping[str, Any]) -> Framing:
    """What an image processor of transformers does, with Pillow, from its ``preprocessor_config.json``.

    Raises SetupError for settings under which pictures would keep different sizes, be padded or not be scaled.
    """
    size, crop = _sides(settings.get("size")), _sides(settings.get("crop_size"))
    crop = crop if settings.get("do_center_crop") else size if len(size) == 2 else ()
    scaled = size * 2 if len(size) == 1 else size
    interpolation = INTERPOLATIONS.get(int(settings.get("resample", 3)))
    known = settings.get("do_resize", True) and len(scaled) == 2 and len(crop or ()) == 2 and interpolation
    known = known and settings.get("do_rescale", True)
    known = known and abs(255 * float(settings.get("rescale_factor", 1 / 255)) - 1) < 1e-6
    if not known or any(kept > whole for kept, whole in zip(crop, scaled, strict=True)):
        shown = {name: settings.get(name) for name in ("size", "crop_size", "do_center_crop", "resample")}
        raise SetupError(
            f"The preprocessing {shown} is not supported",
            "It is with pictures resized to a shorter side (shortest_edge) or to height and width, bilinear or "
            "bicubic, and a centre not larger than that",
        )
    plain = not settings.get("do_normalize", True)
    mean, std = ((0.0,) * 3, (1.0,) * 3) if plain else (settings["image_mean"], settings["image_std"])
    return Framing(
        (crop[0], crop[1]),
        tuple(mean),
        tuple(std),
        str(interpolation),
        "shortest" if len(size) == 1 else "squash",
        scaled=(scaled[0], scaled[1]),
        rounds_down=True,
    )


def _sides(size: Any) -> tuple[int, ...]:
    """One number for the shorter side, two for height and width, none for anything else."""
    if isinstance(size, int):
        return (size,)
    size = size or {}
    if size.get("height") and size.get("width"):
        return (int(size["height"]), int(size["width"]))
    return (int(size["shortest_edge"]),) if size.get("shortest_edge") and not size.get("longest_edge") else ()

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image

from embedders.models import clip_towers
from embedders.models.pixels import Preprocess
from tests.embedders.models.tiny_clip import SIDES, noise


@pytest.mark.parametrize("resize_mode", ["shortest", "squash", "longest"])
@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
@pytest.mark.parametrize("size", [32, (24, 40)])
def test_the_input_of_the_tower_is_bitwise_upstreams(resize_mode: str, interpolation: str, size: Any) -> None:
    given = {"resize_mode": resize_mode, "interpolation": interpolation, "fill_color": 7}
    transform = image_transform_v2(PreprocessCfg(size=size, **given), is_train=False)
    ours = clip_towers._preprocess({"vision_cfg": {"image_size": size}}, given)
    for sides in SIDES:
        picture = noise(*sides)
        found = ours.normalise(ours.collate([ours.frame(picture)]))[0]
        assert torch.equal(found, transform(Image.fromarray(picture))), sides


@pytest.mark.parametrize("sides", [(3, 400), (400, 3), (1, 5000), (33, 320)])
def test_of_a_very_long_picture_the_part_is_resized_as_the_whole_would_be(sides: tuple[int, int]) -> None:
    ours, picture = Preprocess((32, 32), (0.0,) * 3, (1.0,) * 3), noise(*sides)
    height, width = ours.resized(*sides)
    whole = np.asarray(Image.fromarray(picture).resize((width, height), Image.Resampling.BICUBIC)).astype(int)
    top, left = round((height - 32) / 2), round((width - 32) / 2)
    assert np.abs(ours.frame(picture) - whole[top : top + 32, left : left + 32]).max() <= 1

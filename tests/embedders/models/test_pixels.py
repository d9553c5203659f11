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


@pytest.mark.parametrize("resize_mode", ["shortest", "squash", "longest"])
@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
@pytest.mark.parametrize("size", [(64, 64), (32, 48)])
def test_a_fast_frame_is_within_two_levels_of_pillows(resize_mode: str, interpolation: str, size: Any) -> None:
    ours = Preprocess(size, (0.0,) * 3, (1.0,) * 3, interpolation, resize_mode, fill=9)
    for sides in [*SIDES, (300, 200), (200, 300), (400, 90), (90, 400), (5, 7), (64, 64), (64, 200), (1, 1)]:
        off = np.abs(ours.frame(noise(*sides), fast=True).astype(int) - ours.frame(noise(*sides)))
        assert off.max() <= 2, sides
        assert off.mean() < 0.2, sides


def test_a_photograph_framed_fast_is_hardly_off() -> None:
    soft = Image.fromarray(noise(9, 12)).resize((400, 300), Image.Resampling.BICUBIC)
    ours = Preprocess((224, 224), (0.0,) * 3, (1.0,) * 3)
    off = np.abs(ours.frame(np.asarray(soft), fast=True).astype(int) - ours.frame(np.asarray(soft)))
    assert off.max() <= 1
    assert off.mean() < 0.02


def test_pixels_that_may_not_be_written_are_framed_fast_without_a_warning() -> None:
    picture = noise(70, 90)
    picture.flags.writeable = False
    ours = Preprocess((32, 32), (0.0,) * 3, (1.0,) * 3)
    assert np.array_equal(ours.frame(picture, fast=True), ours.frame(noise(70, 90), fast=True))


@pytest.mark.parametrize("fast", [False, True])
def test_a_picture_that_fits_already_is_copied(fast: bool) -> None:
    picture = noise(32, 32)
    found = Preprocess((32, 32), (0.0,) * 3, (1.0,) * 3).frame(picture, fast)
    assert np.array_equal(found, picture)
    assert not np.shares_memory(found, picture)


@pytest.mark.parametrize(
    ("size", "mode", "shorter", "side"),
    [
        ((224, 224), "shortest", 232, 232),
        ((224, 224), "shortest", None, 224),
        ((224, 224), "squash", 256, 224),
        ((32, 48), "shortest", None, 48),
        ((48, 32), "longest", None, 48),
    ],
)
def test_no_picture_is_reduced_to_a_longer_shorter_side(
    size: tuple[int, int], mode: str, shorter: int | None, side: int
) -> None:
    ours = Preprocess(size, (0.0,) * 3, (1.0,) * 3, resize_mode=mode, shorter=shorter)
    assert ours.side == side
    assert all(min(ours.resized(*sides)) <= side for sides in [(300, 400), (400, 300), (300, 300), (300, 900)])

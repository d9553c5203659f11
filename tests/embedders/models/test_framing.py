"""Pictures against timm's own transform and transformers' own processor, for any size of picture."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import timm.data
import torch
import transformers as library
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from PIL import Image
from torchvision.transforms import functional

from embedders import SetupError
from embedders.modality import Pixels
from embedders.models.framing import Framing, of_timm, of_transformers

upstream: Any = timm.data  # it has no types
transformers: Any = library

SIDES = st.tuples(st.integers(1, 90), st.integers(1, 90)).filter(lambda sides: max(sides) <= 200 * min(sides))
CONFIG: dict[str, Any] = {
    "mean": (0.5, 0.5, 0.5),
    "std": (0.2, 0.3, 0.4),
    "interpolation": "bicubic",
    "crop_pct": 1.0,
}
CONFIGS: dict[str, dict[str, Any]] = {
    "centre": {"input_size": (3, 20, 20), "crop_mode": "center", "crop_pct": 0.875},
    "all of it": {"input_size": (3, 24, 24), "crop_mode": "center", "interpolation": "bilinear"},
    "oblong": {"input_size": (3, 18, 30), "crop_mode": "center", "crop_pct": 0.9},
    "squashed": {"input_size": (3, 20, 20), "crop_mode": "squash", "crop_pct": 0.9},
    "squashed oblong": {"input_size": (3, 30, 18), "crop_mode": "squash", "interpolation": "bilinear"},
    "with a border": {"input_size": (3, 21, 21), "crop_mode": "border"},
    "with a border, cut": {"input_size": (3, 21, 21), "crop_mode": "border", "crop_pct": 0.8},
}
PROCESSOR: dict[str, Any] = {
    "do_resize": True,
    "size": {"shortest_edge": 32},
    "do_center_crop": True,
    "crop_size": {"height": 28, "width": 28},
    "resample": 3,
    "do_rescale": True,
    "rescale_factor": 1 / 255,
    "do_normalize": True,
    "image_mean": [0.485, 0.456, 0.406],
    "image_std": [0.229, 0.224, 0.225],
}


def noise(sides: tuple[int, int]) -> Pixels:
    return np.random.default_rng(sides).integers(0, 256, (*sides, 3), np.uint8)


def read(framing: Framing, picture: Pixels) -> torch.Tensor:
    return framing.normalise(framing.collate([framing.frame(picture)]))[0]


@pytest.mark.parametrize("name", CONFIGS)
@settings(max_examples=60, deadline=None)
@given(sides=SIDES)
def test_the_input_is_bitwise_timms(name: str, sides: tuple[int, int]) -> None:
    config = {**CONFIG, **CONFIGS[name]}
    assume(config["crop_mode"] != "border" or max(sides) <= 20 * min(sides))  # timm fails where a side vanishes
    transform, picture = upstream.create_transform(**config, is_training=False), noise(sides)
    assert torch.equal(read(of_timm(config), picture), transform(Image.fromarray(picture)))


PROCESSORS: dict[str, dict[str, Any]] = {
    "published": PROCESSOR,
    "an odd cut": {**PROCESSOR, "crop_size": {"height": 27, "width": 27}},
    "oblong": {**PROCESSOR, "crop_size": {"height": 30, "width": 21}, "resample": 2},
    "squashed": {**PROCESSOR, "size": {"height": 20, "width": 30}, "do_center_crop": False},
    "squashed and cut": {**PROCESSOR, "size": {"height": 35, "width": 30}},
    "not normalised": {**PROCESSOR, "do_normalize": False},
}


@pytest.mark.parametrize("name", PROCESSORS)
@settings(max_examples=60, deadline=None)
@given(sides=SIDES)
def test_the_input_is_bitwise_that_of_transformers_with_pillow(name: str, sides: tuple[int, int]) -> None:
    processor, picture = transformers.BitImageProcessorPil(**PROCESSORS[name]), noise(sides)
    expected = processor(Image.fromarray(picture), return_tensors="pt").pixel_values[0]
    assert torch.equal(read(of_transformers(PROCESSORS[name]), picture), expected)


def test_transformers_begins_a_cut_elsewhere_than_torchvision() -> None:
    picture = noise((32, 35))  # 7 columns too many: 3 before the cut, where torchvision leaves 4
    ours = of_transformers(PROCESSOR).frame(picture)
    theirs = np.asarray(functional.center_crop(Image.fromarray(picture), [28, 28]))
    assert np.array_equal(ours[:, 1:], theirs[:, :-1])
    assert not np.array_equal(ours, theirs)


def test_of_a_very_long_picture_the_part_is_resized_as_the_whole_would_be() -> None:
    picture = noise((3, 903))
    processor = transformers.BitImageProcessorPil(**{**PROCESSOR, "do_rescale": False, "do_normalize": False})
    expected = processor(Image.fromarray(picture), return_tensors="np").pixel_values[0].transpose(1, 2, 0)
    difference = np.abs(of_transformers(PROCESSOR).frame(picture).astype(int) - expected.astype(int))
    assert difference.max() <= 1


@pytest.mark.parametrize("framing", [of_timm({**CONFIG, **CONFIGS["centre"]}), of_transformers(PROCESSOR)])
def test_torchs_resizing_stays_within_two_grey_levels(framing: Framing) -> None:
    picture = noise((61, 95))
    fast, slow = framing.frame(picture, fast=True).astype(int), framing.frame(picture).astype(int)
    assert np.abs(fast - slow).max() <= 2
    assert not np.array_equal(fast, slow)


def test_the_side_is_what_the_shorter_one_is_reduced_to() -> None:
    framing = of_transformers(PROCESSOR)
    assert framing.side == 32
    assert min(framing.resized(60, 90)) == 32


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"interpolation": "lanczos"}, "lanczos"),
        ({"input_size": (1, 20, 20)}, "1 channels"),
        ({"crop_mode": "border", "mean": (0.1, 0.2, 0.3)}, "borders in the colour"),
    ],
)
def test_what_timm_may_ask_for_and_we_do_not_have_is_refused(changed: dict[str, Any], words: str) -> None:
    with pytest.raises(SetupError, match=words):
        of_timm({**CONFIG, **CONFIGS["centre"], **changed})


@pytest.mark.parametrize(
    "changed",
    [
        {"do_center_crop": False},
        {"do_resize": False},
        {"resample": 1},
        {"do_rescale": False},
        {"rescale_factor": 1 / 127.5},
        {"crop_size": {"height": 40, "width": 40}},
        {"size": {"shortest_edge": 32, "longest_edge": 64}},
    ],
)
def test_a_processor_that_cannot_be_followed_is_refused(changed: dict[str, Any]) -> None:
    with pytest.raises(SetupError, match=r"The preprocessing .* is not supported"):
        of_transformers({**PROCESSOR, **changed})

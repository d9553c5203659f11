"""Pictures show what the scene says, where it says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pipelines.training.scenes import SIDE, Group, scene
from pipelines.training.scenes.chance import Chance
from pipelines.training.scenes.pictures import PAINT, picture
from pipelines.training.scenes.world import BACKGROUNDS, COLOURS, SHAPES, SIZES
from tests.pipelines.training.scenes.made import alone, seen, two


def blobs(mask: np.ndarray) -> int:
    """Connected regions, joined also over corners."""
    from scipy.ndimage import label  # type: ignore[import-untyped]

    return int(label(mask, np.ones((3, 3)))[1])


def painted(shown: np.ndarray, colour: str) -> np.ndarray:
    """Where a picture has a colour, give or take tint and noise."""
    return np.asarray(np.abs(shown.astype(int) - PAINT[colour]).max(axis=2) < 30)


def test_a_picture_is_64_pixels_square_and_8_bit() -> None:
    shown = picture(two(), Chance(0))
    assert shown.shape == (SIDE, SIDE, 3)
    assert shown.dtype == np.uint8


@pytest.mark.parametrize(("relation", "axis"), [("left of", 1), ("above", 0)])
def test_all_of_the_first_group_is_before_all_of_the_second(relation: str, axis: int) -> None:
    first, second = Group("ball", "red", "large", "plain", 3), Group("drum", "blue", "large", "plain", 3)
    for i in range(50):
        shown = picture(two(relation, first, second), Chance(relation, i))
        red, blue = (np.nonzero(painted(shown, colour))[axis] for colour in ("red", "blue"))
        assert min(len(red), len(blue)) > 100
        assert red.max() < blue.min()


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("count", [1, 2, 3])
def test_there_are_as_many_objects_as_counted(shape: str, size: str, count: int) -> None:
    for i in range(5):
        found = alone(Group(shape, "red", size, "plain", count), background="night")
        assert blobs(seen(picture(found, Chance(shape, size, i)))) == count


@pytest.mark.parametrize("shape", SHAPES)
def test_the_smallest_large_object_is_clearly_larger_than_the_largest_small_one(shape: str) -> None:
    def covered(size: str) -> list[int]:
        group = Group(shape, "red", size, "plain", 1)
        return [int(seen(picture(alone(group), Chance(size, i))).sum()) for i in range(20)]

    assert min(covered("large")) > 1.6 * max(covered("small"))


@pytest.mark.parametrize("colour", COLOURS)
@pytest.mark.parametrize("background", BACKGROUNDS)
def test_every_colour_is_itself_on_every_background(colour: str, background: str) -> None:
    group = Group("ball", colour, "large", "plain", 3)
    shown = picture(alone(group, background), Chance(colour, background))
    nearest = [np.abs(shown.astype(int) - paint).sum(axis=2) for paint in PAINT.values()]
    inside = painted(shown, colour)
    assert inside.sum() > 400
    assert (np.argmin(nearest, axis=0)[inside] == COLOURS.index(colour)).mean() > 0.98


@pytest.mark.parametrize("size", SIZES)
def test_stripes_are_darker_bands_of_the_same_colour(size: str) -> None:
    group = Group("ball", "yellow", size, "plain", 1)
    plain, striped = (picture(alone(group, texture=t), Chance(size)) for t in ("plain", "striped"))
    inside = painted(plain, "yellow")
    assert plain[inside][:, 0].min() > 200
    assert 0.25 < (striped[inside][:, 0] < 180).mean() < 0.75


def test_pixels_never_repeat() -> None:
    shown = [picture(alone(), Chance(i)) for i in range(20)]
    assert len({one.tobytes() for one in shown}) == 20
    assert len({seen(one).tobytes() for one in shown}) == 20


def test_every_background_is_rough_in_its_own_way() -> None:
    shown = [picture(alone(), Chance(i)).astype(int) for i in range(2)]
    free = ~(seen(shown[0]) | seen(shown[1]))
    first, second = ((one[free] - one[free].mean(axis=0)).ravel() for one in shown)
    assert min(first.std(), second.std()) > 2
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.1


def test_the_background_moves_nothing() -> None:
    found = scene("train", 0)
    masks = [seen(picture(replace(found, background=tone), Chance(7))) for tone in ("night", "sand", "snow")]
    assert all((mask != masks[0]).mean() < 0.02 for mask in masks)

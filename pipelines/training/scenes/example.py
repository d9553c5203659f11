"""Examples: one scene as a picture, a caption and a sound."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipelines.training.scenes.captions import caption
from pipelines.training.scenes.chance import Chance
from pipelines.training.scenes.pictures import picture
from pipelines.training.scenes.sounds import FAR, NEAR, sound
from pipelines.training.scenes.splits import scene
from pipelines.training.scenes.world import VERSION, Scene

__all__ = ["Example", "example", "examples"]


@dataclass(frozen=True, eq=False)
class Example:
    """A scene and its three renderings.

    ``picture`` is RGB ``uint8 (64, 64, 3)``; ``sound`` is mono ``float32 (46080,)`` at 16 kHz, on the grid of
    16-bit files, so that writing and reading one loses nothing.
    """

    id: str
    scene: Scene
    picture: npt.NDArray[np.uint8]
    caption: str
    sound: npt.NDArray[np.float32]


def example(split: str, number: int, seed: int = 0) -> Example:
    """Example ``number`` of a split: a pure function of its arguments and the generator's version.

    Raises UsageError for an unknown split.
    """
    found = scene(split, number, seed)
    key = (VERSION, split, number, seed)
    return Example(
        id=f"{split}-{seed}-{number:06d}",
        scene=found,
        picture=picture(found, Chance(*key, "picture")),
        caption=caption(found, Chance(*key, "caption"), held_out=split == "template"),
        sound=sound(found, Chance(*key, "sound"), FAR if split == "timbre" else NEAR),
    )


def examples(split: str, count: int, seed: int = 0) -> Iterator[Example]:
    """The first ``count`` examples of a split, one at a time."""
    return (example(split, number, seed) for number in range(count))

"""What there is: shapes, colours, sizes, textures and counts, and scenes of one or two groups of them."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = [
    "BACKGROUNDS",
    "COLOURS",
    "COUNTS",
    "RELATIONS",
    "SHAPES",
    "SIZES",
    "TEXTURES",
    "VERSION",
    "Group",
    "Scene",
]

VERSION = 1
"""Of the generator; it changes with any picture, caption or sound, and stands in whatever was made of them."""

SHAPES = ("bell", "drum", "bird", "siren", "wave", "engine", "ball", "star")
COLOURS = ("red", "orange", "yellow", "green", "cyan", "blue", "purple", "pink")
SIZES = ("small", "large")
TEXTURES = ("plain", "striped")
COUNTS = (1, 2, 3)
RELATIONS = ("left of", "above")
BACKGROUNDS = ("night", "slate", "stone", "sand", "snow")


@dataclass(frozen=True)
class Group:
    """A count of equal objects."""

    shape: str
    colour: str
    size: str
    texture: str
    count: int


@dataclass(frozen=True)
class Scene:
    """One group that is ``alone``, or two of different shapes: the first ``left of`` or ``above`` the second.

    ``background`` is the tone of the picture; neither caption nor sound speaks of it.
    """

    groups: tuple[Group, ...]
    relation: str
    background: str

    def graph(self) -> str:
        """Everything that a caption names; scenes of equal graphs are positives of picture and caption."""
        named = [f"{g.count} {g.size} {g.texture} {g.colour} {g.shape}" for g in self.groups]
        return f" {self.relation} ".join(named)

    def audible(self) -> str:
        """Everything that a sound tells; scenes of equal keys are positives of sound with picture or caption.

        That is shape, size and count of each group in reading order: left before right, upper before lower.
        Which of the two orders it is stays unheard, so ``left of`` and ``above`` sound alike; so do all colours,
        textures and backgrounds.
        """
        return " then ".join(f"{g.count} {g.size} {g.shape}" for g in self.groups)

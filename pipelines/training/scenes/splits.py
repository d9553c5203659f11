"""Splits: which scenes are for training, and which kinds of novelty the others test.

A scene belongs to one split by its graph alone, so no graph is in two splits, whatever is drawn:

================  ==========================================================================================
``train``         seven tenths of the scenes without a held-out combination
``iid``           a tenth of them: new scenes of seen combinations
``template``      another tenth, in caption templates that training never uses
``timbre``        another tenth, with sounds perturbed further than in training
``comp-attr``     some group has a shape and a colour that training never shows together
``comp-audible``  some group has a shape and a count that training never shows together
``comp-pair``     two shapes that training never shows in one scene
================  ==========================================================================================

Scenes with more than one kind of novelty are in no split, so that each tests one thing.
"""

from __future__ import annotations

import hashlib
from functools import cache

from embedders.errors import UsageError, nearest
from pipelines.training.scenes.chance import Chance
from pipelines.training.scenes.world import (
    BACKGROUNDS,
    COLOURS,
    COUNTS,
    RELATIONS,
    SHAPES,
    SIZES,
    TEXTURES,
    VERSION,
    Group,
    Scene,
)

__all__ = ["HELD_COLOURS", "HELD_COUNTS", "HELD_PAIRS", "SPLITS", "scene", "split_of"]

SPLITS = ("train", "iid", "template", "timbre", "comp-attr", "comp-audible", "comp-pair")

# a fifth of each kind, spread so that every shape, colour and count stays frequent in training
HELD_COLOURS = frozenset(
    [(SHAPES[i], COLOURS[i]) for i in range(8)] + [(SHAPES[i], COLOURS[i + 3]) for i in range(5)]
)
# no single ones: without a single drum, training would lack the word "drum", and the split would test that
HELD_COUNTS = frozenset({("bell", 3), ("drum", 2), ("bird", 2), ("engine", 3), ("star", 2)})
HELD_PAIRS = frozenset(
    frozenset((SHAPES[i], SHAPES[j])) for i, j in ((0, 1), (2, 3), (4, 5), (6, 7), (0, 4), (2, 6))
)

ALONE_SHARE = 4  # one scene in so many has a single group


def scene(split: str, number: int, seed: int = 0) -> Scene:
    """Scene ``number`` of a split: a pure function of its arguments and the generator's version.

    Scenes are independent draws, so graphs repeat, those of a single group often. Raises UsageError for an
    unknown split.
    """
    if split not in SPLITS:
        raise UsageError(f"There is no split {split!r}", nearest(split, SPLITS))
    chance = Chance(VERSION, "scene", split, number, seed)
    while True:
        found = _draw(chance)
        if split_of(found) == split:
            return found


def split_of(found: Scene) -> str | None:
    """The split that a scene belongs to; None if it combines several kinds of novelty."""
    novel = []
    if any((g.shape, g.colour) in HELD_COLOURS for g in found.groups):
        novel.append("comp-attr")
    if any((g.shape, g.count) in HELD_COUNTS for g in found.groups):
        novel.append("comp-audible")
    if frozenset(g.shape for g in found.groups) in HELD_PAIRS:
        novel.append("comp-pair")
    if novel:
        return novel[0] if len(novel) == 1 else None
    digest = hashlib.blake2b(found.graph().encode(), digest_size=8).digest()
    return {0: "iid", 1: "template", 2: "timbre"}.get(int.from_bytes(digest, "little") % 10, "train")


def _draw(chance: Chance) -> Scene:
    shape, background = chance.below(8), chance.pick(BACKGROUNDS)
    first = _group(shape, chance.below(96))
    if chance.below(ALONE_SHARE) == 0:
        return Scene((first,), "alone", background)
    other = (shape + 1 + chance.below(7)) % 8
    return Scene((first, _group(other, chance.below(96))), chance.pick(RELATIONS), background)


@cache
def _group(shape: int, rest: int) -> Group:
    rest, colour = divmod(rest, 8)
    rest, size = divmod(rest, 2)
    count, texture = divmod(rest, 2)
    return Group(SHAPES[shape], COLOURS[colour], SIZES[size], TEXTURES[texture], COUNTS[count])

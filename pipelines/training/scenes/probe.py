"""The forced choice: a scene against its neighbour in which one attribute is wrong."""

from __future__ import annotations

from dataclasses import replace

from pipelines.training.scenes.chance import Chance
from pipelines.training.scenes.splits import HELD_COLOURS, HELD_COUNTS
from pipelines.training.scenes.world import COLOURS, COUNTS, SHAPES, SIZES, TEXTURES, VERSION, Group, Scene

__all__ = ["swapped"]

VALUES: dict[str, tuple[object, ...]] = {
    "shape": SHAPES,
    "colour": COLOURS,
    "size": SIZES,
    "texture": TEXTURES,
    "count": COUNTS,
}


def swapped(scene: Scene, rng_seed: int) -> tuple[Scene, str]:
    """The scene with one attribute wrong, and that attribute's name; chance is 50 % of telling which is right.

    Two groups exchange a value that differs between them, or their places (``relation``): both scenes then hold
    the same values, and only who has which tells them apart. A single group gets another value. No swap brings
    a combination held out from training that the scene did not have, which would give the wrong one away.
    """
    chance = Chance(VERSION, "swapped", scene.graph(), rng_seed)
    found = {name: kept for name in VALUES if (kept := [s for s in _swaps(scene, name) if _fair(scene, s)])}
    if len(scene.groups) == 2:
        found["relation"] = [replace(scene, groups=scene.groups[::-1])]
    name = chance.pick(list(found))
    return chance.pick(found[name]), name


def _swaps(scene: Scene, name: str) -> list[Scene]:
    first = scene.groups[0]
    held = getattr(first, name)
    if len(scene.groups) == 1:
        return [replace(scene, groups=(_with(first, name, value),)) for value in VALUES[name] if value != held]
    second = scene.groups[1]
    other = getattr(second, name)
    if other == held:
        return []
    return [replace(scene, groups=(_with(first, name, other), _with(second, name, held)))]


def _with(group: Group, name: str, value: object) -> Group:
    return replace(group, **{name: value})  # type: ignore[arg-type]  # the value is of that attribute's own list


def _fair(scene: Scene, other: Scene) -> bool:
    return _held(other) <= _held(scene)


def _held(scene: Scene) -> set[tuple[str, object]]:
    pairs: set[tuple[str, object]] = {(g.shape, g.colour) for g in scene.groups}
    pairs |= {(g.shape, g.count) for g in scene.groups}
    return pairs & (HELD_COLOURS | HELD_COUNTS)

"""Pictures: 64 x 64 pixels, drawn at four times that size and averaged down."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from pipelines.training.scenes.chance import Chance
from pipelines.training.scenes.stencils import BODY, DETAIL, HALF, RADIUS, STRIPE, WIDTH, stencil
from pipelines.training.scenes.world import Group, Scene

__all__ = ["SIDE", "picture"]

SIDE = 64
"""Width and height of a picture in pixels."""

FINE = 4  # drawn so many times larger
NOISE = 7  # of the pixels, at most, of 255
TINT = 12  # of the channels of an object's colour, at most
TONE = 6  # of the background's
TURN = 0.35  # radians to either side

# in pixels of the picture; three large objects fit beside one another
RADII = {"small": (5.2, 5.9), "large": (8.7, 9.6)}

Colour = tuple[int, int, int]

PAINT: dict[str, Colour] = {
    "red": (215, 35, 35),
    "orange": (245, 135, 25),
    "yellow": (245, 225, 45),
    "green": (45, 165, 55),
    "cyan": (60, 210, 215),
    "blue": (45, 75, 225),
    "purple": (130, 50, 185),
    "pink": (245, 130, 200),
}
TONES: dict[str, Colour] = {
    "night": (20, 20, 26),
    "slate": (72, 78, 88),
    "stone": (128, 126, 122),
    "sand": (198, 188, 168),
    "snow": (236, 236, 240),
}


def picture(scene: Scene, chance: Chance) -> npt.NDArray[np.uint8]:
    """RGB ``uint8 (64, 64, 3)``; chance moves, turns and tints the objects and roughens every pixel.

    Two groups stand in halves of the picture, so that all of the first are left of, or above, all of the second.
    Every object keeps to a cell of its own; none hides another.
    """
    palette = np.zeros((8, 4), np.uint8)
    palette[0, :3] = _tinted(TONES[scene.background], TONE, chance)
    canvas = np.zeros((SIDE * FINE, SIDE * FINE), np.uint8)
    for i, (group, zone) in enumerate(zip(scene.groups, _zones(scene, chance), strict=True)):
        paint = _tinted(PAINT[group.colour], TINT, chance)
        palette[3 * i + BODY, :3] = paint
        palette[3 * i + DETAIL, :3] = [(level + 2 * 255) // 3 for level in paint]
        palette[3 * i + STRIPE, :3] = [level * 2 // 5 for level in paint]
        _draw(canvas, group, 3 * i, zone, chance)
    noise = chance.noise(SIDE * SIDE * 3).reshape(SIDE, SIDE, 3)
    # int16 since levels and noise together leave the range of both
    rough = _shrunk(palette, canvas).astype(np.int16) + noise // (128 // NOISE)
    return rough.clip(0, 255).astype(np.uint8)


def _zones(scene: Scene, chance: Chance) -> list[tuple[float, float, float, float]]:
    """Where each group may stand: left, top, right, bottom in pixels."""
    if len(scene.groups) == 1:
        return [(0, 0, SIDE, SIDE)]
    border = SIDE / 2 + chance.between(-3, 3)
    if scene.relation == "left of":
        return [(0, 0, border, SIDE), (border, 0, SIDE, SIDE)]
    return [(0, 0, SIDE, border), (0, border, SIDE, SIDE)]


def _draw(
    canvas: npt.NDArray[np.uint8],
    group: Group,
    offset: int,
    zone: tuple[float, float, float, float],
    chance: Chance,
) -> None:
    left, top, right, bottom = zone
    width, height = right - left, bottom - top
    wide = width > height or (width == height and chance.below(2) == 0)
    drawn = stencil(group.shape, group.texture)
    if wide:  # cells divide the longer side
        width /= group.count
    else:
        height /= group.count
    for i in range(group.count):
        radius = chance.between(*RADII[group.size])
        x = _within(left + wide * i * width, width, radius, chance)
        y = _within(top + (not wide) * i * height, height, radius, chance)
        _stamp(canvas, drawn, offset, x * FINE, y * FINE, radius * FINE, chance.between(-TURN, TURN))


def _within(low: float, length: float, radius: float, chance: Chance) -> float:
    slack = max(length / 2 - radius, 0.0)
    return low + length / 2 + chance.between(-slack, slack)


def _stamp(
    canvas: npt.NDArray[np.uint8],
    drawn: npt.NDArray[np.uint8],
    offset: int,
    x: float,
    y: float,
    radius: float,
    turn: float,
) -> None:
    """Put a stencil on the canvas, turned and scaled: each pixel looks up where it came from."""
    left, right = max(int(x - radius), 0), min(int(x + radius) + 2, canvas.shape[1])
    top, bottom = max(int(y - radius), 0), min(int(y + radius) + 2, canvas.shape[0])
    across, along = np.float32(RADIUS / radius * math.cos(turn)), np.float32(RADIUS / radius * math.sin(turn))
    dx = np.arange(left, right, dtype=np.float32) - np.float32(x - 0.5)
    dy = (np.arange(top, bottom, dtype=np.float32) - np.float32(y - 0.5))[:, None]
    column = (across * dx + (along * dy + np.float32(HALF))).astype(np.int32)
    row = (across * dy + (np.float32(HALF) - along * dx)).astype(np.int32)
    found = drawn.take(row * WIDTH + column)
    patch = canvas[top:bottom, left:right]
    np.copyto(patch, found + np.uint8(offset), where=found > 0)


def _tinted(colour: Colour, most: int, chance: Chance) -> list[int]:
    return [min(max(level + chance.below(2 * most + 1) - most, 0), 255) for level in colour]


def _shrunk(palette: npt.NDArray[np.uint8], canvas: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Look the canvas up in the palette and average blocks of pixels."""
    from PIL import Image

    # one 4-byte lookup per pixel instead of three of one byte
    painted = palette.view(np.uint32)[:, 0].take(canvas)
    size = (SIDE * FINE, SIDE * FINE)
    fine = Image.frombuffer("RGBX", size, painted.tobytes(), "raw", "RGBX", 0, 1)
    return np.asarray(fine.reduce(FINE))[:, :, :3]

"""Stencils: what each shape looks like, drawn once, large and upright."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from PIL.ImageDraw import ImageDraw

__all__ = ["BODY", "DETAIL", "HALF", "RADIUS", "STRIPE", "WIDTH", "stencil"]

RADIUS = 64
"""Of the circle that every shape fits into, in pixels of a stencil."""
HALF = 96
"""From a stencil's edge to its middle: room for the corners of a square that is turned."""
WIDTH = 2 * HALF

BODY, DETAIL, STRIPE = 1, 2, 3
"""Values of a stencil; 0 is outside."""

BAND = 17  # height of a stripe: more than a pixel and a half of a small object

Point: TypeAlias = tuple[float, float]


@cache
def stencil(shape: str, texture: str) -> npt.NDArray[np.uint8]:
    """A shape's stencil, flattened: ``uint8 (WIDTH * WIDTH,)`` of the values above."""
    from PIL import Image, ImageDraw

    canvas = Image.new("L", (WIDTH, WIDTH))
    DRAWN[shape](ImageDraw.Draw(canvas))
    drawn = np.array(canvas)
    if texture == "striped":
        bands = (np.arange(WIDTH) // BAND % 2 == 0)[:, None]
        drawn[bands & (drawn > 0)] = STRIPE
    drawn.setflags(write=False)
    return drawn.reshape(-1)


def _box(left: float, top: float, right: float, bottom: float) -> tuple[Point, Point]:
    return (_at(left, top), _at(right, bottom))


def _at(x: float, y: float) -> Point:
    """From the unit circle, y down, to pixels."""
    return (HALF + RADIUS * x, HALF + RADIUS * y)


def _polygon(draw: ImageDraw, *points: Point, fill: int = BODY) -> None:
    draw.polygon([_at(*point) for point in points], fill=fill)


def _bell(draw: ImageDraw) -> None:
    draw.ellipse(_box(-0.17, 0.6, 0.17, 0.94), fill=DETAIL)
    draw.ellipse(_box(-0.12, -0.98, 0.12, -0.7), fill=BODY)
    draw.ellipse(_box(-0.46, -0.82, 0.46, 0.3), fill=BODY)
    _polygon(draw, (-0.46, -0.3), (0.46, -0.3), (0.52, 0.25), (0.82, 0.68), (-0.82, 0.68), (-0.52, 0.25))


def _drum(draw: ImageDraw) -> None:
    draw.ellipse(_box(-0.84, 0.15, 0.84, 0.75), fill=BODY)
    draw.rectangle(_box(-0.84, -0.35, 0.84, 0.45), fill=BODY)
    draw.ellipse(_box(-0.84, -0.65, 0.84, -0.05), fill=DETAIL)


def _bird(draw: ImageDraw) -> None:
    draw.ellipse(_box(-0.6, -0.2, 0.4, 0.5), fill=BODY)
    draw.ellipse(_box(0.18, -0.5, 0.68, 0.0), fill=BODY)
    _polygon(draw, (0.6, -0.38), (0.98, -0.2), (0.6, -0.08), fill=DETAIL)
    _polygon(draw, (-0.45, 0.1), (-0.98, -0.12), (-0.9, 0.42))
    _polygon(draw, (-0.5, 0.1), (0.25, 0.1), (0.1, -0.3), (-0.4, -0.9))


def _siren(draw: ImageDraw) -> None:
    _polygon(draw, (-0.6, -0.18), (0.72, -0.68), (0.72, 0.68), (-0.6, 0.18))
    draw.rectangle(_box(-0.92, -0.18, -0.6, 0.18), fill=BODY)
    _polygon(draw, (-0.4, 0.15), (-0.1, 0.15), (0.0, 0.85), (-0.3, 0.85))
    draw.ellipse(_box(0.56, -0.68, 0.88, 0.68), fill=DETAIL)


def _wave(draw: ImageDraw) -> None:
    steps = [i / 48 for i in range(-45, 46)]
    upper = [(x, 0.34 * math.sin(1.6 * math.pi * x) - 0.27) for x in steps]
    lower = [(x, y + 0.54) for x, y in upper]
    _polygon(draw, *upper, *reversed(lower))


def _engine(draw: ImageDraw) -> None:
    teeth = 8
    outline = []
    for i in range(teeth):
        for turn, radius in ((-0.30, 0.68), (-0.20, 0.97), (0.20, 0.97), (0.30, 0.68)):
            angle = 2 * math.pi * (i + turn) / teeth
            outline.append((radius * math.cos(angle), radius * math.sin(angle)))
    _polygon(draw, *outline)
    draw.ellipse(_box(-0.3, -0.3, 0.3, 0.3), fill=0)


def _ball(draw: ImageDraw) -> None:
    draw.ellipse(_box(-0.88, -0.88, 0.88, 0.88), fill=BODY)
    draw.ellipse(_box(-0.55, -0.6, -0.1, -0.15), fill=DETAIL)


def _star(draw: ImageDraw) -> None:
    radii = (1.0, 0.42)
    angles = [math.pi * (i / 5 - 0.5) for i in range(10)]
    _polygon(draw, *((radii[i % 2] * math.cos(a), radii[i % 2] * math.sin(a)) for i, a in enumerate(angles)))


DRAWN: dict[str, Callable[[ImageDraw], None]] = {
    "bell": _bell,
    "drum": _drum,
    "bird": _bird,
    "siren": _siren,
    "wave": _wave,
    "engine": _engine,
    "ball": _ball,
    "star": _star,
}

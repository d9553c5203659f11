"""Sounds: 2.88 seconds in which every object of a scene is heard once, in reading order.

Shape is timbre, size is pitch and length (a large object sounds two octaves lower and twice as long), count is
repetition, and groups sound one after the other: left before right, upper before lower. Nothing else of a scene
is looked at, so nothing else can be heard. All oscillators read tables, since the sine of the last bit differs
between processors and the same example must be the same everywhere.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from pipelines.training.scenes.chance import Chance
from pipelines.training.scenes.world import Scene

__all__ = ["FAR", "NEAR", "RATE", "SAMPLES", "sound"]

RATE = 16_000
"""Samples per second."""
SAMPLES = 46_080
"""Samples of every sound: 2.88 seconds."""

NEAR = (0.0, 0.1)
"""How far the parameters of a sound stray from their shape's, at least and at most, as a share."""
FAR = (0.12, 0.25)
"""The same for the ``timbre`` split: further than training ever goes."""

PITCH = {"small": 720.0, "large": 180.0}  # Hz
LENGTH = {"small": 0.15, "large": 0.30}  # seconds
STEP = (0.415, 0.445)  # from one object to the next: the longest one and a silence
BREAK = 0.12  # more between two groups
FLOOR = (0.001, 0.004)  # of the noise beneath everything

TABLE = 4096

Wave: TypeAlias = npt.NDArray[np.float32]


def sound(scene: Scene, chance: Chance, spread: tuple[float, float] = NEAR) -> Wave:
    """Mono ``float32 (46080,)`` at 16 kHz, on the grid of 16-bit samples, peak below 1.

    Chance decides when it begins, how fast it goes, loudness, the noise floor and, within ``spread``, pitch,
    length and colour of each timbre; never the number or the order of events.
    """
    made = chance.noise(SAMPLES).astype(np.float32)
    made *= np.float32(chance.between(*FLOOR) / 128)
    loudness = chance.between(0.45, 0.9)
    step = chance.between(*STEP)
    events = sum(group.count for group in scene.groups)
    busy = step * events + BREAK * (len(scene.groups) - 1)
    start = chance.between(0.0, SAMPLES / RATE - busy)
    for group in scene.groups:
        stray = [_stray(spread, chance) for _ in range(3)]
        for _ in range(group.count):
            pitch = PITCH[group.size] * stray[0] * chance.between(0.985, 1.015)
            event = VOICES[group.shape](pitch, round(LENGTH[group.size] * stray[1] * RATE), stray[2], chance)
            level = np.float32(loudness * chance.between(0.8, 1.0) / max(event.max(), -event.min()))
            first = round(start * RATE)
            made[first : first + len(event)] += level * event
            start += step
        start += BREAK
    on_grid: Wave = np.rint(made * np.float32(32768)) / np.float32(32768)
    return on_grid


def _stray(spread: tuple[float, float], chance: Chance) -> float:
    away = chance.between(*spread)
    return 1 + (away if chance.below(2) else -away)


@cache
def _table(*harmonics: float) -> Wave:
    """One cycle of a sum of sines with these amplitudes at the first, second, ... harmonic."""
    cycle = 2 * np.pi * np.arange(TABLE) / TABLE
    summed = sum(level * np.sin(n * cycle) for n, level in enumerate(harmonics, 1))
    return np.asarray(summed, dtype=np.float32)


@cache
def _decay() -> Wave:
    """``exp(-x)`` for x from 0 to 16."""
    return np.asarray(np.exp(-16 * np.arange(TABLE) / TABLE), dtype=np.float32)


@cache
def _steps() -> Wave:
    steps = np.arange(SAMPLES, dtype=np.float32)
    steps.setflags(write=False)
    return steps


def _run(count: int, end: float) -> Wave:
    """From 0 towards ``end`` in so many steps."""
    return _steps()[:count] * np.float32(end / count)


def _play(table: Wave, cycles: Wave) -> Wave:
    return table.take((cycles * np.float32(TABLE)).astype(np.int32) & (TABLE - 1))


def _fade(count: int, rate: float) -> Wave:
    """Exponential decay by ``rate`` over the whole, begun and ended without a click."""
    return _decay().take(_run(count, rate * TABLE / 16).astype(np.int32)) * _edges(count)


def _edges(count: int, ramp: int = 80) -> Wave:
    """One, with short ramps at both ends."""
    level = np.ones(count, np.float32)
    level[:ramp] = _run(ramp, 1.0)
    level[-ramp:] = level[ramp - 1 :: -1]
    return level


def _rough(count: int, hold: int, chance: Chance) -> Wave:
    """Noise that keeps each value for ``hold`` samples, which takes away what is above RATE / hold.

    No value is near 0: a pause in slow noise would be heard as the end of one object and the next one's begin.
    """
    level: Wave = chance.noise(-(-count // hold)).astype(np.float32) / np.float32(256)
    level += np.copysign(np.float32(0.5), level)
    return np.repeat(level, hold)[:count]


def _bell(pitch: float, count: int, stray: float, chance: Chance) -> Wave:
    """Partials that are no multiples of each other, the high ones dying first."""
    cycles = pitch * count / RATE
    rung = _play(_table(1.0), _run(count, cycles)) * _fade(count, 3.0)
    rung += np.float32(0.7) * _play(_table(1.0), _run(count, 2.76 * stray * cycles)) * _fade(count, 4.5)
    rung += np.float32(0.5) * _play(_table(1.0), _run(count, 5.4 * stray * cycles)) * _fade(count, 7.0)
    return rung


def _drum(pitch: float, count: int, stray: float, chance: Chance) -> Wave:
    """A falling tone under a burst of noise."""
    u = _run(count, 1.0)
    cycles = np.float32(0.5 * stray * pitch * count / RATE) * u * (np.float32(1.5) - np.float32(0.6) * u)
    burst = np.float32(0.9) * _rough(count, 2, chance) * _fade(count, 14.0)
    return _play(_table(1.0), cycles) * _fade(count, 5.0) + burst


def _bird(pitch: float, count: int, stray: float, chance: Chance) -> Wave:
    """A high tone that trills up and down four times."""
    swing = _play(_table(1.0), _run(count, 4.0))
    depth = 0.35 * stray * 2 * pitch * count / RATE / (2 * np.pi * 4)
    trilled = _run(count, 2 * pitch * count / RATE) + np.float32(depth) * swing
    return _play(_table(1.0), trilled) * _edges(count, 320)


def _siren(pitch: float, count: int, stray: float, chance: Chance) -> Wave:
    """A hollow tone that goes up and down once."""
    cycles = pitch * count / RATE
    glide = _play(_table(1.0), _run(count, 1.0) + np.float32(0.75))  # minus cosine: up first, then down
    bent = _run(count, cycles) + np.float32(0.4 * stray * cycles / (2 * np.pi)) * (glide + np.float32(1))
    return _play(_table(1.0, 0.0, 0.4, 0.0, 0.25), bent) * _edges(count)


def _wave(pitch: float, count: int, stray: float, chance: Chance) -> Wave:
    """A band of noise that swells and ebbs."""
    band = _rough(count, round(2.5 * stray * RATE / pitch / 2), chance)
    carried = band * _play(_table(1.0), _run(count, 2 * pitch * count / RATE))
    return carried * _play(_table(1.0), _run(count, 0.5))


def _engine(pitch: float, count: int, stray: float, chance: Chance) -> Wave:
    """A low buzz, shaken."""
    buzz = _play(_table(*(1 / n for n in range(1, 13))), _run(count, 0.5 * pitch * count / RATE))
    shaken = np.float32(1) + np.float32(0.5) * _play(_table(1.0), _run(count, 33 * stray * count / RATE))
    return buzz * shaken * _edges(count)


def _ball(pitch: float, count: int, stray: float, chance: Chance) -> Wave:
    """A plucked tone that bends upward."""
    u = _run(count, 1.0)
    cycles = np.float32(0.5 * pitch * count / RATE) * u * (np.float32(1) + np.float32(stray) * u)
    return _play(_table(1.0, 0.0, -1 / 9, 0.0, 1 / 25), cycles) * _fade(count, 3.0)


def _star(pitch: float, count: int, stray: float, chance: Chance) -> Wave:
    """A bright chord that grows and shimmers."""
    chord = _play(_table(0.0, 1.0, 0.8, 0.0, 0.7), _run(count, pitch * count / RATE))
    shimmer = np.float32(1) + np.float32(0.3) * _play(_table(1.0), _run(count, 50 * stray * count / RATE))
    chord *= shimmer
    chord *= _run(count, 0.9) + np.float32(0.1)
    return chord * _edges(count)


VOICES: dict[str, Callable[[float, int, float, Chance], Wave]] = {
    "bell": _bell,
    "drum": _drum,
    "bird": _bird,
    "siren": _siren,
    "wave": _wave,
    "engine": _engine,
    "ball": _ball,
    "star": _star,
}

"""Scenes made to order, and what an independent listener, reader and viewer finds in an example."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from pipelines.training.scenes import RATE, Group, Scene

BELL = Group("bell", "red", "small", "plain", 2)
ENGINE = Group("engine", "blue", "large", "striped", 3)

WORDS: dict[str, dict[str, Any]] = {
    "count": {"one": 1, "a": 1, "an": 1, "two": 2, "three": 3},
    "size": {
        **dict.fromkeys(("small", "little", "tiny"), "small"),
        **dict.fromkeys(("large", "big", "huge"), "large"),
    },
    "texture": {
        **dict.fromkeys(("plain", "solid", "without"), "plain"),
        **dict.fromkeys(("striped", "stripy", "with-stripes"), "striped"),
    },
    "colour": {
        **{name: name for name in ("red", "orange", "yellow", "green", "cyan", "blue", "purple", "pink")},
        "scarlet": "red",
        "golden": "yellow",
        "turquoise": "cyan",
        "violet": "purple",
    },
    "shape": {
        **{name: name for name in ("bell", "drum", "bird", "siren", "wave", "engine", "ball", "star")},
        "horn": "siren",
        "motor": "engine",
        "sphere": "ball",
    },
}
OPPOSITE = {"right": "left", "below": "above", "under": "above", "bottom": "above"}
SIDES = {"left", "right", "above", "over", "below", "under", "top", "bottom"}


def two(relation: str = "left of", first: Group = BELL, second: Group = ENGINE, background: str = "sand") -> Scene:
    return Scene((first, second), relation, background)


def alone(group: Group = BELL, background: str = "sand", **changed: Any) -> Scene:
    return Scene((replace(group, **changed),), "alone", background)


def read(caption: str) -> Scene:
    """Understand a caption without knowing its template: the i-th word of a kind belongs to the i-th group."""
    told = caption.replace("a scene with ", "").replace("with stripes", "with-stripes").split()
    singular = [word.removesuffix("s") for word in told]
    found = {
        kind: [table[word] for word in (singular if kind == "shape" else told) if word in table]
        for kind, table in WORDS.items()
    }
    amount = len(found["shape"])
    assert {len(values) for values in found.values()} == {amount}, f"{caption!r}: {found}"
    groups = [Group(**{kind: values[i] for kind, values in found.items()}) for i in range(amount)]
    if amount == 1:
        return Scene(tuple(groups), "alone", "")
    places = [i for i, word in enumerate(told) if word in SIDES]
    side = told[places[0]]
    if places[0] <= 2 and len(places) == 1:
        groups.reverse()  # "left of the bell is the drum": the one told last stands there
    elif places[0] == len(told) - 1 or told[-2:] == ["the", side]:
        groups.reverse()  # "a bell with a drum to the left"
    if side in OPPOSITE:
        groups.reverse()
    return Scene(tuple(groups), "left of" if {"left", "right"} & set(told) else "above", "")


def heard(sound: npt.NDArray[np.float32]) -> list[tuple[float, float]]:
    """Begin and length in seconds of every event: where the loudness of 5 ms rises, until 15 ms of quiet."""
    frame = RATE // 200
    loud = np.abs(sound).reshape(-1, frame).max(axis=1) > 0.015
    events: list[list[int]] = []
    for i in map(int, np.flatnonzero(loud)):
        if not events or i - events[-1][1] > 3:
            events.append([i, i])
        events[-1][1] = i
    return [(first * frame / RATE, (last + 1 - first) * frame / RATE) for first, last in events]


def seen(picture: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    """Where objects are: what differs from the tone that most of the border and the picture have."""
    tone = np.median(picture.reshape(-1, 3), axis=0)
    found: npt.NDArray[np.bool_] = np.abs(picture - tone).max(axis=2) > 30
    return found

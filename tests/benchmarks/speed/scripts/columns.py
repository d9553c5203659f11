"""Records with a picture, a caption and a sound into four columns: the scripts one after the other."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from tests.benchmarks.speed.contend import Task
from tests.benchmarks.speed.scripts import pictures, sounds, words

Script = Callable[[Task], np.ndarray]


def _chain(task: Task, picture: Script, word: Script, sound: Script) -> dict[str, np.ndarray]:
    columns: dict[str, Any] = {}
    began = time.perf_counter()
    for name, script, model in (
        ("image_resnet50", picture, "resnet"),
        ("image_clip", picture, "clip"),
        ("text_clip", word, "clip"),
        ("audio_wav2vec2", sound, "wav2vec2"),
    ):
        columns[name] = script(replace(task, model=model))
        task.clock.mark(name)
    task.adds["rate"] = len(columns["text_clip"]) / (time.perf_counter() - began)
    return columns


def tutorial(task: Task) -> dict[str, np.ndarray]:
    """The four tutorials in one process."""
    return _chain(task, pictures.tutorial, words.tutorial, sounds.tutorial)


def openvino(task: Task) -> dict[str, np.ndarray]:
    """The four OpenVINO scripts in one process."""
    return _chain(task, pictures.openvino, words.openvino, sounds.openvino)

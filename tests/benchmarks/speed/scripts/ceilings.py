"""What no pipeline can pass on this machine: the forward alone, and decoding alone.

Their only result is a rate. The forward is OpenVINO's in bf16 with a stream per core, on inputs that lie in memory,
of the set's own shapes, without padding that could be avoided; a first pass is not counted.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks.speed.contend import Task
from tests.benchmarks.speed.scripts import pictures, sounds

SECONDS = 3.0
"""At least as long is measured."""

BATCHES = (4, 16, 32)
LENGTHWISE = 16
"""Texts per forward, neighbours in length."""

NOTHING = np.zeros((1, 1), np.float32)


def _rate(once: Callable[[], int]) -> float:
    """Inputs per second of ``once``, which says how many it did, called until it has taken long enough."""
    began, done = time.perf_counter(), 0
    while time.perf_counter() - began < SECONDS:
        done += once()
    return done / (time.perf_counter() - began)


def _queue(module: Any, example: Any, cores: int, shape: Sequence[int] | None = None) -> Any:
    import openvino as ov

    inputs = {} if shape is None else {"input": list(shape)}
    converted = ov.convert_model(module, example_input=example, **inputs)
    hints = {"NUM_STREAMS": cores, "INFERENCE_NUM_THREADS": cores, "INFERENCE_PRECISION_HINT": "bf16"}
    return ov.AsyncInferQueue(ov.Core().compile_model(converted, "CPU", hints))


def _through(queue: Any, batches: Iterable[Any]) -> None:
    for batch in batches:
        queue.start_async(batch)
    queue.wait_all()


def forward(task: Task) -> np.ndarray:
    """The fastest of a few batch sizes; for texts and sounds, with the lengths that they have."""
    if task.model in ("resnet", "clip"):
        task.adds["rate"] = max(_pictures(task, size) for size in BATCHES)
        return NOTHING
    batches, queue = _sounds(task) if task.model == "wav2vec2" else _texts(task)
    _through(queue, batches)
    inputs = sum(len(next(iter(batch.values()))) for batch in batches)

    def once() -> int:
        _through(queue, batches)
        return inputs

    task.adds["rate"] = _rate(once)
    return NOTHING


def _pictures(task: Task, size: int) -> float:
    import torch

    model, _ = pictures.network(task)
    shape = (size, 3, 224, 224)
    queue = _queue(model, torch.zeros(shape), task.cores, shape)
    batch = {0: np.random.default_rng(0).standard_normal(shape, np.float32)}
    _through(queue, [batch] * task.cores)

    def once() -> int:
        _through(queue, [batch] * task.cores)
        return task.cores * size

    return _rate(once)


def _texts(task: Task) -> tuple[list[dict[Any, np.ndarray]], Any]:
    import torch
    from transformers import AutoModel, AutoTokenizer, CLIPTextModelWithProjection

    kind = CLIPTextModelWithProjection if task.model == "clip-hf" else AutoModel
    model = kind.from_pretrained(task.weights[task.model], dtype=torch.float32).eval().requires_grad_(False)
    tokenizer = AutoTokenizer.from_pretrained(task.weights[task.model])
    example = dict.fromkeys(("input_ids", "attention_mask"), torch.ones(2, 8, dtype=torch.long))
    lines = sorted(task.lines(), key=len)
    batches = []
    for start in range(0, len(lines), LENGTHWISE):
        chosen = lines[start : start + LENGTHWISE]
        tokens = tokenizer(chosen, padding=True, truncation=True, return_tensors="np")
        batches.append({name: tokens[name] for name in example})
    return batches, _queue(model, example, task.cores)


def _sounds(task: Task) -> tuple[list[dict[Any, np.ndarray]], Any]:
    import torch

    model, _ = sounds.model_of(task)
    heard = [sounds.heard(path) for path in task.files(*sounds.SUFFIXES)]
    queue = _queue(model, torch.zeros(1, sounds.RATE), task.cores, (1, -1))
    return [{0: samples[None]} for samples in heard], queue


def _decoded(task: Task, inputs: Sequence[Any], decode: Callable[[Any], Any]) -> np.ndarray:
    with ThreadPoolExecutor(task.cores) as pool:

        def once() -> int:
            return len(list(pool.map(decode, inputs)))

        once()
        task.adds["rate"] = _rate(once)
    return NOTHING


def decode(task: Task) -> np.ndarray:
    """Pillow and the model's resize, upstream's tokenizer, or soundfile and soxr: in a thread per core."""
    if task.model == "wav2vec2":
        return _decoded(task, task.files(*sounds.SUFFIXES), sounds.heard)
    if task.model in ("clip-hf", "bert"):
        from transformers import AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(task.weights[task.model])
        return _decoded(task, task.lines(), tokenizer)
    from PIL import Image

    resize = {"resnet": (232, Image.Resampling.BILINEAR), "clip": (224, Image.Resampling.BICUBIC)}
    shorter, method = resize[task.model]

    def resized(path: Path) -> np.ndarray:
        picture = pictures.opened(path)
        scale = shorter / min(picture.size)
        picture = picture.resize((round(picture.width * scale), round(picture.height * scale)), method)
        left, top = (picture.width - 224) // 2, (picture.height - 224) // 2
        return np.asarray(picture.crop((left, top, left + 224, top + 224)))

    return _decoded(task, task.files(*pictures.SUFFIXES), resized)


def decode_ours(task: Task) -> np.ndarray:
    """Our decoders and ``prepare_fast``, in a thread per core; what cannot be decoded costs what it costs."""
    import embedders
    from embedders import Runtime
    from embedders.registry import registry

    embedder = embedders.create(task.settings["embedder"], weights=task.weights[task.settings["weights"]])
    modality = next(found for found in registry.modalities() if found.name == embedder.spec.modality)
    at_least = embedder.at_least(modality, Runtime("cpu", "bf16", "openvino"))
    suffixes = {"image": pictures.SUFFIXES, "audio": sounds.SUFFIXES}

    def prepared(raw: Any) -> Any:
        try:
            return embedder.prepare_fast(modality.decode(raw, embedders.Limits(), at_least).media)
        except embedders.BadInput as bad:
            return bad

    inputs = task.lines() if modality.inline else task.files(*suffixes[modality.name])
    return _decoded(task, inputs, prepared)

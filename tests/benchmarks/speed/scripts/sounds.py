"""Sounds by wav2vec2: transformers one by one and padded, in fp32 and bf16, and OpenVINO.

All take the mean over hidden states and time. Padded batches change the vectors of wav2vec2-base, whose group norm
counts the padding: fast, and another result.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks.speed.contend import Task

RATE = 16_000
SUFFIXES = (".wav", ".flac", ".mp3")


def model_of(task: Task) -> tuple[Any, Any]:
    import torch
    from transformers import Wav2Vec2FeatureExtractor, Wav2Vec2Model

    place = task.weights["wav2vec2"]
    model = Wav2Vec2Model.from_pretrained(place, dtype=torch.float32).eval().requires_grad_(False)
    return model, Wav2Vec2FeatureExtractor.from_pretrained(place)


def heard(path: Path) -> np.ndarray:
    """Mono float32 at 16 kHz; by soxr, as librosa does."""
    import soundfile
    import soxr

    samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    mono = samples.mean(axis=1)
    return mono if rate == RATE else soxr.resample(mono, rate, RATE)


def tutorial(task: Task) -> np.ndarray:
    """fp32, one sound after the other, loaded by librosa."""
    import librosa
    import torch

    task.clock.mark("import")
    model, extractor = model_of(task)
    task.clock.mark("load")
    rows = []
    with torch.inference_mode():
        for path in task.files(*SUFFIXES):
            samples, _ = librosa.load(path, sr=RATE, mono=True)
            values = extractor(samples, sampling_rate=RATE, return_tensors="pt").input_values
            states = model(values, output_hidden_states=True).hidden_states
            rows.append(torch.stack(states).mean(dim=(0, 2))[0].numpy())
            task.clock.done(1)
    return np.stack(rows)


def _padded(task: Task, half: bool) -> np.ndarray:
    import torch

    task.clock.mark("import")
    torch.set_num_threads(task.cores)
    model, extractor = model_of(task)
    task.clock.mark("load")
    files, size = task.files(*SUFFIXES), task.settings["batch"]
    with ThreadPoolExecutor(task.cores) as pool:
        sounds = list(pool.map(heard, files))
    order = np.argsort([-len(samples) for samples in sounds], kind="stable")
    rows = np.zeros((len(files), model.config.hidden_size), np.float32)
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=half):
        for start in range(0, len(files), size):
            places = order[start : start + size]
            chosen = [sounds[place] for place in places]
            given = extractor(
                chosen, sampling_rate=RATE, padding=True, return_attention_mask=True, return_tensors="pt"
            )
            states = model(**given, output_hidden_states=True).hidden_states
            mask = model._get_feature_vector_attention_mask(states[0].shape[1], given.attention_mask)[..., None]
            mean = torch.stack(states).float().mean(0)
            rows[places] = ((mean * mask).sum(1) / mask.sum(1)).numpy()
    return rows


def padded(task: Task) -> np.ndarray:
    """fp32, sorted by length, in padded batches as swept."""
    return _padded(task, half=False)


def padded_bf16(task: Task) -> np.ndarray:
    """The same by autocast to bf16."""
    return _padded(task, half=True)


def openvino(task: Task) -> np.ndarray:
    """bf16 by OpenVINO, sound by sound through an asynchronous queue: fast, and true to upstream."""
    import openvino as ov
    import torch

    task.clock.mark("import")
    model, _ = model_of(task)
    task.clock.mark("load")

    class Mean(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, values: torch.Tensor) -> torch.Tensor:
            states = self.model(values, output_hidden_states=True).hidden_states
            return torch.stack(states).mean(dim=(0, 2))

    converted = ov.convert_model(Mean(), example_input=torch.zeros(1, RATE), input=[1, -1])
    hints = {"PERFORMANCE_HINT": "THROUGHPUT", "INFERENCE_PRECISION_HINT": "bf16"}
    queue = ov.AsyncInferQueue(ov.Core().compile_model(converted, "CPU", hints))
    task.clock.mark("compile")
    files = task.files(*SUFFIXES)
    rows = np.zeros((len(files), model.config.hidden_size), np.float32)

    def keep(request: Any, place: int) -> None:
        rows[place] = request.get_output_tensor(0).data[0]
        task.clock.done(1)

    queue.set_callback(keep)
    with ThreadPoolExecutor(task.cores) as pool:
        for place, samples in enumerate(pool.map(heard, files)):
            values = (samples - samples.mean()) / np.sqrt(samples.var() + 1e-7)
            queue.start_async({0: values[None]}, place)
        queue.wait_all()
    return rows

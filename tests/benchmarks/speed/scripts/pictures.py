"""Pictures by ResNet-50 and by CLIP's image tower: tutorial, expert, OpenVINO, sentence-transformers, fastembed.

A picture that cannot be decoded is a black one here, and a turned one upright: the tutorials' own code would end
with the first and embed the second lying.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks.speed.contend import Task

SUFFIXES = (".jpg", ".png", ".webp")


def opened(path: Path) -> Any:
    from PIL import Image, ImageOps

    try:
        return ImageOps.exif_transpose(Image.open(path)).convert("RGB")
    except OSError:
        return Image.new("RGB", (224, 224))


class Pictures:
    """A data set for torch's loader."""

    def __init__(self, files: list[Path], transform: Callable[[Any], Any]) -> None:
        self.files, self.transform = files, transform

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, place: int) -> Any:
        return self.transform(opened(self.files[place]))


def network(task: Task) -> tuple[Any, Callable[[Any], Any]]:
    """The upstream library's model in fp32, and its transform from PIL to a tensor."""
    import torch

    if task.model == "resnet":
        from torchvision.models import ResNet50_Weights, resnet50

        model = resnet50(weights=None)
        model.load_state_dict(torch.load(task.weights["resnet"], weights_only=True))
        model.fc = torch.nn.Identity()
        return model.eval().requires_grad_(False), ResNet50_Weights.IMAGENET1K_V2.transforms()
    import open_clip

    clip, _, transform = open_clip.create_model_and_transforms("ViT-B-32", pretrained=task.weights["clip"])
    return clip.visual.eval().requires_grad_(False), transform


def tutorial(task: Task) -> np.ndarray:
    """What the tutorials show: fp32, a loader with a worker per core, batches of 64."""
    import torch
    from torch.utils.data import DataLoader

    task.clock.mark("import")
    model, transform = network(task)
    task.clock.mark("load")
    loader = DataLoader(Pictures(task.files(*SUFFIXES), transform), batch_size=64, num_workers=task.cores)
    rows = []
    with torch.inference_mode():
        for batch in loader:
            rows.append(model(batch).numpy())
            task.clock.done(len(batch))
    return np.concatenate(rows)


def expert(task: Task) -> np.ndarray:
    """bf16 by autocast, channels last, compiled with frozen weights; batch and loader's workers as swept."""
    import torch
    from torch._inductor import config
    from torch.utils.data import DataLoader

    task.clock.mark("import")
    config.freezing = True
    size = task.settings["batch"]
    torch.set_num_threads(task.cores)
    model, transform = network(task)
    model = model.to(memory_format=torch.channels_last)
    task.clock.mark("load")
    compiled = torch.compile(model)
    loader = DataLoader(
        Pictures(task.files(*SUFFIXES), transform), batch_size=size, num_workers=task.settings["workers"]
    )
    rows = []
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        compiled(torch.zeros(size, 3, 224, 224).to(memory_format=torch.channels_last))
        task.clock.mark("compile")
        for batch in loader:
            full = batch.new_zeros(size, *batch.shape[1:])  # another size would be compiled once more
            full[: len(batch)] = batch
            vectors = compiled(full.to(memory_format=torch.channels_last))[: len(batch)]
            rows.append(vectors.float().numpy())
            task.clock.done(len(batch))
    return np.concatenate(rows)


def in_batches(files: list[Path], transform: Callable[[Any], Any], size: int, threads: int) -> Iterator[Any]:
    """(first row, filled rows, array of ``size`` inputs), decoded by threads at most four batches ahead."""
    with ThreadPoolExecutor(threads) as pool:

        def batch(start: int) -> tuple[int, int, np.ndarray]:
            inputs = [transform(opened(path)) for path in files[start : start + size]]
            full = np.zeros((size, 3, 224, 224), np.float32)
            full[: len(inputs)] = np.stack(inputs)
            return start, len(inputs), full

        waiting = []
        for start in range(0, len(files), size):
            waiting.append(pool.submit(batch, start))
            if len(waiting) == 4:
                yield waiting.pop(0).result()
        for future in waiting:
            yield future.result()


def openvino(task: Task) -> np.ndarray:
    """bf16 with the throughput hint, an asynchronous queue, and decoding in threads; batch as swept."""
    import openvino as ov
    import torch

    task.clock.mark("import")
    size = task.settings["batch"]
    model, transform = network(task)
    torch.set_num_threads(1)  # what is left to torch is the transform, in threads of its own
    task.clock.mark("load")
    shape = [size, 3, 224, 224]
    hints = {"PERFORMANCE_HINT": "THROUGHPUT", "INFERENCE_PRECISION_HINT": "bf16"}
    converted = ov.convert_model(model, example_input=torch.zeros(shape), input=shape)
    compiled = ov.Core().compile_model(converted, "CPU", hints)
    task.clock.mark("compile")
    files = task.files(*SUFFIXES)
    rows: dict[int, np.ndarray] = {}
    queue = ov.AsyncInferQueue(compiled)

    def keep(request: Any, place: tuple[int, int]) -> None:
        rows[place[0]] = request.get_output_tensor(0).data[: place[1]].copy()
        task.clock.done(place[1])

    queue.set_callback(keep)
    for start, filled, batch in in_batches(files, transform, size, task.cores):
        queue.start_async({0: batch}, (start, filled))
    queue.wait_all()
    return np.concatenate([rows[start] for start in sorted(rows)])


def sentences(task: Task, **kwargs: Any) -> np.ndarray:
    from sentence_transformers import SentenceTransformer

    task.clock.mark("import")
    model = SentenceTransformer(task.weights["clip-hf"], device="cpu", **kwargs)
    task.clock.mark("load")
    files, rows = task.files(*SUFFIXES), []
    for start in range(0, len(files), 256):
        chosen = files[start : start + 256]
        rows.append(model.encode([opened(path) for path in chosen], batch_size=task.settings.get("batch", 32)))
        task.clock.done(len(chosen))
    return np.concatenate(rows).astype(np.float32)


def sentence_transformers(task: Task) -> np.ndarray:
    """As its documentation shows."""
    return sentences(task)


def sentence_transformers_bf16(task: Task) -> np.ndarray:
    """The same with bf16 weights; batch as swept."""
    return sentences(task, model_kwargs={"dtype": "bfloat16"})


def fastembed(task: Task) -> np.ndarray:
    """onnxruntime in fp32, from a folder with the names of a model that it knows; batch as swept."""
    from fastembed import ImageEmbedding

    task.clock.mark("import")
    known = {"resnet": "Qdrant/resnet50-onnx", "clip": "Qdrant/clip-ViT-B-32-vision"}[task.model]
    place = task.weights[f"{task.model}-onnx"]
    model = ImageEmbedding(known, specific_model_path=place)
    task.clock.mark("load")
    return np.stack(list(model.embed(task.files(*SUFFIXES), batch_size=task.settings["batch"])))

"""Captions by CLIP's text tower, texts by BERT: open_clip, OpenVINO, sentence-transformers, fastembed."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.benchmarks.speed.contend import Task


def tower(task: Task) -> tuple[Any, Any]:
    """CLIP of open_clip with ``encode_text`` as its forward, and the tokenizer."""
    import open_clip

    model, _, _ = open_clip.create_model_and_transforms("ViT-B-32", pretrained=task.weights["clip"])
    model.eval().requires_grad_(False)
    del model.visual
    model.forward = model.encode_text
    return model, open_clip.get_tokenizer("ViT-B-32")


def tutorial(task: Task) -> np.ndarray:
    """open_clip as its documentation shows: fp32, every caption padded to 77 tokens, batches of 64."""
    import torch

    task.clock.mark("import")
    model, tokenizer = tower(task)
    task.clock.mark("load")
    lines, rows = task.lines(), []
    with torch.inference_mode():
        for start in range(0, len(lines), 64):
            chosen = lines[start : start + 64]
            rows.append(model.encode_text(tokenizer(chosen)).numpy())
            task.clock.done(len(chosen))
    return np.concatenate(rows)


def expert(task: Task) -> np.ndarray:
    """open_clip in bf16 by autocast, compiled with frozen weights; batch as swept."""
    import torch
    from torch._inductor import config

    task.clock.mark("import")
    config.freezing = True
    torch.set_num_threads(task.cores)
    size = task.settings["batch"]
    model, tokenizer = tower(task)
    task.clock.mark("load")
    compiled = torch.compile(model)
    lines, rows = task.lines(), []
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        compiled(torch.zeros(size, 77, dtype=torch.long))
        task.clock.mark("compile")
        for start in range(0, len(lines), size):
            tokens = tokenizer(lines[start : start + size])
            full = tokens.new_zeros(size, 77)
            full[: len(tokens)] = tokens
            rows.append(compiled(full)[: len(tokens)].float().numpy())
            task.clock.done(len(tokens))
    return np.concatenate(rows)


def openvino(task: Task) -> np.ndarray:
    """The padded tower in bf16 with the throughput hint and an asynchronous queue; batch as swept."""
    import openvino as ov
    import torch

    task.clock.mark("import")
    size = task.settings["batch"]
    model, tokenizer = tower(task)
    task.clock.mark("load")
    example = torch.zeros(size, 77, dtype=torch.long)
    converted = ov.convert_model(model, example_input=example, input=[size, 77])
    hints = {"PERFORMANCE_HINT": "THROUGHPUT", "INFERENCE_PRECISION_HINT": "bf16"}
    queue = ov.AsyncInferQueue(ov.Core().compile_model(converted, "CPU", hints))
    task.clock.mark("compile")
    lines = task.lines()
    rows: dict[int, np.ndarray] = {}

    def keep(request: Any, place: tuple[int, int]) -> None:
        rows[place[0]] = request.get_output_tensor(0).data[: place[1]].copy()
        task.clock.done(place[1])

    queue.set_callback(keep)
    for start in range(0, len(lines), size):
        tokens = tokenizer(lines[start : start + size]).numpy()
        full = np.zeros((size, 77), np.int64)
        full[: len(tokens)] = tokens
        queue.start_async({0: full}, (start, len(tokens)))
    queue.wait_all()
    return np.concatenate([rows[start] for start in sorted(rows)])


def sentences(task: Task, weights: str = "", **kwargs: Any) -> np.ndarray:
    from sentence_transformers import SentenceTransformer

    task.clock.mark("import")
    model = SentenceTransformer(task.weights[weights or task.model], device="cpu", **kwargs)
    task.clock.mark("load")
    lines = task.lines()
    vectors = model.encode(lines, batch_size=task.settings.get("batch", 32))
    return np.asarray(vectors, np.float32)


def sentence_transformers(task: Task) -> np.ndarray:
    """As its documentation shows."""
    return sentences(task)


def sentence_transformers_bf16(task: Task) -> np.ndarray:
    """The same with bf16 weights; batch as swept."""
    return sentences(task, model_kwargs={"dtype": "bfloat16"})


def sentence_transformers_openvino(task: Task) -> np.ndarray:
    """Its OpenVINO backend in bf16, from a folder where the model stands converted already; batch as swept."""
    hints = {"PERFORMANCE_HINT": "THROUGHPUT", "INFERENCE_PRECISION_HINT": "bf16"}
    return sentences(task, "bert-openvino", backend="openvino", model_kwargs={"ov_config": hints})


def bert_openvino(task: Task) -> np.ndarray:
    """BERT in bf16 by OpenVINO: sorted by length, each batch padded to its longest text; batch as swept."""
    import openvino as ov
    import torch
    from transformers import AutoModel, AutoTokenizer

    task.clock.mark("import")
    size = task.settings["batch"]
    tokenizer = AutoTokenizer.from_pretrained(task.weights["bert"])
    model = AutoModel.from_pretrained(task.weights["bert"], dtype=torch.float32).eval().requires_grad_(False)
    task.clock.mark("load")
    example = dict.fromkeys(("input_ids", "attention_mask"), torch.ones(2, 8, dtype=torch.long))
    converted = ov.convert_model(model, example_input=example)
    hints = {"PERFORMANCE_HINT": "THROUGHPUT", "INFERENCE_PRECISION_HINT": "bf16"}
    queue = ov.AsyncInferQueue(ov.Core().compile_model(converted, "CPU", hints))
    task.clock.mark("compile")
    lines = task.lines()
    order = np.argsort([-len(line) for line in lines], kind="stable")
    rows = np.zeros((len(lines), model.config.hidden_size), np.float32)

    def keep(request: Any, batch: tuple[np.ndarray, np.ndarray]) -> None:
        places, mask = batch
        states = request.get_output_tensor(0).data * mask[..., None]
        means = states.sum(1) / mask.sum(1, keepdims=True)
        rows[places] = means / np.linalg.norm(means, axis=1, keepdims=True)

    queue.set_callback(keep)
    for start in range(0, len(lines), size):
        places = order[start : start + size]
        chosen = [lines[place] for place in places]
        tokens = tokenizer(chosen, padding=True, truncation=True, max_length=512, return_tensors="np")
        inputs = {name: tokens[name] for name in example}
        queue.start_async(inputs, (places, tokens["attention_mask"]))
    queue.wait_all()
    return rows


def fastembed(task: Task) -> np.ndarray:
    """onnxruntime in fp32 on the same BERT, batch as swept."""
    from fastembed import TextEmbedding
    from fastembed.common.model_description import ModelSource, PoolingType

    task.clock.mark("import")
    TextEmbedding.add_custom_model(
        model="bench/bert",
        pooling=PoolingType.MEAN,
        normalization=True,
        sources=ModelSource(hf="bench/bert"),
        dim=768,
        model_file="model.onnx",
    )
    model = TextEmbedding("bench/bert", specific_model_path=task.weights["bert-onnx"])
    task.clock.mark("load")
    return np.stack(list(model.embed(task.lines(), batch_size=task.settings["batch"])))

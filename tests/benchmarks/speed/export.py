"""Seeded weights in the formats of other runtimes, made by the environment that will read them.

::

    python -m tests.benchmarks.speed.export resnet WEIGHTS FOLDER
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

__all__ = ["main"]

PICTURES: dict[str, dict[str, Any]] = {
    "resnet": {
        "crop_size": 224,
        "do_center_crop": True,
        "do_normalize": True,
        "do_rescale": True,
        "do_resize": True,
        "feature_extractor_type": "ConvNextFeatureExtractor",
        "image_processor_type": "ConvNextFeatureExtractor",
        "image_mean": [0.485, 0.456, 0.406],
        "image_std": [0.229, 0.224, 0.225],
        "resample": 2,
        "rescale_factor": 1 / 255,
        "crop_pct": 224 / 232,
        "size": {"shortest_edge": 224},
    },
    "clip": {
        "crop_size": 224,
        "do_center_crop": True,
        "do_normalize": True,
        "do_resize": True,
        "feature_extractor_type": "CLIPFeatureExtractor",
        "image_processor_type": "CLIPImageProcessor",
        "image_mean": [0.48145466, 0.4578275, 0.40821073],
        "image_std": [0.26862954, 0.26130258, 0.27577711],
        "resample": 3,
        "size": {"shortest_edge": 224},
    },
}
"""The settings of preprocessing in the words that fastembed reads."""


def pictures(kind: str, weights: Path, folder: Path) -> None:
    """A tower for fastembed: ``model.onnx`` beside its preprocessing."""
    import torch

    from tests.benchmarks.speed.contend import Task
    from tests.benchmarks.speed.scripts.pictures import network

    model, _ = network(Task(kind, "", {kind: str(weights)}, "", 1))
    model.requires_grad_(True)  # without gradients torch takes a fused attention that ONNX has not
    _onnx(model, (torch.zeros(2, 3, 224, 224),), ["pixel_values"], {0: "n"}, folder)
    folder.joinpath("preprocessor_config.json").write_text(json.dumps(PICTURES[kind]))


def bert(weights: Path, folder: Path) -> None:
    """Token states of BERT for fastembed, beside its tokenizer."""
    import torch
    from transformers import AutoModel

    model = AutoModel.from_pretrained(weights, dtype=torch.float32, attn_implementation="eager").eval()
    example = torch.ones(2, 8, dtype=torch.long)

    class States(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, input_ids: Any, attention_mask: Any, token_type_ids: Any) -> Any:
            return self.model(input_ids, attention_mask, token_type_ids).last_hidden_state

    names = ["input_ids", "attention_mask", "token_type_ids"]
    _onnx(States(), (example, example, torch.zeros_like(example)), names, {0: "n", 1: "tokens"}, folder)
    for path in weights.iterdir():
        if path.suffix in (".json", ".txt"):
            shutil.copy(path, folder)
    marks = {"cls_token": "[CLS]", "sep_token": "[SEP]", "pad_token": "[PAD]", "unk_token": "[UNK]"}
    folder.joinpath("special_tokens_map.json").write_text(json.dumps(marks))


def _onnx(model: Any, inputs: tuple[Any, ...], names: list[str], axes: dict[int, str], folder: Path) -> None:
    import torch

    torch.onnx.export(
        model,
        inputs,
        str(folder / "model.onnx"),
        input_names=names,
        output_names=["last_hidden_state"],
        dynamic_axes=dict.fromkeys(names, axes),
        dynamo=False,
    )


def openvino(weights: Path, folder: Path) -> None:
    """A folder of sentence-transformers with its model converted, as its backend saves it."""
    from sentence_transformers import SentenceTransformer

    SentenceTransformer(str(weights), device="cpu", backend="openvino").save_pretrained(str(folder))


def main() -> None:
    """Make what the command line names."""
    kind, weights, folder = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    if kind in PICTURES:
        pictures(kind, weights, folder)
    else:
        {"bert": bert, "openvino": openvino}[kind](weights, folder)


if __name__ == "__main__":
    main()

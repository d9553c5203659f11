"""Tiny architectures for open_clip, and the upstream calls that ours are compared with."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import torch
from safetensors.torch import save_file

from embedders.modality import Pixels

TEXT = {"context_length": 16, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2}
VIT = {"image_size": 32, "patch_size": 8, "width": 32, "head_width": 16, "layers": 2}
RESNET = {"image_size": 32, "layers": [1, 1, 1, 1], "width": 16, "head_width": 16}
MODELS: dict[str, dict[str, Any]] = {
    "tiny": {"embed_dim": 24, "vision_cfg": VIT, "text_cfg": TEXT},
    "tiny-quickgelu": {"embed_dim": 24, "quick_gelu": True, "vision_cfg": VIT, "text_cfg": TEXT},
    "tiny-resnet": {"embed_dim": 24, "vision_cfg": RESNET, "text_cfg": TEXT},
    "tiny-custom": {"embed_dim": 24, "custom_text": True, "vision_cfg": VIT, "text_cfg": TEXT},
}
SIDES = [(32, 32), (20, 33), (64, 31), (1, 1), (100, 300), (5, 39), (33, 32)]
TEXTS = [
    "a red bell",
    "rain",
    "",
    "Grüße aus München, 東京 and 🦊!",
    "one two three four five six seven eight nine ten eleven twelve thirteen fourteen",
    "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen",
    "snow &amp; ice",
]


def trained(name: str) -> Any:
    """A seeded model with no gain, bias or batch statistic at its first value, and vectors that lie apart."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        model = open_clip.create_model(name)
        for parameter in model.parameters():
            if parameter.ndim == 1:
                torch.nn.init.normal_(parameter, 1.0, 0.2)
            else:
                parameter.data *= 1.5
        tokens = open_clip.get_tokenizer(name)(["one", "two or three", "four", "five and six"])
        with torch.no_grad():
            for _ in range(3):  # in train mode, as it comes
                model(torch.randn(4, 3, 32, 32), tokens)
    return model


def noise(height: int, width: int, seed: int = 0) -> Pixels:
    """Noise around a colour, and each seed has its own."""
    dice = np.random.default_rng(seed)
    return (dice.integers(0, 200, 3) + dice.integers(0, 56, (height, width, 3))).astype(np.uint8)


def upstream(name: str, checkpoint: Path | None) -> tuple[Any, Callable[[Any], torch.Tensor], Any]:
    """Model in eval mode, transform and tokenizer by the calls of open_clip's own documentation."""
    model, _, transform = open_clip.create_model_and_transforms(name, str(checkpoint) if checkpoint else None)
    return model.eval(), transform, open_clip.get_tokenizer(name)


def in_folder(path: Path, name: str, **changed: Any) -> Path:
    """A folder as open_clip publishes it: configuration and safetensors."""
    path.mkdir(exist_ok=True)
    preprocess = {"mean": [0.1, 0.2, 0.3], "std": [0.9, 0.8, 0.7], "interpolation": "bilinear", **changed}
    content = {"model_cfg": MODELS[name], "preprocess_cfg": preprocess}
    (path / "open_clip_config.json").write_text(json.dumps(content))
    save_file(trained(name).state_dict(), path / "open_clip_model.safetensors")
    return path


def checkpoints(path: Path) -> Path:
    """Make the architectures known to open_clip, and a checkpoint ``<name>.pt`` of each in the folder."""
    for name, config in MODELS.items():
        (path / f"{name}.json").write_text(json.dumps(config))
    open_clip.add_model_config(path)
    for name in MODELS:
        torch.save(trained(name).state_dict(), path / f"{name}.pt")
    return path

"""Small models of every speech family in transformers, saved as upstream saves them, and upstream's own vectors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import transformers as library

from embedders import Waveform
from tests.embedders.models.clips import perturb

transformers: Any = library  # half of it has no types

SMALL = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "conv_dim": [32] * 7,
    "num_conv_pos_embedding_groups": 4,
}
POSITION = {"num_conv_pos_embeddings": 16}
GROUP = {**POSITION, "feat_extract_norm": "group"}
LAYER = {**POSITION, "feat_extract_norm": "layer", "do_stable_layer_norm": True, "conv_bias": True}

FAMILIES: dict[str, tuple[str, dict[str, Any]]] = {
    "wav2vec2 group": ("Wav2Vec2", GROUP),
    "wav2vec2 layer": ("Wav2Vec2", LAYER),
    "hubert group": ("Hubert", GROUP),
    "hubert layer": ("Hubert", LAYER),
    "hubert with a batch norm": ("Hubert", {**LAYER, "conv_pos_batch_norm": True}),
    "wavlm group": ("WavLM", {**GROUP, "num_buckets": 20, "max_bucket_distance": 40}),
    "wavlm layer": ("WavLM", {**LAYER, "num_buckets": 20, "max_bucket_distance": 40}),
    "data2vec": ("Data2VecAudio", {"conv_pos_kernel_size": 5, "num_conv_pos_embeddings": 3}),
}
GROUPED = [family for family in FAMILIES if family.endswith("group")]


def build(family: str, head: str = "Model") -> Any:
    name, settings = FAMILIES[family]
    torch.manual_seed(0)
    config = getattr(transformers, f"{name}Config")(**{**SMALL, **settings})
    return perturb(getattr(transformers, f"{name}{head}")(config))


def save(family: str, folder: Path) -> Path:
    """A family's model in ``folder``, with its preprocessing."""
    build(family).save_pretrained(folder)
    transformers.Wav2Vec2FeatureExtractor().save_pretrained(folder)
    return folder


def upstream(family: str, folder: Path) -> Any:
    return getattr(transformers, f"{FAMILIES[family][0]}Model").from_pretrained(folder).eval()


@torch.no_grad()
def alone(model: Any, media: Waveform, normalize: bool = True) -> npt.NDArray[np.float32]:
    """Upstream's hidden states for one clip, extracted by upstream and averaged over time: ``(layers, dim)``."""
    extractor = transformers.Wav2Vec2FeatureExtractor(do_normalize=normalize)
    values = extractor(media.samples, sampling_rate=16_000, return_tensors="pt").input_values
    states = model(values, output_hidden_states=True).hidden_states
    return np.stack([np.asarray(state[0].mean(0)) for state in states])

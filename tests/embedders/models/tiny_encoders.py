"""Small DINOv2, CLAP and Whisper models, saved as upstream saves them, no parameter at its initial value."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
import transformers as library
from tokenizers import pre_tokenizers

from tests.embedders.models.clips import perturb

transformers: Any = library  # half of it has no types

MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
PIECES = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", *sorted(pre_tokenizers.ByteLevel.alphabet())]
LAYERS = {"num_hidden_layers": 2, "num_attention_heads": 4}


def save_dino(folder: Path, kind: str = "Dinov2", **processor: Any) -> Path:
    """Pictures of 28 pixels, cut from 32; the positions are for 42, so that they have to be interpolated."""
    torch.manual_seed(0)
    config = getattr(transformers, f"{kind}Config")(hidden_size=32, image_size=42, patch_size=7, **LAYERS)
    perturb(getattr(transformers, f"{kind}Model")(config)).save_pretrained(folder)
    cut = {"size": {"shortest_edge": 32}, "crop_size": {"height": 28, "width": 28}}
    transformers.BitImageProcessor(image_mean=MEAN, image_std=STD, **{**cut, **processor}).save_pretrained(folder)
    return folder


def save_clap(folder: Path, fusion: bool = False, **extractor: Any) -> Path:
    """Windows of 2 seconds, 16 mels, 24 dimensions, texts of up to 30 tokens: one for each byte."""
    torch.manual_seed(0)
    text = {"hidden_size": 32, "intermediate_size": 64, "vocab_size": 300, "max_position_embeddings": 32, **LAYERS}
    sound = {
        "spec_size": 64,
        "num_mel_bins": 16,
        "patch_embeds_hidden_size": 8,
        "hidden_size": 16,
        "window_size": 4,
        "depths": [2, 2],
        "num_attention_heads": [2, 4],
        "enable_fusion": fusion,
        "fusion_type": "aff_2d" if fusion else None,
    }
    config = transformers.ClapConfig(text_config=text, audio_config=sound, projection_dim=24)
    perturb(transformers.ClapModel(config)).save_pretrained(folder)
    settings = {"feature_size": 16, "max_length_s": 2, "truncation": "fusion" if fusion else "rand_trunc"}
    transformers.ClapFeatureExtractor(**{**settings, **extractor}).save_pretrained(folder)
    (folder / "vocab.json").write_text(json.dumps({piece: number for number, piece in enumerate(PIECES)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    transformers.RobertaTokenizer.from_pretrained(folder, model_max_length=40).save_pretrained(folder)
    return folder


def save_whisper(folder: Path, seconds: int = 2, head: str = "Model") -> Path:
    """Windows of 2 seconds, 8 mels, 16 dimensions."""
    torch.manual_seed(0)
    encoder = {"encoder_layers": 2, "encoder_attention_heads": 2, "encoder_ffn_dim": 32, "num_mel_bins": 8}
    decoder = {"decoder_layers": 1, "decoder_attention_heads": 2, "decoder_ffn_dim": 32, "vocab_size": 50}
    tokens = {"pad_token_id": 1, "bos_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 1}
    shape = {"d_model": 16, "max_source_positions": 50 * seconds}
    config = transformers.WhisperConfig(**shape, **encoder, **decoder, **tokens)
    perturb(getattr(transformers, f"Whisper{head}")(config)).save_pretrained(folder)
    transformers.WhisperFeatureExtractor(feature_size=8, chunk_length=seconds).save_pretrained(folder)
    return folder

"""Small models of every kind that sentence-transformers has, saved by it, no parameter at its initial value."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import torch
import transformers as library

from tests.embedders.models.clips import perturb
from tests.embedders.models.tiny_bert import SIGNS, save_bert

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # sentence-transformers imports what its dependencies call deprecated
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer import modules

__all__ = ["SentenceTransformer", "modules", "save_clip", "save_sound", "save_static", "save_text"]

transformers: Any = library  # half of it has no types
SMALL = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 37}


def save_text(folder: Path, *behind: Any, pooling: Any = "mean", **options: Any) -> Path:
    """A BERT of 64 positions and 32 dimensions, pooled, with modules behind."""
    (folder / "bert").mkdir(parents=True)
    transformer = modules.Transformer(str(save_bert(folder / "bert")))
    include_prompt = options.pop("include_prompt", True)
    pooled = modules.Pooling(32, pooling_mode=pooling, include_prompt=include_prompt)
    return _saved(folder / "model", transformer, pooled, *behind, **options)


def save_static(folder: Path, *behind: Any, dim: int = 16, limit: int | None = None) -> Path:
    """A vector per character, averaged; with ``limit``, of the first tokens only."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    vocabulary = {sign: number for number, sign in enumerate(SIGNS)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=SIGNS[0]))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Split("", "isolated")]
    )
    if limit is not None:
        tokenizer.enable_truncation(limit)
    torch.manual_seed(0)
    return _saved(folder / "model", modules.StaticEmbedding(tokenizer, embedding_dim=dim), *behind)


def save_clip(folder: Path) -> Path:
    """A CLIP of 24 dimensions for texts of 16 tokens and pictures of 32 pixels."""
    base = folder / "clip"
    base.mkdir(parents=True)
    words = ["<|startoftext|>", "<|endoftext|>", *SIGNS, *[f"{sign}</w>" for sign in SIGNS]]
    (base / "vocab.json").write_text(json.dumps({word: number for number, word in enumerate(words)}))
    (base / "merges.txt").write_text("#version: 0.2\n")
    tokenizer = transformers.CLIPTokenizer(str(base / "vocab.json"), str(base / "merges.txt"), model_max_length=16)
    size = {"size": {"shortest_edge": 32}, "crop_size": {"height": 32, "width": 32}}
    transformers.CLIPProcessor(transformers.CLIPImageProcessor(**size), tokenizer).save_pretrained(base)
    ends = {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1}
    text = {**SMALL, **ends, "vocab_size": len(words), "max_position_embeddings": 16}
    vision = {**SMALL, "image_size": 32, "patch_size": 8}
    torch.manual_seed(0)
    config = transformers.CLIPConfig(text_config=text, vision_config=vision, projection_dim=24)
    perturb(transformers.CLIPModel(config)).save_pretrained(base)
    return _saved(folder / "model", modules.Transformer(str(base)))


def save_sound(folder: Path, **processing: Any) -> Path:
    """A wav2vec2 whose first layer normalises over time: it hears the silence that pads a shorter sound."""
    base = folder / "wav2vec2"
    base.mkdir(parents=True)
    words = ["<pad>", "<unk>", "|", "<s>", "</s>", "a"]
    (base / "words.json").write_text(json.dumps({word: number for number, word in enumerate(words)}))
    tokenizer = transformers.Wav2Vec2CTCTokenizer(str(base / "words.json"))
    features = transformers.Wav2Vec2FeatureExtractor(return_attention_mask=False, **processing)
    transformers.Wav2Vec2Processor(features, tokenizer).save_pretrained(base)
    layers = {"conv_dim": (16, 16), "conv_stride": (5, 4), "conv_kernel": (10, 8), "num_feat_extract_layers": 2}
    places = {"num_conv_pos_embeddings": 16, "num_conv_pos_embedding_groups": 2, "feat_extract_norm": "group"}
    torch.manual_seed(0)
    perturb(transformers.Wav2Vec2Model(transformers.Wav2Vec2Config(**SMALL, **layers, **places))).save_pretrained(
        base
    )
    return _saved(folder / "model", modules.Transformer(str(base)), modules.Pooling(32))


def _saved(folder: Path, *parts: Any, **options: Any) -> Path:
    model = SentenceTransformer(modules=list(parts), device="cpu", **options)
    model.save(str(folder), create_model_card=False)
    return folder

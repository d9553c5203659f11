"""A small BERT with a token per character, no parameter at its initial value, and texts that try its tokenizer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
import transformers as library

from tests.embedders.models.clips import perturb

transformers: Any = library  # half of it has no types

TEXTS = [
    "a",
    "Two red bells",
    "the quick brown fox jumps over the lazy dog",
    "bell!",
    "  spaces   inside and around  ",
    "x" * 90,
    "so many words that they do not fit into the sixty-four positions which this small model has",
    "Été 2024: naïve café",
    "[SEP] and [CLS] as a user may write them",
]
SIGNS = [chr(code) for code in range(33, 127) if not chr(code).isupper()]
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *SIGNS, *[f"##{sign}" for sign in SIGNS]]
SMALL = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}


def save_bert(folder: Path) -> Path:
    """The model in ``folder``, as ``save_pretrained`` writes it: 64 positions, 32 dimensions."""
    (folder / "vocab.txt").write_text("\n".join(WORDS))
    transformers.BertTokenizer(str(folder / "vocab.txt")).save_pretrained(folder)
    torch.manual_seed(0)
    config = transformers.BertConfig(vocab_size=len(WORDS), max_position_embeddings=64, **SMALL)
    perturb(transformers.BertModel(config)).save_pretrained(folder)
    return folder


def edit(path: Path, **changes: Any) -> None:
    """Change settings in a JSON file."""
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from embedders import BadInput, SetupError, Status, UsageError
from embedders.models import clip_words
from embedders.models.clip import ClipText
from tests.embedders.models.tiny_clip import TEXT, TEXTS, in_folder

pytestmark = pytest.mark.usefixtures("folder")

TOKENIZER = open_clip.SimpleTokenizer()


@pytest.mark.parametrize(
    ("words", "tokens", "truncated"),
    [(1, 3, False), (13, 15, False), (14, 16, False), (15, 17, True), (90, 92, True)],
)
def test_a_text_is_truncated_exactly_when_tokens_are_lost(words: int, tokens: int, truncated: bool) -> None:
    text = " ".join(["bell"] * words)
    embedder, strict = ClipText(model="tiny", weights="random:0"), {"model": "tiny", "weights": "random:0"}
    sample = embedder.prepare(text)
    assert sample.truncated is truncated
    assert embedder.flags(sample) == (("truncated_text",) if truncated else ())
    refusing = ClipText(**strict, on_truncate="error")  # type: ignore[arg-type]
    if truncated:
        with pytest.raises(BadInput, match=rf"{tokens} tokens .* reads 16") as caught:
            refusing.prepare(text)
        assert (caught.value.status, caught.value.code) == (Status.LIMIT, "TXT_TRUNCATED")
    else:
        assert np.array_equal(refusing.prepare(text).ids, sample.ids)


def test_tokens_are_upstreams_in_every_thread() -> None:
    embedder, tokenizer = ClipText(model="tiny", weights="random:0"), open_clip.get_tokenizer("tiny")
    texts = [f"{text} {n} {'word' * (n % 5)}" for n in range(60) for text in TEXTS]
    with ThreadPoolExecutor(8) as pool:
        samples = list(pool.map(embedder.prepare, texts))
    batch = embedder.collate(samples)
    assert (batch.dtype, tuple(batch.shape)) == (torch.int64, (len(texts), 16))
    assert torch.equal(batch, tokenizer(texts))


def test_the_tokenizer_remembers_a_bounded_number_of_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("embedders.models.clip_words.REMEMBERED", 5)
    embedder = ClipText(model="tiny", weights="random:0")
    texts = ["alpha beta gamma delta", "epsilon zeta eta theta", "alpha theta"]
    batch = embedder.collate([embedder.prepare(text) for text in texts])
    assert len(embedder._tokenizer.cache) == 5
    expected = open_clip.get_tokenizer("tiny")(texts)
    assert torch.equal(batch, expected[:, : batch.shape[1]])
    assert not expected[:, batch.shape[1] :].any()


@given(st.text(st.sampled_from("abcdenst"), min_size=1, max_size=60))
def test_long_words_are_merged_as_upstream_merges_them(word: str) -> None:
    assert clip_words.merge(word, TOKENIZER.bpe_ranks) == TOKENIZER.bpe(word)


@pytest.mark.parametrize("letters", ["acgt", "a", "etaoin", "東京日本語"])
def test_a_word_without_end_is_tokenised_in_little_time(letters: str) -> None:
    dice = random.Random(0)
    word = "".join(dice.choices(letters, k=50_000))
    embedder = ClipText(model="tiny", weights="random:0")
    started = time.perf_counter()
    sample = embedder.prepare(word)
    assert time.perf_counter() - started < 10  # upstream takes half a minute for 50,000 Latin letters
    assert sample.truncated
    assert embedder._tokenizer.encode(word[:1000]) == TOKENIZER.encode(word[:1000])


def test_a_tokenizer_of_transformers_is_counted_and_safe_in_threads(tmp_path: Path) -> None:
    published = in_folder(tmp_path / "published", "tiny")
    vocabulary = {"<pad>": 0, "</s>": 1, "<unk>": 2, **{f"w{n}": n + 3 for n in range(50)}}
    model = {"type": "WordLevel", "vocab": vocabulary, "unk_token": "<unk>"}
    content: dict[str, Any] = {
        "version": "1.0",
        "added_tokens": [],
        "normalizer": None,
        "truncation": None,
        "padding": None,
        "pre_tokenizer": {"type": "WhitespaceSplit"},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [{"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": "</s>", "type_id": 0}}],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {"</s>": {"id": "</s>", "ids": [1], "tokens": ["</s>"]}},
        },
        "decoder": None,
        "model": model,
    }
    (published / "tokenizer.json").write_text(json.dumps(content))
    names = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "pad_token": "<pad>",
        "eos_token": "</s>",
        "unk_token": "<unk>",
    }
    (published / "tokenizer_config.json").write_text(json.dumps(names))
    config = json.loads((published / "open_clip_config.json").read_text())
    config["model_cfg"]["text_cfg"] = {**TEXT, "hf_tokenizer_name": "org/name"}
    (published / "open_clip_config.json").write_text(json.dumps(config))
    embedder, tokenizer = ClipText(weights=published), open_clip.get_tokenizer(f"local-dir:{published}")
    texts = [" ".join(f"w{(n + k) % 50}" for k in range(n % 30)) for n in range(200)]
    with ThreadPoolExecutor(8) as pool:
        samples = list(pool.map(embedder.prepare, texts))
    assert torch.equal(embedder.collate(samples), tokenizer(texts))
    assert [sample.truncated for sample in samples] == [n % 30 > 15 for n in range(200)]


def test_a_tokenizer_that_is_not_in_the_cache_is_named() -> None:
    embedder = ClipText(model="ViT-B-16-SigLIP", weights="random:0")
    assert embedder.spec.details["context_length"] == 64
    with pytest.raises(SetupError, match="tokenizer of ViT-B-16-SigLIP"):
        embedder.prepare("a text")


def test_a_tokenizer_that_cuts_at_random_is_refused(tmp_path: Path) -> None:
    published = in_folder(tmp_path / "published", "tiny")
    config = json.loads((published / "open_clip_config.json").read_text())
    config["model_cfg"]["text_cfg"] = {**TEXT, "tokenizer_kwargs": {"reduction_mask": "random"}}
    (published / "open_clip_config.json").write_text(json.dumps(config))
    with pytest.raises(UsageError, match="at random"):
        ClipText(weights=published).prepare("a text")


def test_an_unknown_way_to_truncate_is_refused() -> None:
    with pytest.raises(UsageError, match="on_truncate cannot be 'cut'"):
        ClipText(on_truncate="cut")


def test_a_tokenizer_alone_has_upstreams_tokens_without_importing_open_clip() -> None:
    alone = """
import json, sys
from embedders.models.clip import ClipText
texts = json.loads(sys.argv[1])
samples = [ClipText(weights="random:0").prepare(text).ids.tolist() for text in texts]
print(json.dumps([samples, "open_clip" in sys.modules]))
"""
    texts = ["two red bells", "", "caf\u00e9 \U0001f514 &amp; it\u2019s 2 o'clock", "word " * 90]
    found = subprocess.run(
        [sys.executable, "-W", "error", "-c", alone, json.dumps(texts)], capture_output=True, text=True, check=True
    )
    samples, imported = json.loads(found.stdout)
    assert not imported
    tokens = open_clip.get_tokenizer("ViT-B-32")(texts)
    for ids, expected in zip(samples, tokens.tolist(), strict=True):
        assert ids + [0] * (77 - len(ids)) == expected

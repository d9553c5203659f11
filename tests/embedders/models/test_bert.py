"""Against transformers on the same folder; what sentence-transformers wrote has tests of its own."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tokenizers
import torch

from embedders import BadInput, Runtime, SetupError, Status, UsageError
from embedders.conformance import CHECKS
from embedders.models import bert
from embedders.models.bert import Bert
from embedders.models.tokens import Tokenizer
from embedders.weights import Hub
from tests.embedders.models.clips import perturb
from tests.embedders.models.tiny_bert import SMALL, TEXTS, WORDS, edit, save_bert, transformers
from tests.embedders.parity import embed_media, mixed_batches, relative_l2


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT as ``save_pretrained`` writes it."""
    return save_bert(tmp_path_factory.mktemp("bert"))


@pytest.mark.parametrize("pooling", ["mean", "cls", "last"])
def test_vectors_equal_upstream_alone_in_any_batch(pooling: str, plain: Path) -> None:
    tokenizer = transformers.AutoTokenizer.from_pretrained(plain)
    model = transformers.BertModel.from_pretrained(plain).eval()
    pool = {
        "mean": lambda states: states.mean(0),
        "cls": lambda states: states[0],
        "last": lambda states: states[-1],
    }
    with torch.no_grad():
        encoded = [tokenizer(text, truncation=True, max_length=64, return_tensors="pt") for text in TEXTS]
        states = [model(**each).last_hidden_state[0] for each in encoded]
        expected = np.stack([np.asarray(pool[pooling](each)) for each in states])
    embedder = Bert(weights=str(plain), pooling=pooling)
    for batch, vectors in mixed_batches(embedder, TEXTS).items():
        assert relative_l2(vectors, expected) < 1e-5, batch


def test_a_causal_model_is_pooled_at_its_last_token(plain: Path, tmp_path: Path) -> None:
    config = transformers.GPT2Config(
        vocab_size=len(WORDS), n_positions=64, n_embd=32, n_layer=2, n_head=4, bos_token_id=2, eos_token_id=3
    )
    model = perturb(transformers.GPT2Model(config))
    model.save_pretrained(tmp_path)
    tokenizer = transformers.AutoTokenizer.from_pretrained(plain)
    tokenizer.save_pretrained(tmp_path)
    short = [text for text in TEXTS if len(tokenizer(text).input_ids) < 64]
    with torch.no_grad():
        ids = [tokenizer(text, return_tensors="pt", return_token_type_ids=False) for text in short]
        expected = np.stack([np.asarray(model(**each).last_hidden_state[0, -1]) for each in ids])
    edit(tmp_path / "tokenizer_config.json", model_input_names=["input_ids", "attention_mask"])
    embedder = Bert(weights=str(tmp_path), pooling="last", normalize=False)
    assert relative_l2(embed_media(embedder, short, len(short)), expected) < 1e-5


@pytest.mark.parametrize(("letters", "truncated"), [(62, False), (63, True), (5000, True)])
def test_truncation_is_told_exactly(letters: int, truncated: bool, plain: Path) -> None:
    text = " ".join("a" * letters)
    embedder, strict = Bert(weights=str(plain)), Bert(weights=str(plain), on_truncate="error")
    sample = embedder.prepare(text)
    assert embedder.flags(sample) == (("truncated_text",) if truncated else ())
    assert embedder.cost(sample) == 64
    if truncated:
        with pytest.raises(BadInput, match="more than 64 tokens") as caught:
            strict.prepare(text)
        assert (caught.value.status, caught.value.code) == (Status.LIMIT, "TXT_TRUNCATED")
    else:
        assert strict.cost(strict.prepare(text)) == 64


@pytest.mark.parametrize("pooling", ["mean", "cls", "last"])
def test_a_long_text_is_read_in_chunks_and_averaged(pooling: str, plain: Path) -> None:
    from transformers import AutoModel, AutoTokenizer

    long = " ".join("abcdefghij"[place % 10] for place in range(150))
    tokenizer, model = AutoTokenizer.from_pretrained(plain), AutoModel.from_pretrained(plain).eval()
    encoded = tokenizer(long, truncation=True, max_length=64, return_overflowing_tokens=True)
    assert [len(ids) for ids in encoded["input_ids"]] == [64, 64, 28]
    states = []
    with torch.inference_mode():
        for ids in encoded["input_ids"]:
            hidden = model(input_ids=torch.tensor([ids])).last_hidden_state[0]
            pooled = {"mean": hidden.mean(0), "cls": hidden[0], "last": hidden[-1]}[pooling]
            states.append((pooled * (len(ids) if pooling == "mean" else 1)).numpy())
    expected = sum(states) / (156 if pooling == "mean" else 3)
    embedder = Bert(weights=str(plain), pooling=pooling, normalize=False, on_truncate="chunk")
    assert embedder.flags(embedder.prepare(long)) == ("chunks_3",)
    short = Bert(weights=str(plain), pooling=pooling, normalize=False).embed(["a b c"])
    for batch_size in (1, 3):
        found = embedder.embed(["a b c", long, "a b c"], batch_size=batch_size)
        assert relative_l2(found[1:2], expected[None]) < 1e-5
        assert relative_l2(found[[0, 2]], np.repeat(short, 2, 0)) < 1e-5


def test_a_text_without_a_token_is_empty(plain: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    embedder = Bert(weights=str(plain))
    backend = tokenizers.Tokenizer(tokenizers.models.WordLevel({"bell": 0}, unk_token="bell"))
    backend.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    monkeypatch.setitem(embedder.__dict__, "_made_tokenizer", Tokenizer(backend, frozenset(), 0, False))
    with pytest.raises(BadInput) as caught:
        embedder.prepare("   ")
    assert (caught.value.status, caught.value.code) == (Status.EMPTY, "TXT_NO_TOKENS")


def test_tokens_are_upstreams_from_many_threads(plain: Path) -> None:
    tokenizer = transformers.AutoTokenizer.from_pretrained(plain)
    expected = [tokenizer(text, truncation=True, max_length=64).input_ids for text in TEXTS]
    embedder = Bert(weights=str(plain))
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda text: embedder.prepare(text).ids.tolist(), TEXTS * 40))
    assert found == expected * 40


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_contract(check: Any, plain: Path) -> None:
    check(Bert(weights=str(plain), normalize=True, max_tokens=40))


def test_the_seeded_model_reads_letters(monkeypatch: pytest.MonkeyPatch) -> None:
    default = transformers.BertConfig
    facts = Bert(weights="random:0")._facts
    assert (default().hidden_size, default().max_position_embeddings) == (facts.dim, facts.positions)
    monkeypatch.setattr(
        transformers, "BertConfig", lambda: default(**{**SMALL, "hidden_size": 768, "vocab_size": 4000})
    )
    first, again = (Bert(weights="random:1", normalize=True) for _ in range(2))
    vectors = embed_media(first, ["bell", "bELL", "Колокол", "колокола", "x" * 5000], 5)
    assert np.array_equal(vectors[0], vectors[1])
    assert relative_l2(vectors[2], vectors[3]) > 1e-3
    assert relative_l2(vectors[:2], embed_media(again, ["bell", "bell"], 2)) < 1e-5


@pytest.mark.parametrize("name", bert.PUBLISHED)
def test_known_models_need_no_network_for_their_spec(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Hub, "fetch", lambda *_: pytest.fail("asked the hub"))
    embedder = Bert(weights=name)
    spec = embedder.spec
    sentence = name.startswith("sentence")
    assert (spec.modality, spec.dim, spec.normalized) == ("text", 384 if sentence else 768, sentence)
    assert (spec.details["pooling"], spec.details["max_tokens"]) == ("mean", 256 if sentence else 512)
    assert len(embedder.weights_identity["revision"]) == 40


def test_a_known_id_that_is_something_else_is_an_error(plain: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Hub, "fetch", lambda self, one_of, also=(): plain)
    with pytest.raises(SetupError, match="is known as"):
        Bert().forward(Runtime())


def test_different_meaning_is_a_different_space(plain: Path) -> None:
    options: list[dict[str, Any]] = [
        {},
        {"pooling": "cls"},
        {"weights": "random:0"},
        {"weights": "random:1"},
        {"weights": "sentence-transformers/all-MiniLM-L6-v2"},
        {"weights": str(plain)},
    ]
    assert len({Bert(**option).spec.space for option in options}) == len(options)


def test_queries_and_passages_share_a_space() -> None:
    spaces = {Bert(prompt=prompt).spec.space for prompt in ("query: ", "passage: ")}
    details = {str(Bert(prompt=prompt).spec.details) for prompt in ("query: ", "passage: ")}
    assert (len(spaces), len(details)) == (1, 2)


@pytest.mark.parametrize(
    "options",
    [
        {"pooling": "average"},
        {"on_truncate": "ignore"},
        {"max_tokens": 0},
        {"max_tokens": True},
        {"max_tokens": 513},
        {"weights": "bert"},
    ],
    ids=str,
)
def test_options_without_sense_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        _ = Bert(**options).spec


def test_a_limit_that_leaves_no_token_of_the_text_is_refused(plain: Path) -> None:
    with pytest.raises(UsageError, match="2 special tokens"):
        Bert(weights=str(plain), max_tokens=2).prepare("bell")


def test_an_encoder_with_a_decoder_is_refused(tmp_path: Path) -> None:
    transformers.BartConfig().save_pretrained(tmp_path)
    with pytest.raises(SetupError, match="with a decoder"):
        _ = Bert(weights=str(tmp_path)).spec


def test_a_missing_parameter_is_an_error_but_an_unused_one_is_not(plain: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = tmp_path / "copy"
    shutil.copytree(plain, folder)
    state = load_file(folder / "model.safetensors")
    state = {name: value for name, value in state.items() if not name.startswith("pooler.")}
    save_file(state, folder / "model.safetensors", {"format": "pt"})
    with_pooler, without = (embed_media(Bert(weights=str(path)), TEXTS, 3) for path in (plain, folder))
    assert np.array_equal(with_pooler, without)
    del state["encoder.layer.0.output.dense.weight"]
    save_file(state, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(SetupError, match=r"lacks 1 parameters.*layer\.0\.output\.dense\.weight"):
        Bert(weights=str(folder)).forward(Runtime())


def test_a_broken_parameter_is_refused(plain: Path, tmp_path: Path) -> None:
    model = transformers.BertModel.from_pretrained(plain)
    with torch.no_grad():
        model.encoder.layer[1].output.dense.bias[0] = float("nan")
    folder = tmp_path / "broken"
    shutil.copytree(plain, folder)
    model.save_pretrained(folder)
    with pytest.raises(SetupError, match=r"1 of .* are NaN or infinite"):
        Bert(weights=str(folder)).load(Runtime())


def test_loading_is_silent(plain: Path, capfd: pytest.CaptureFixture[str]) -> None:
    embed_media(Bert(weights=str(plain)), TEXTS[:2], 2)
    assert capfd.readouterr() == ("", "")

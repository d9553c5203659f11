"""Networks of text and sound by every engine: the same vectors, in any batch, from several threads at once."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchaudio

from embedders import BaseEmbedder, Runtime
from embedders.base import Vectors
from embedders.models import wav2vec2_bundle
from embedders.models.bert import Bert
from embedders.models.bert_networks import TextEncoder
from embedders.models.wav2vec2 import Wav2Vec2
from embedders.models.wav2vec2_bundle import Wav2Vec2Bundle
from embedders.runtime import Network
from tests.embedders.models.clips import clips, perturb
from tests.embedders.models.tiny_bert import SMALL, TEXTS, save_bert, transformers
from tests.embedders.models.tiny_speech import save
from tests.embedders.parity import relative_l2, smallest_cosine

FAST, HALF = Runtime("cpu", "fp32", "openvino"), Runtime("cpu", "bf16", "openvino")

SOUNDS = clips((8000, 1600, 5555, 719, 4000, 400))
"""From half a second down to a single frame."""

SPEECH = ["wav2vec2 group", "wav2vec2 layer", "hubert with a batch norm", "wavlm group", "data2vec"]
BUNDLES = ["WAV2VEC2_BASE", "WAVLM_LARGE"]

POSITIONS = {**SMALL, "vocab_size": 100, "max_position_embeddings": 66}
ENCODERS: dict[str, tuple[str, dict[str, Any]]] = {
    "absolute positions": ("Bert", POSITIONS),
    "positions counted from the padding": ("XLMRoberta", POSITIONS),
    "bias by distance": ("MPNet", POSITIONS),
    "rotary and local": ("ModernBert", {**POSITIONS, "local_attention": 16, "pad_token_id": 0}),
    "disentangled": (
        "DebertaV2",
        {**POSITIONS, "relative_attention": True, "pos_att_type": ["p2c", "c2p"], "position_buckets": 8},
    ),
    "other names": ("DistilBert", {"vocab_size": 100, "dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 64}),
    "causal": ("GPT2", {"vocab_size": 100, "n_positions": 64, "n_embd": 32, "n_layer": 2, "n_head": 4}),
}


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """One cache for all: what a test converts, the next one reads."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EMBED_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], BaseEmbedder]:
    """The embedder of a family, with weights that are saved once."""

    @functools.cache
    def folder(family: str) -> Path:
        place = tmp_path_factory.mktemp("model")
        return save_bert(place) if family == "bert" else save(family, place)

    def make(family: str) -> BaseEmbedder:
        weights = str(folder(family))
        return Bert(weights=weights) if family == "bert" else Wav2Vec2(weights=weights, normalize=False)

    return make


@pytest.fixture
def small_bundles(monkeypatch: pytest.MonkeyPatch) -> None:
    """torchaudio's architectures with few and narrow layers."""
    small = {
        "extractor_conv_layer_config": [(32, 10, 5), *[(32, 3, 2)] * 4, *[(32, 2, 2)] * 2],
        "encoder_pos_conv_kernel": 16,
        "encoder_num_layers": 2,
        "encoder_num_heads": 4,
        "encoder_ff_interm_features": 64,
    }
    found = wav2vec2_bundle._bundles()
    for name in BUNDLES:
        real = found[name]
        parameters = {**real._params, **small, "encoder_embed_dim": 64}
        kind = torchaudio.pipelines.Wav2Vec2Bundle
        bundle = kind(real._path, parameters, real._sample_rate, real._normalize_waveform, real._model_type)
        monkeypatch.setattr(torchaudio.pipelines, name, bundle)


def inputs_of(embedder: BaseEmbedder) -> Sequence[Any]:
    return TEXTS if isinstance(embedder, Bert) else SOUNDS


def vectors(embedder: BaseEmbedder, runtime: Runtime, size: int) -> Vectors:
    """Of the embedder's inputs, in batches of ``size``."""
    forward = embedder.forward(runtime)
    samples = [embedder.prepare(media) for media in inputs_of(embedder)]
    cuts = [samples[start : start + size] for start in range(0, len(samples), size)]
    return np.concatenate([np.asarray(forward(embedder.collate(cut))) for cut in cuts])


@pytest.mark.parametrize("family", ["bert", *SPEECH])
def test_openvino_gives_the_vectors_of_torch_in_any_batch(family: str, made: Callable[[str], BaseEmbedder]) -> None:
    embedder = made(family)
    exact = vectors(embedder, Runtime(), 1)
    for size in (1, 3, len(exact)):
        assert relative_l2(vectors(embedder, FAST, size), exact) < 1e-4, size


@pytest.mark.parametrize("name", BUNDLES)
def test_openvino_gives_the_vectors_of_a_bundle(name: str, small_bundles: None) -> None:
    embedder = Wav2Vec2Bundle(weights="random:0", bundle=name, layer="mean", normalize=False)
    exact = vectors(embedder, Runtime(), 1)
    for size in (1, 4):
        assert relative_l2(vectors(embedder, FAST, size), exact) < 1e-4, size


@pytest.mark.parametrize("kind", ENCODERS)
def test_masks_and_positions_of_every_kind_of_encoder_survive_the_conversion(kind: str) -> None:
    name, settings = ENCODERS[kind]
    torch.manual_seed(0)
    model = perturb(getattr(transformers, f"{name}Model")(getattr(transformers, f"{name}Config")(**settings)))

    def batch(lengths: list[int]) -> tuple[torch.Tensor, ...]:
        attended = (torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]).long()
        ids = torch.randint(5, 100, attended.shape, generator=torch.Generator().manual_seed(1))
        return ids * attended + (1 - attended), torch.zeros_like(attended), attended

    network = Network(
        "trunk", {"kind": kind}, lambda: TextEncoder(model, False), lambda: batch([5, 3]), ((0, 1),) * 3
    )
    exact, fast = Runtime().network(network), FAST.network(network)
    for lengths in ([5, 3], [7, 7, 7], [1], [60, 3, 17], [2, 1]):
        tensors = batch(lengths)
        valid = tensors[2].bool()
        assert relative_l2(fast(*tensors)[0][valid], exact(*tensors)[0][valid]) < 1e-4, lengths


@pytest.mark.parametrize("family", ["bert", "wav2vec2 group", "hubert with a batch norm"])
def test_half_precision_stays_close(family: str, made: Callable[[str], BaseEmbedder]) -> None:
    embedder = made(family)
    exact = vectors(embedder, Runtime(), 1)
    # in channels as few as here, a clip shorter than a quarter of a second gets a coarser convolution of OpenVINO
    kept = [
        place for place, media in enumerate(inputs_of(embedder)) if isinstance(media, str) or media.seconds >= 0.25
    ]
    assert len(kept) >= 3
    for size in (1, len(exact)):
        assert smallest_cosine(vectors(embedder, HALF, size)[kept], exact[kept]) > 0.999, size


@pytest.mark.parametrize("runtime", [Runtime(), FAST], ids=["torch", "openvino"])
@pytest.mark.parametrize("family", ["bert", "wav2vec2 group", "data2vec", "wavlm group"])
def test_threads_at_once_do_not_see_each_other(
    family: str, runtime: Runtime, made: Callable[[str], BaseEmbedder]
) -> None:
    embedder = made(family)
    forward = embedder.forward(runtime)
    samples = [embedder.prepare(media) for media in inputs_of(embedder)]
    batches = [embedder.collate(samples[start : start + size]) for size in (1, 2, 5) for start in range(5)]
    one_by_one = [np.asarray(forward(batch)) for batch in batches]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda batch: np.asarray(forward(batch)), batches * 2))
    for found, expected in zip(together, one_by_one * 2, strict=True):
        assert relative_l2(found, expected) < 1e-6


@pytest.mark.parametrize("family", ["bert", "wav2vec2 layer"])
def test_a_conversion_is_read_from_the_cache_and_nothing_is_built(
    family: str, made: Callable[[str], BaseEmbedder], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = vectors(made(family), FAST, 3)
    monkeypatch.setattr(Bert, "_model", lambda self: pytest.fail("the torch module was built"))
    monkeypatch.setattr(Wav2Vec2, "_model", lambda self: pytest.fail("the torch module was built"))
    assert np.array_equal(vectors(made(family), FAST, 3), first)


def test_a_causal_model_keeps_no_keys_for_a_next_token() -> None:
    config = transformers.GPT2Config(vocab_size=10, n_positions=8, n_embd=8, n_layer=1, n_head=2)
    assert config.use_cache
    assert not TextEncoder(transformers.GPT2Model(config), False).model.config.use_cache

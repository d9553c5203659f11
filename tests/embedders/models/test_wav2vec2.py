"""Vectors against upstream's own classes with the clip alone: small models, no parameter at its initial value."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import soxr
import torch

from embedders import BadInput, Runtime, Waveform
from embedders.conformance import CHECKS
from embedders.models.wav2vec2 import Wav2Vec2
from tests.embedders.models.clips import LENGTHS, clips
from tests.embedders.models.tiny_speech import FAMILIES, GROUPED, alone, build, save, transformers, upstream
from tests.embedders.parity import embed_media, mixed_batches, relative_l2, smallest_cosine

Fetch = Callable[[str], Path]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Fetch:
    """The folder of a family's model, made when it is first asked for."""
    return functools.cache(lambda family: save(family, tmp_path_factory.mktemp("model")))


@pytest.mark.parametrize("family", FAMILIES)
def test_vectors_equal_upstream_alone_in_any_batch(family: str, folder: Fetch) -> None:
    model = upstream(family, folder(family))
    expected = np.stack([alone(model, media).mean(0) for media in clips()])
    embedder = Wav2Vec2(weights=str(folder(family)), normalize=False)
    for batch, vectors in mixed_batches(embedder, clips()).items():
        assert relative_l2(vectors, expected) < 1e-5, batch
        assert smallest_cosine(vectors, expected) > 0.999999, batch


@pytest.mark.parametrize("layer", ["last", 0, 1, 2])
@pytest.mark.parametrize("family", ["wav2vec2 group", "wav2vec2 layer", "wavlm layer"])
def test_a_layer_is_the_hidden_state_of_that_number(family: str, layer: str | int, folder: Fetch) -> None:
    model = upstream(family, folder(family))
    embedder = Wav2Vec2(weights=str(folder(family)), layer=layer, normalize=False)
    media = clips((1600, 4000))
    if isinstance(layer, int):
        expected = np.stack([alone(model, clip)[layer] for clip in media])
    else:
        ready = [torch.from_numpy(embedder.prepare(clip).windows[0]) for clip in media]
        with torch.no_grad():
            expected = np.stack([np.asarray(model(w[None]).last_hidden_state[0].mean(0)) for w in ready])
    assert relative_l2(embed_media(embedder, media, 2), expected) < 1e-5


def _padded(family: str, folder: Path, with_mask: bool) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """The first clip's frames from upstream: in a batch with a longer one, and alone."""
    model = upstream(family, folder)
    stem = Wav2Vec2(weights=str(folder))._stem
    short, long = (torch.from_numpy(stem.ready(clip.samples)) for clip in clips((3000, 8000)))
    waves = torch.nn.utils.rnn.pad_sequence([short, long], batch_first=True)
    mask = (torch.arange(8000) < torch.tensor([[3000], [8000]])).long() if with_mask else None
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch about WavLM's masks
        together = model(waves, attention_mask=mask).last_hidden_state[0, : stem.frames(3000)]
        return together.numpy(), model(short[None]).last_hidden_state[0].numpy()


@pytest.mark.parametrize("with_mask", [False, True])
@pytest.mark.parametrize("family", GROUPED)
def test_upstream_lets_padding_change_group_norm_models(family: str, with_mask: bool, folder: Fetch) -> None:
    together, alone = _padded(family, folder(family), with_mask)
    assert np.linalg.norm(together - alone) / np.linalg.norm(alone) > 1e-2


@pytest.mark.parametrize("family", ["hubert with a batch norm", "data2vec"])
def test_upstream_lets_padding_through_its_positional_convolutions(family: str, folder: Fetch) -> None:
    together, alone = _padded(family, folder(family), with_mask=True)
    assert np.linalg.norm(together - alone) / np.linalg.norm(alone) > 1e-3


@pytest.mark.parametrize("family", ["wav2vec2 layer", "hubert layer", "wavlm layer"])
def test_upstream_needs_the_mask_for_layer_norm_models(family: str, folder: Fetch) -> None:
    (masked, alone), (plain, _) = (_padded(family, folder(family), with_mask) for with_mask in (True, False))
    assert np.linalg.norm(masked - alone) / np.linalg.norm(alone) < 1e-5
    assert np.linalg.norm(plain - alone) / np.linalg.norm(alone) > 1e-3


def test_samples_are_standardised_as_the_extractor_does() -> None:
    extractor = transformers.Wav2Vec2FeatureExtractor()
    for media in [*clips(), Waveform(np.zeros(400, np.float32), 16_000)]:
        expected = extractor(media.samples, sampling_rate=16_000, return_tensors="np").input_values[0]
        (found,) = Wav2Vec2().prepare(media).windows
        assert found.dtype == np.float32
        assert np.array_equal(found, expected)


def test_frames_are_those_of_the_model() -> None:
    model, stem = build("wav2vec2 group"), Wav2Vec2(weights="random:0")._facts.stem
    lengths = torch.arange(400, 5000)
    assert [stem.frames(int(n)) for n in lengths] == model._get_feat_extract_output_lengths(lengths).tolist()


def test_other_rates_are_resampled(folder: Fetch) -> None:
    media = clips((2000, 700), rate=8000)
    model = upstream("wav2vec2 group", folder("wav2vec2 group"))
    resampled = [Waveform(soxr.resample(clip.samples, 8000, 16_000, quality="HQ"), 16_000) for clip in media]
    expected = np.stack([alone(model, clip).mean(0) for clip in resampled])
    embedder = Wav2Vec2(weights=str(folder("wav2vec2 group")), normalize=False)
    assert relative_l2(embed_media(embedder, media, 2), expected) < 1e-5


def test_gain_and_offset_vanish_where_samples_are_standardised(folder: Fetch) -> None:
    (media,) = clips((4000,))
    quiet = Waveform(media.samples * np.float32(0.1) + np.float32(0.05), media.rate)
    vectors = embed_media(Wav2Vec2(weights=str(folder("hubert group"))), [media, quiet], 1)
    assert smallest_cosine(vectors[:1], vectors[1:]) > 0.99999


def test_windows_are_embedded_as_clips_of_their_own(folder: Fetch) -> None:
    (long, short) = clips((8100, 2500))
    embedder = Wav2Vec2(weights=str(folder("wav2vec2 group")), window_seconds=0.25, normalize=False)
    pieces = [Waveform(long.samples[start : start + 4000], 16_000) for start in (0, 4000)]
    parts = embed_media(embedder, pieces, 1)
    vectors = embed_media(embedder, [short, long], 2)
    assert embedder.flags(embedder.prepare(long)) == ("windows_2", "rest_left_out")
    assert relative_l2(vectors[1:], parts.mean(0)[None]) < 1e-5
    assert relative_l2(vectors[:1], embed_media(embedder, [short], 1)) < 1e-5


def test_the_receptive_field_is_the_least() -> None:
    embedder = Wav2Vec2()
    assert embedder.cost(embedder.prepare(Waveform(np.ones(400, np.float32), 16_000))) == 1
    with pytest.raises(BadInput, match=r"0\.0249 seconds.*0\.0250"):
        embedder.prepare(Waveform(np.ones(399, np.float32), 16_000))


@pytest.mark.parametrize("family", ["wav2vec2 group", "wavlm layer"])
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_contract(check: Any, family: str, folder: Fetch) -> None:
    check(Wav2Vec2(weights=str(folder(family)), window_seconds=0.3))


def test_unit_length_unless_asked_otherwise(folder: Fetch) -> None:
    vectors = embed_media(Wav2Vec2(weights=str(folder("data2vec"))), clips(), 4)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    assert not Wav2Vec2(normalize=False).spec.normalized


def test_nothing_is_trained_and_two_calls_are_equal(folder: Fetch, monkeypatch: pytest.MonkeyPatch) -> None:
    embedder = Wav2Vec2(weights=str(folder("wav2vec2 group")))
    models: list[torch.nn.Module] = []
    place = Runtime.place

    def seen(runtime: Runtime, module: torch.nn.Module) -> torch.nn.Module:
        models.append(place(runtime, module))
        return models[-1]

    monkeypatch.setattr(Runtime, "place", seen)
    assert np.array_equal(embed_media(embedder, clips(), 4), embed_media(embedder, clips(), 4))
    assert [model.training for model in models] == [False]
    assert not any(parameter.requires_grad for model in models for parameter in model.parameters())


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
@pytest.mark.parametrize("family", FAMILIES)
def test_half_precision_stays_close_in_any_batch(family: str, precision: str, folder: Fetch) -> None:
    embedder = Wav2Vec2(weights=str(folder(family)))
    samples = [embedder.prepare(media) for media in clips()]
    exact, half = embedder.forward(Runtime()), embedder.forward(Runtime(precision=precision))
    alone = np.concatenate([half(embedder.collate([sample])) for sample in samples])
    assert smallest_cosine(alone, exact(embedder.collate(samples))) > 0.999
    assert smallest_cosine(half(embedder.collate(samples)), alone) > 0.999


def test_lengths_hold_what_the_other_tests_rely_on() -> None:
    frames = [Wav2Vec2(weights="random:0")._facts.stem.frames(length) for length in LENGTHS]
    assert min(frames) == 1
    assert len(set(frames)) == 7

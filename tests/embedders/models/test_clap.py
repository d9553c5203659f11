"""Vectors against upstream's extractor, tokenizer and towers: small models, no parameter at its initial value."""

from __future__ import annotations

import functools
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from safetensors.torch import load_file, save_file

from embedders import BadInput, Runtime, SetupError, UsageError, Waveform
from embedders.conformance import CHECKS
from embedders.models import clap_source, pretrained
from embedders.models.clap import ClapAudio, ClapText
from embedders.models.log_mel import ClapEar
from tests.embedders.models.clips import clips
from tests.embedders.models.tiny_bert import edit
from tests.embedders.models.tiny_encoders import save_clap, transformers
from tests.embedders.parity import embed_media, mixed_batches, relative_l2, smallest_cosine

# a window, one less, a bit more than half of one, a third, one sample
LENGTHS = (96_000, 95_999, 50_000, 32_000, 1)
TEXTS = ["rain", "two red bells", "a dog barks, twice", "ÄÖ 🔔", "<mask> and <pad>", "x" * 30]
Fetch = Callable[[bool], Path]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Fetch:
    """The folder of a model, trained for fusion or not, made when it is first asked for."""
    return functools.cache(lambda fusion: save_clap(tmp_path_factory.mktemp("clap"), fusion))


def extracted(place: Path, media: Waveform) -> Any:
    extractor = transformers.ClapFeatureExtractor.from_pretrained(place)
    return extractor(media.samples, sampling_rate=48_000, return_tensors="pt")


@torch.no_grad()
def heard(place: Path, media: Waveform) -> npt.NDArray[np.float32]:
    """Upstream's vector of one clip of at most a window, which is not longer than one."""
    model = transformers.ClapModel.from_pretrained(place).eval()
    not_longer = torch.zeros(1, 1, dtype=torch.bool)
    found = model.get_audio_features(extracted(place, media).input_features, is_longer=not_longer)
    return np.asarray(found.pooler_output[0])


@torch.no_grad()
def read(place: Path, text: str) -> npt.NDArray[np.float32]:
    model = transformers.ClapModel.from_pretrained(place).eval()
    tokens = transformers.AutoTokenizer.from_pretrained(place)(text, return_tensors="pt")
    return np.asarray(model.get_text_features(**tokens).pooler_output[0])


@pytest.mark.parametrize("fusion", [False, True])
def test_sounds_equal_upstream_alone_in_any_batch(fusion: bool, folder: Fetch) -> None:
    media = clips(LENGTHS, 48_000)
    expected = np.stack([heard(folder(fusion), clip) for clip in media])
    for batch, vectors in mixed_batches(ClapAudio(weights=folder(fusion)), media, (1, 3)).items():
        assert relative_l2(vectors, expected) < 1e-5, batch


def test_texts_equal_upstream_alone_in_any_batch(folder: Fetch) -> None:
    expected = np.stack([read(folder(False), text) for text in TEXTS[:-1]])
    for batch, vectors in mixed_batches(ClapText(weights=folder(False)), TEXTS[:-1], (1, 3)).items():
        assert relative_l2(vectors, expected) < 1e-5, batch


@pytest.mark.parametrize("padding", ["repeatpad", "repeat", "pad"])
@pytest.mark.parametrize("truncation", ["rand_trunc", "fusion"])
def test_the_spectrogram_is_bitwise_upstreams(truncation: str, padding: str) -> None:
    options = {"max_length_s": 1, "frequency_min": 50, "truncation": truncation, "padding": padding}
    extractor = transformers.ClapFeatureExtractor(**options)
    ear = ClapEar.of(json.loads(extractor.to_json_string()))
    for media in clips((48_000, 47_999, 30_000, 17, 1), 48_000):
        expected = extractor(media.samples, sampling_rate=48_000, return_tensors="np").input_features[0, 0]
        assert np.array_equal(ear.features(media.samples), expected)


def test_ten_seconds_are_heard_as_upstream_hears_them() -> None:
    extractor = transformers.ClapFeatureExtractor(frequency_min=50, truncation="rand_trunc")
    (media,) = clips((480_000,), 48_000)
    expected = extractor(media.samples, sampling_rate=48_000, return_tensors="np").input_features[0, 0]
    assert ClapEar.of(json.loads(extractor.to_json_string())) == ClapEar() == ClapAudio(weights="random:0")._ear
    assert np.array_equal(ClapEar().features(media.samples), expected)


@pytest.mark.parametrize("fusion", [False, True])
def test_a_longer_clip_is_the_mean_over_its_windows(fusion: bool, folder: Fetch) -> None:
    (long,) = clips((240_000,), 48_000)
    pieces = [Waveform(long.samples[start : start + 96_000], 48_000) for start in (0, 96_000, 192_000)]
    embedder = ClapAudio(weights=folder(fusion), normalize=False)
    parts = embed_media(embedder, pieces, 1)
    expected = (2 * parts[0] + 2 * parts[1] + parts[2]) / 5
    assert relative_l2(embed_media(embedder, [long], 1), expected[None]) < 1e-5
    assert smallest_cosine(parts, np.stack([heard(folder(fusion), piece) for piece in pieces])) > 0.999999
    assert embedder.flags(embedder.prepare(long)) == ("windows_3",)


def test_upstream_takes_a_piece_of_a_longer_clip_at_random(folder: Fetch) -> None:
    (long,) = clips((200_000,), 48_000)
    first, second = (extracted(folder(False), long).input_features for _ in range(2))
    assert not torch.equal(first, second)


def test_upstream_marks_a_clip_as_longer_that_is_not(folder: Fetch) -> None:
    (media,) = clips((96_000,), 48_000)
    assert extracted(folder(True), media).is_longer.tolist() == [[True]]


def test_both_towers_have_one_space_and_other_weights_another(folder: Fetch) -> None:
    spaces = [cls(weights=folder(fusion)).spec.space for fusion in (False, True) for cls in (ClapAudio, ClapText)]
    assert spaces[0] == spaces[1] != spaces[2] == spaces[3]
    assert ClapAudio().spec.space == ClapText().spec.space == "transformers:clap/laion/clap-htsat-unfused"
    assert {ClapAudio(weights=folder(True)).spec.dim, ClapText(weights=folder(True)).spec.dim} == {24}


def test_a_text_that_does_not_fit_is_cut_and_flagged_or_refused(folder: Fetch) -> None:
    embedder = ClapText(weights=folder(False))
    sample = embedder.prepare(TEXTS[-1])
    assert (len(sample.ids), embedder.flags(sample)) == (30, ("truncated_text",))
    assert embedder.flags(embedder.prepare("x" * 28)) == ()
    with pytest.raises(BadInput, match="more than 30 tokens"):
        ClapText(weights=folder(False), on_truncate="error").prepare(TEXTS[-1])


@pytest.mark.parametrize("cls", [ClapAudio, ClapText])
def test_a_seed_gives_the_same_towers_again(cls: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    text = {"hidden_size": 16, "num_attention_heads": 4, "num_hidden_layers": 1, "intermediate_size": 8}
    sound = {"depths": [1, 1], "num_attention_heads": [1, 2], "patch_embeds_hidden_size": 8, "hidden_size": 16}
    shape = cls.family.shape
    monkeypatch.setitem(shape, "text_config", {**shape["text_config"], **text})
    monkeypatch.setitem(shape, "audio_config", sound)
    media = TEXTS[:2] if cls is ClapText else clips((9000, 4000), 48_000)
    first, again, other = (embed_media(cls(weights=f"random:{seed}"), media, 2) for seed in (3, 3, 4))
    assert np.array_equal(first, again)
    assert relative_l2(first, other) > 0.1


def test_constants_that_old_checkpoints_do_not_hold_are_made(folder: Fetch, tmp_path: Path) -> None:
    save_clap(tmp_path)
    state = load_file(tmp_path / "model.safetensors")
    for name in clap_source.POSITIONS:
        del state[name]
    save_file(state, tmp_path / "model.safetensors", {"format": "pt"})
    old, new = (embed_media(ClapText(weights=place), TEXTS, 6) for place in (tmp_path, folder(False)))
    assert np.array_equal(old, new)
    del state["audio_projection.linear2.bias"]
    save_file(state, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(SetupError, match="lacks 1 parameters"):
        ClapAudio(weights=tmp_path).load(Runtime())


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    save_clap(tmp_path)
    (tmp_path / "preprocessor_config.json").unlink()
    with pytest.raises(SetupError, match="does not say how sound is prepared"):
        _ = ClapAudio(weights=tmp_path).spec
    sound = json.loads((tmp_path / "config.json").read_text())["audio_config"]
    edit(tmp_path / "config.json", audio_config={**sound, "enable_fusion": True, "fusion_type": "channel_map"})
    with pytest.raises(SetupError, match="channel_map"):
        _ = ClapAudio(weights=tmp_path).spec
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "clip"}))
    with pytest.raises(SetupError, match="is of kind 'clip'"):
        _ = ClapText(weights=tmp_path).spec


def test_a_known_id_that_is_something_else_is_refused(folder: Fetch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pretrained, "folder_of", lambda *_, **__: folder(False))
    with pytest.raises(SetupError, match=r"dim=24.*'laion/clap-htsat-unfused' is known as .*dim=512"):
        ClapAudio().load(Runtime())


@pytest.mark.parametrize("cls", [ClapAudio, ClapText])
def test_missing_weights_name_the_way_out(cls: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(SetupError, match=r"hf download laion/clap-htsat-unfused.*weights=FOLDER"):
        cls().load(Runtime())


def test_an_unknown_choice_is_refused() -> None:
    with pytest.raises(UsageError, match="Did you mean 'error'"):
        ClapText(on_truncate="errors")


def test_revisions_are_commits() -> None:
    assert all(hub.pinned() is hub for hub in ClapAudio.family.known.values())


def test_the_default_specs_are_read_without_torch() -> None:
    script = """
import sys
from embedders.models.clap import ClapAudio, ClapText
print(ClapAudio().spec.dim, ClapText().spec.dim, {"torch", "transformers", "soxr", "tokenizers"} & set(sys.modules))
"""
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["512", "512", "set()"]


@pytest.mark.parametrize("cls", [ClapAudio, ClapText])
def test_openvino_gives_the_same_vectors(cls: Any, folder: Fetch) -> None:
    embedder = cls(weights=folder(cls is ClapAudio))
    media = TEXTS if cls is ClapText else clips(LENGTHS, 48_000)
    forward, expected = embedder.forward(Runtime(accel="openvino")), embed_media(embedder, media, 6)
    for count in (len(media), 1):
        found = forward(embedder.collate([embedder.prepare(one) for one in media[:count]]))
        assert relative_l2(found.numpy(), expected[:count]) < 1e-5


@pytest.mark.parametrize("cls", [ClapAudio, ClapText])
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_contract(check: Any, cls: Any, folder: Fetch) -> None:
    check(cls(weights=folder(False)))

"""The starter's embedders: their contract, what becomes of odd inputs, and weights from a folder."""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from embedders import BadInput, BaseEmbedder, Runtime, SetupError, UsageError, Waveform
from embedders.conformance import CHECKS
from embedders.models import starter_sound, starter_weights
from embedders.models.starter import StarterAudio, StarterImage, StarterText

ALL = (StarterImage, StarterText, StarterAudio)
WINDOW = starter_sound.WINDOW


def noise(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.1, count).astype(np.float32)


def heard(samples: np.ndarray, rate: int = 16_000) -> Waveform:
    return Waveform(samples.astype(np.float32), rate)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What a training writes: the weights of random:7 in half precision, and three words."""
    state: dict[str, torch.Tensor] = {}
    for cls in ALL:
        embedder = cls(weights="random:7")
        tower = embedder.network().state_dict()
        state.update({f"{embedder.spec.modality}.{name}": value.half() for name, value in tower.items()})
    save_file(state, tmp_path / "model.safetensors")
    config = StarterText(weights="random:7", words=["red", "two", "bells"]).config()
    (tmp_path / "config.json").write_text(json.dumps(config))
    return tmp_path


@pytest.mark.parametrize("cls", ALL)
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_the_contract_is_kept(check: Any, cls: type[BaseEmbedder]) -> None:
    check(cls(weights="random:0"))


def test_the_three_share_a_space_of_unit_vectors() -> None:
    specs = [cls(weights="random:3").spec for cls in ALL]
    assert {spec.space for spec in specs} == {"starter/random:3"}
    assert [spec.modality for spec in specs] == ["image", "text", "audio"]
    assert {(spec.dim, spec.normalized) for spec in specs} == {(128, True)}


def test_the_towers_stay_small() -> None:
    count = sum(w.numel() for cls in ALL for w in cls(weights="random:0").network().parameters())
    assert 1_600_000 < count < 2_000_000


def test_no_layer_knows_its_batch() -> None:
    batch_norms = (torch.nn.BatchNorm1d, torch.nn.BatchNorm2d)
    assert not [m for cls in ALL for m in cls(weights="random:0").network().modules() if isinstance(m, batch_norms)]


def test_one_seed_gives_one_network_and_leaves_the_callers_chance_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    first, second = (StarterText(weights="random:1").network().state_dict() for _ in range(2))
    assert torch.equal(torch.rand(1), expected)
    assert all(torch.equal(first[name], second[name]) for name in first)


# ---- weights ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cls", [StarterImage, StarterAudio])
def test_a_folder_gives_the_vectors_of_the_network_that_was_saved(folder: Path, cls: type[BaseEmbedder]) -> None:
    trained, fresh = cls(weights=folder), cls(weights="random:7")
    expected = fresh.embed(fresh.examples(), device="cpu")
    assert np.abs(trained.embed(fresh.examples(), device="cpu") - expected).max() < 2e-3  # half precision


def test_a_file_is_as_good_as_its_folder(folder: Path) -> None:
    by_file = StarterImage(weights=folder / "model.safetensors")
    assert by_file.spec == StarterImage(weights=folder).spec


def test_the_space_is_named_by_the_weights(folder: Path) -> None:
    digest = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    assert {cls(weights=folder).spec.space for cls in ALL} == {f"starter:{digest[:16]}"}
    assert StarterAudio(weights=folder).weights_identity == {"file": "model.safetensors", "sha256": digest}


def test_shipped_weights_are_found_where_they_lie(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(starter_weights, "HOMES", (folder / "nowhere", folder))
    assert StarterText().spec.space == StarterText(weights=folder).spec.space


def test_missing_weights_name_the_way_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(starter_weights, "HOMES", (tmp_path,))
    with pytest.raises(SetupError, match=r"embed train scenes.*random:0"):
        StarterText().spec  # noqa: B018


def test_a_folder_without_weights_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=r"holds no model\.safetensors"):
        StarterImage(weights=tmp_path).spec  # noqa: B018


@pytest.mark.parametrize("content", ["{", "[]", '{"architecture": "other"}'])
def test_weights_of_another_architecture_are_refused(folder: Path, content: str) -> None:
    (folder / "config.json").write_text(content)
    with pytest.raises(SetupError, match=r"config\.json"):
        StarterImage(weights=folder).network()


def test_weights_of_other_shapes_are_refused(folder: Path) -> None:
    save_file({"image.head.0.weight": torch.zeros(3)}, folder / "model.safetensors")
    with pytest.raises(SetupError, match="image tower"):
        StarterImage(weights=folder).network()


def test_a_hub_id_is_no_starter() -> None:
    with pytest.raises(UsageError, match="starter weights"):
        StarterImage(weights="some/model").spec  # noqa: B018


# ---- pictures --------------------------------------------------------------------------------------------------


def test_a_picture_of_64_by_64_is_taken_as_it_is() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    assert np.array_equal(StarterImage(weights="random:0").prepare(picture), picture)


def test_a_wide_picture_is_squashed_whole() -> None:
    picture = np.zeros((64, 256, 3), np.uint8)
    picture[:, 128:] = 255
    found = StarterImage(weights="random:0").prepare(picture)
    assert found.shape == (64, 64, 3)
    assert (found[:, :30] < 5).all()
    assert (found[:, 34:] > 250).all()


def test_the_recorded_normalisation_is_what_the_tower_does() -> None:
    embedder = StarterImage(weights="random:0")
    pixels = torch.arange(256, dtype=torch.uint8).repeat(48).view(1, 64, 64, 3)
    expected = embedder._preprocess.normalise(pixels)
    assert torch.allclose(pixels.permute(0, 3, 1, 2).float() / 64 - 2, expected, atol=1e-5)


# ---- texts -----------------------------------------------------------------------------------------------------


def words_of(text: str) -> Any:
    return StarterText(weights="random:0", words=["two", "red", "bells"]).prepare(text)


def test_words_are_numbered_in_lower_case_and_between_them_is_nothing() -> None:
    assert words_of("Two  RED-bells!").ids.tolist() == [2, 3, 4, *[0] * 21]


def test_unknown_words_are_counted_and_flagged() -> None:
    sample = words_of("two grumpy red cats")
    assert sample.ids[:4].tolist() == [2, 1, 3, 1]
    assert StarterText(weights="random:0").flags(sample) == ("unknown_words_2",)


@pytest.mark.parametrize("text", ["grumpy cats", "!!", "12 34", " ".join(["cat"] * 24 + ["red"])])
def test_a_text_without_a_known_word_is_refused(text: str) -> None:
    with pytest.raises(BadInput) as caught:
        words_of(text)
    assert (caught.value.status, caught.value.code) == ("invalid", "TXT_NO_KNOWN_WORD")


@pytest.mark.parametrize(("count", "flags"), [(24, ()), (25, ("truncated_text",))])
def test_only_24_words_are_read_and_that_is_said(count: int, flags: tuple[str, ...]) -> None:
    sample = words_of(" ".join(["red"] * count))
    assert sample.ids.tolist() == [3] * 24
    assert StarterText(weights="random:0").flags(sample) == flags


def test_trained_weights_bring_their_words(folder: Path) -> None:
    assert StarterText(weights=folder).prepare("two red").ids[:2].tolist() == [3, 2]


def test_trained_weights_take_no_other_words(folder: Path) -> None:
    with pytest.raises(UsageError, match="bring their own words"):
        StarterText(weights=folder, words=["red"]).prepare("red")


@pytest.mark.parametrize("words", [[], ["a", "a"], [""], [f"w{i}" for i in range(511)]])
def test_words_must_be_different_and_few(words: list[str]) -> None:
    with pytest.raises(UsageError, match="1 to 510 different"):
        StarterText(weights="random:0", words=words)


def test_padding_changes_nothing() -> None:
    tower = StarterText(weights="random:0").network()
    ids = torch.tensor([[5, 6, 7]])
    padded = torch.tensor([[5, 6, 7, *[0] * 21]])
    assert torch.allclose(tower(ids), tower(padded), atol=1e-6)


def test_the_order_of_words_matters() -> None:
    vectors = StarterText(weights="random:0").embed(["bell above drum", "drum above bell"], device="cpu")
    assert np.abs(vectors[0] - vectors[1]).max() > 1e-5


# ---- sounds ----------------------------------------------------------------------------------------------------


def test_a_short_sound_is_repeated_and_flagged() -> None:
    embedder, clip = StarterAudio(weights="random:0"), noise(16_000)
    looped = embedder.prepare(heard(clip))
    assert embedder.flags(looped) == ("looped",)
    whole = embedder.prepare(heard(np.concatenate([clip] * 3)[:WINDOW]))
    assert np.array_equal(looped.levels, whole.levels)


def test_a_long_sound_is_cut_into_full_windows_the_last_moved_back() -> None:
    samples = noise(2 * WINDOW + 5)
    cut = starter_sound.windows(samples)
    assert cut.shape == (3, WINDOW)
    assert np.array_equal(cut[0], samples[:WINDOW])
    assert np.array_equal(cut[1], samples[WINDOW : 2 * WINDOW])
    assert np.array_equal(cut[2], samples[-WINDOW:])


@settings(max_examples=50, deadline=None)
@given(st.integers(starter_sound.SPAN, 4 * WINDOW))
def test_every_sample_of_a_sound_is_in_a_window(count: int) -> None:
    cut = starter_sound.windows(np.arange(count, dtype=np.float32))
    assert len(cut) == max(1, math.ceil(count / WINDOW))
    assert len(np.unique(cut)) == count


def test_a_long_sound_has_the_mean_of_its_windows() -> None:
    embedder, samples = StarterAudio(weights="random:0"), noise(2 * WINDOW) * np.linspace(0, 1, 2 * WINDOW)
    whole, first, second = embedder.embed(
        [heard(samples), heard(samples[:WINDOW]), heard(samples[WINDOW:])], device="cpu"
    )
    mean = (first + second) / np.linalg.norm(first + second)
    assert np.allclose(whole, mean, atol=1e-6)
    assert embedder.flags(embedder.prepare(heard(samples))) == ("windows_2",)


def test_less_than_a_moment_is_too_short() -> None:
    with pytest.raises(BadInput) as caught:
        StarterAudio(weights="random:0").prepare(heard(noise(799)))
    assert (caught.value.status, caught.value.code) == ("limit", "AUD_TOO_SHORT")


def test_another_rate_is_resampled() -> None:
    time = np.arange(2 * WINDOW) / 32_000
    fast = StarterAudio(weights="random:0").prepare(heard(np.sin(2 * np.pi * 1000 * time), 32_000)).levels
    slow = StarterAudio(weights="random:0").prepare(heard(np.sin(2 * np.pi * 1000 * time[::2]), 16_000)).levels
    assert fast.shape == slow.shape == (1, 64, 96)
    assert np.array_equal(fast.argmax(1)[:, 2:-2], slow.argmax(1)[:, 2:-2])


@pytest.mark.parametrize("hertz", [200, 1000, 4000])
def test_a_tone_is_loudest_in_its_band(hertz: int) -> None:
    levels = starter_sound.levels(np.sin(2 * np.pi * hertz * np.arange(WINDOW) / 16_000).astype(np.float32))
    mel = 2595 * math.log10(1 + hertz / 700)
    expected = round(mel / (2595 * math.log10(1 + 8000 / 700)) * 65) - 1
    assert (np.abs(levels[:, 1:-1].argmax(0) - expected) <= 1).all()


def test_a_click_is_heard_at_its_moment() -> None:
    samples = np.zeros(WINDOW, np.float32)
    samples[480 * 30 + 240] = 0.5
    assert set(np.flatnonzero(starter_sound.levels(samples).max(0))) == {30}


def test_loudness_is_not_heard() -> None:
    samples = noise(WINDOW)
    assert np.allclose(starter_sound.levels(samples), starter_sound.levels(samples / 8), atol=1e-5)


def test_silence_is_silent() -> None:
    assert not starter_sound.levels(np.zeros(WINDOW, np.float32)).any()


def test_levels_lie_between_0_and_1_and_the_loudest_point_is_1() -> None:
    levels = starter_sound.levels(noise(WINDOW))
    assert levels.dtype == np.float32
    assert levels.min() >= 0
    assert levels.max() == 1


def test_every_band_hears_something() -> None:
    assert (starter_sound._triangles().max(1) > 0).all()


def test_half_precision_stays_near() -> None:
    embedder = StarterImage(weights="random:0")
    batch = embedder.collate([embedder.prepare(picture) for picture in embedder.examples()])
    full, half = (embedder.load(Runtime("cpu", precision))(batch) for precision in ("fp32", "bf16"))
    assert float((full * half).sum(1).min()) > 0.999

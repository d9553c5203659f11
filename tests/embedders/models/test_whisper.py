"""Vectors against upstream's own extractor and encoder: small models, no parameter at its initial value."""

from __future__ import annotations

import functools
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from embedders import Runtime, SetupError, Waveform
from embedders.conformance import CHECKS
from embedders.models import pretrained, whisper
from embedders.models.log_mel import WhisperEar
from embedders.models.whisper import Whisper
from tests.embedders.models.clips import clips
from tests.embedders.models.tiny_bert import edit
from tests.embedders.models.tiny_encoders import save_whisper, transformers
from tests.embedders.parity import embed_media, mixed_batches, relative_l2

# one sample, the last of a frame and the first of the next, a window but one, a window
LENGTHS = (1, 320, 321, 15_000, 31_999, 32_000)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_whisper(tmp_path_factory.mktemp("whisper"))


@torch.no_grad()
def alone(place: Path, media: Waveform) -> npt.NDArray[np.float32]:
    """Upstream's last states of one clip of at most a window, all of them: ``(frames, dim)``."""
    extractor = transformers.WhisperFeatureExtractor.from_pretrained(place)
    encoder = transformers.WhisperModel.from_pretrained(place).eval().encoder
    ready = extractor(media.samples, sampling_rate=16_000, return_tensors="pt").input_features
    return np.asarray(encoder(ready).last_hidden_state[0])


def test_vectors_equal_upstreams_valid_frames_in_any_batch(folder: Path) -> None:
    media = clips(LENGTHS)
    valid = [1, 1, 2, 47, 100, 100]
    expected = np.stack([alone(folder, clip)[:count].mean(0) for clip, count in zip(media, valid, strict=True)])
    embedder = Whisper(weights=folder, normalize=False)
    assert [embedder.prepare(clip).held for clip in media] == [(count,) for count in valid]
    for batch, vectors in mixed_batches(embedder, media, (1, 4)).items():
        assert relative_l2(vectors, expected) < 1e-5, batch


def test_the_mean_over_all_frames_would_be_mostly_silence(folder: Path) -> None:
    (short,) = clips((1600,))
    ours = embed_media(Whisper(weights=folder, normalize=False), [short], 1)
    assert relative_l2(alone(folder, short).mean(0)[None], ours) > 0.1


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 480_000), st.sampled_from([80, 128]))
def test_the_spectrogram_is_bitwise_upstreams(samples: int, mels: int) -> None:
    (media,) = clips((samples,))
    extractor = _extractor(mels)
    expected = extractor(media.samples, sampling_rate=16_000, return_tensors="np").input_features[0]
    assert np.array_equal(WhisperEar(mels).features(media.samples), expected)


@functools.cache
def _extractor(mels: int) -> Any:
    return transformers.WhisperFeatureExtractor(feature_size=mels)


def test_a_longer_clip_is_the_mean_over_the_frames_of_its_windows(folder: Path) -> None:
    (long,) = clips((70_000,))
    pieces = [Waveform(long.samples[start : start + 32_000], 16_000) for start in (0, 32_000, 64_000)]
    frames = [alone(folder, piece)[:count] for piece, count in zip(pieces, (100, 100, 19), strict=True)]
    embedder = Whisper(weights=folder, normalize=False)
    assert relative_l2(embed_media(embedder, [long], 1), np.concatenate(frames).mean(0)[None]) < 1e-5
    assert embedder.flags(embedder.prepare(long)) == ("windows_3",)


def test_silence_that_is_part_of_the_clip_counts(folder: Path) -> None:
    (media,) = clips((8000,))
    longer = Waveform(np.pad(media.samples, (0, 8000)), 16_000)
    vectors = embed_media(Whisper(weights=folder, normalize=False), [media, longer], 2)
    assert relative_l2(vectors[:1], vectors[1:]) > 1e-2


def test_the_heads_of_fine_tuned_models_are_dropped(folder: Path, tmp_path: Path) -> None:
    save_whisper(tmp_path, head="ForConditionalGeneration")
    encoder = transformers.WhisperForConditionalGeneration.from_pretrained(tmp_path).eval().model.encoder
    embedder = Whisper(weights=tmp_path, normalize=False)
    (media,) = clips((32_000,))
    with torch.no_grad():
        expected = encoder(torch.from_numpy(embedder.prepare(media).features)).last_hidden_state.mean(1)
    assert relative_l2(embed_media(embedder, [media], 1), expected) < 1e-5


def test_without_settings_the_published_ones_hold(folder: Path, tmp_path: Path) -> None:
    save_whisper(tmp_path, seconds=30)
    (tmp_path / "preprocessor_config.json").unlink()
    (media,) = clips((16_000,))
    vectors = embed_media(Whisper(weights=tmp_path, normalize=False), [media], 1)
    save_whisper(tmp_path, seconds=30)
    assert relative_l2(vectors, alone(tmp_path, media)[:50].mean(0)[None]) < 1e-5


@pytest.mark.parametrize(
    ("file", "changes", "words"),
    [
        ("config.json", {"model_type": "wav2vec2"}, "is of kind 'wav2vec2'"),
        ("preprocessor_config.json", {"feature_size": 80}, "gives 80 mels, and the model reads 8"),
        ("preprocessor_config.json", {"chunk_length": 3}, "gives 300 frames, and the model reads 200"),
    ],
)
def test_a_folder_of_two_models_is_refused(file: str, changes: dict[str, Any], words: str, tmp_path: Path) -> None:
    edit(save_whisper(tmp_path) / file, **changes)
    with pytest.raises(SetupError, match=words):
        _ = Whisper(weights=tmp_path).spec


def test_damaged_settings_are_refused(tmp_path: Path) -> None:
    (save_whisper(tmp_path) / "preprocessor_config.json").write_text("{")
    with pytest.raises(SetupError, match=r"preprocessor_config\.json cannot be read"):
        _ = Whisper(weights=tmp_path).spec


def test_what_is_written_down_is_upstreams_own() -> None:
    extractor = json.loads(transformers.WhisperFeatureExtractor().to_json_string())
    assert WhisperEar.of(extractor, 80) == WhisperEar() == Whisper(weights="random:0")._ear
    assert WhisperEar().frames == whisper.STRIDE * transformers.WhisperConfig().max_source_positions
    assert all(hub.pinned() is hub for hub in Whisper.family.known.values())


def test_a_known_id_that_is_something_else_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pretrained, "folder_of", lambda *_, **__: folder)
    with pytest.raises(SetupError, match=r"dim=16.*'openai/whisper-base' is known as .*dim=512"):
        Whisper().load(Runtime())


def test_a_seed_is_the_base_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(whisper.SHAPE, "encoder_layers", 1)
    media = clips((1600,))
    first, again, other = (embed_media(Whisper(weights=f"random:{seed}"), media, 1) for seed in (3, 3, 4))
    assert np.array_equal(first, again)
    assert relative_l2(first, other) > 0.1


def test_missing_weights_name_the_way_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(SetupError, match=r"hf download openai/whisper-tiny.*weights=FOLDER"):
        Whisper(weights="openai/whisper-tiny").load(Runtime())


def test_the_default_spec_is_read_without_torch() -> None:
    script = """
import sys
from embedders.models.whisper import Whisper
print(Whisper().spec.space, Whisper().spec.dim, {"torch", "transformers", "soxr"} & set(sys.modules))
"""
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["transformers:whisper/openai/whisper-base", "512", "set()"]


def test_openvino_gives_the_same_vectors(folder: Path) -> None:
    embedder, media = Whisper(weights=folder), clips(LENGTHS)
    forward = embedder.forward(Runtime(accel="openvino"))
    expected = embed_media(embedder, media, 6)
    for count in (6, 1):
        found = forward(embedder.collate([embedder.prepare(clip) for clip in media[:count]]))
        assert relative_l2(found.numpy(), expected[:count]) < 1e-5


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_contract(check: Any, folder: Path) -> None:
    check(Whisper(weights=folder))

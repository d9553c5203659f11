"""Against librosa, called on the whole sound at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import librosa
import numpy as np
import pytest

from embedders import BadInput, BaseEmbedder, Status
from embedders.modality import Waveform
from embedders.models.encodings import audio
from embedders.models.encodings.audio import BANDS, HOP, RATE, ROWS, SPAN, MelStats
from tests.embedders.models.encodings.in_process import IN_PROCESS
from tests.embedders.parity import relative_l2


def sound(samples: int, seed: int = 0) -> Waveform:
    """Noise that swells around a tone."""
    time = np.arange(samples) / RATE
    noise = np.random.default_rng(seed).standard_normal(samples) * np.linspace(0.01, 0.3, samples)
    return Waveform((noise + 0.2 * np.sin(2 * np.pi * 330 * time)).astype(np.float32), RATE)


def by_librosa(samples: np.ndarray) -> np.ndarray:
    given: dict[str, Any] = {"y": samples, "n_fft": SPAN, "hop_length": HOP}
    power = librosa.feature.melspectrogram(sr=RATE, n_mels=BANDS, **given)
    mel = librosa.power_to_db(power, amin=1e-10, top_db=None) / 100
    rows = np.concatenate(
        [
            mel,
            librosa.feature.mfcc(S=mel, n_mfcc=20),
            librosa.feature.chroma_stft(sr=RATE, tuning=0.0, **given),
            librosa.feature.spectral_centroid(sr=RATE, **given) / (RATE / 2),
            librosa.feature.spectral_bandwidth(sr=RATE, **given) / (RATE / 2),
            librosa.feature.spectral_rolloff(sr=RATE, **given) / (RATE / 2),
            librosa.feature.spectral_flatness(**given),
            librosa.feature.zero_crossing_rate(samples, frame_length=SPAN, hop_length=HOP),
        ]
    ).astype(np.float64)
    return np.concatenate([rows.mean(axis=1), rows.std(axis=1)])


@pytest.mark.parametrize("samples", [SPAN, 20_000, 20_480, 50_001])
@pytest.mark.parametrize("frames", [1, 7, 4096])
def test_the_numbers_are_librosas_however_the_sound_is_cut(
    samples: int, frames: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audio, "FRAMES", frames)
    given = sound(samples)
    np.testing.assert_allclose(MelStats().prepare(given), by_librosa(given.samples), rtol=1e-4, atol=1e-5)


def test_every_number_has_its_row(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = MelStats().spec
    assert spec.dim == 2 * len(spec.details["rows"]) == 202
    vector = MelStats().prepare(sound(RATE))
    assert vector[ROWS.index("mel_10")] < 0 < vector[ROWS.index("centroid")] < 1
    assert vector.dtype == np.float32


def test_a_tone_is_found_in_its_row_of_chroma() -> None:
    time = np.arange(RATE) / RATE
    vector = MelStats().prepare(Waveform(np.sin(2 * np.pi * 440 * time).astype(np.float32), RATE))
    chroma = vector[ROWS.index("chroma_c") : ROWS.index("chroma_b") + 1]
    assert ROWS[ROWS.index("chroma_c") + int(chroma.argmax())] == "chroma_a"
    assert vector[ROWS.index("zero_crossings")] == pytest.approx(
        880 / RATE, rel=0.05
    )  # half a frame at each end is held


def test_silence_is_a_vector_of_its_own() -> None:
    vector = MelStats().embed([Waveform(np.zeros(RATE, np.float32), RATE)])[0]
    np.testing.assert_allclose(vector[: ROWS.index("mfcc_0")], -1, rtol=1e-6)


def test_another_rate_is_resampled_first() -> None:
    given = sound(40_000)
    other = Waveform(given.at(44_100), 44_100)
    assert relative_l2(MelStats().prepare(other), by_librosa(other.at(RATE))) < 1e-4


def test_a_sound_shorter_than_a_frame_is_refused() -> None:
    with pytest.raises(BadInput, match=r"0\.0928 seconds; at least 0\.0929 are needed") as caught:
        MelStats().prepare(sound(SPAN - 1))
    assert (caught.value.status, caught.value.code) == (Status.LIMIT, "AUD_TOO_SHORT")


@pytest.mark.parametrize("check", IN_PROCESS, ids=lambda check: check.__name__)
def test_contract(check: Callable[[BaseEmbedder], Any]) -> None:
    check(MelStats())

"""Audio: the samples that come out, and the files, limits and values that are refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from embedders import Limits, Status, Waveform
from embedders.modalities.audio import BLOCK, Audio
from tests.embedders.modalities import failure, message
from tests.embedders.modalities.sounds import RATE, encode, patched, tone, wav

AUDIO = Audio()


def samples(content: bytes) -> npt.NDArray[np.float32]:
    media = AUDIO.decode(content).media
    assert isinstance(media, Waveform)
    assert media.samples.dtype == np.float32
    assert media.samples.ndim == 1
    assert media.samples.flags.c_contiguous
    return media.samples


@pytest.mark.parametrize(
    ("subtype", "step"),
    [
        ("PCM_U8", 2**-7),
        ("PCM_16", 2**-15),
        ("PCM_24", 2**-23),
        ("PCM_32", 2**-24),
        ("FLOAT", 0.0),
        ("DOUBLE", 0.0),
        ("ULAW", 2**-5),
        ("ALAW", 2**-5),
    ],
)
def test_every_wav_depth_gives_the_written_samples_within_its_own_step(subtype: str, step: float) -> None:
    x = tone(800)
    np.testing.assert_allclose(samples(encode(x, "WAV", subtype)), x, rtol=0, atol=step)


def test_sixteen_bit_full_scale_is_one() -> None:
    x = np.array([-32768, -1, 0, 1, 32767], np.int16)
    assert samples(encode(x, "WAV", "PCM_16")).tolist() == [-1.0, -(2.0**-15), 0.0, 2.0**-15, 32767 / 32768]


@pytest.mark.parametrize(("form", "subtype"), [("WAVEX", "PCM_16"), ("RF64", "PCM_16"), ("FLAC", "PCM_16")])
def test_lossless_containers_equal_the_wav(form: str, subtype: str) -> None:
    x = (tone(3000) * 32768).astype(np.int16)
    assert np.array_equal(samples(encode(x, form, subtype)), samples(encode(x, "WAV", "PCM_16")))


@pytest.mark.parametrize(
    ("form", "subtype", "rate"),
    [("OGG", "VORBIS", 16000), ("OGG", "OPUS", 48000), ("OGG", "OPUS", 8000), ("MP3", "MPEG_LAYER_III", 44100)],
)
def test_lossy_containers_keep_length_rate_and_tone(form: str, subtype: str, rate: int) -> None:
    x = tone(rate, rate)
    found = AUDIO.decode(encode(x, form, subtype, rate)).media
    assert found.rate == rate
    assert len(found.samples) == len(x)
    assert np.corrcoef(found.samples, x)[0, 1] > 0.99


@pytest.mark.parametrize("rate", [4000, 8000, 11025, 44100, 384_000])
def test_the_declared_rate_is_kept(rate: int) -> None:
    media = AUDIO.decode(wav(tone(100), rate)).media
    assert media.rate == rate
    assert media.seconds == 100 / rate


def test_channels_are_averaged_and_the_row_says_so() -> None:
    x = np.stack([tone(500), -0.5 * tone(500), np.full(500, 0.25, np.float32)], axis=1)
    found = AUDIO.decode(wav(x))
    assert found.flags == ("downmixed_3",)
    assert np.array_equal(found.media.samples, x.mean(axis=1, dtype=np.float64).astype(np.float32))


def test_sixty_four_channels_are_taken_and_sixty_five_refused() -> None:
    assert AUDIO.decode(wav(np.full((10, 64), 0.5))).media.samples.tolist() == [0.5] * 10
    assert failure(AUDIO, wav(np.zeros((10, 65)))) == (Status.LIMIT, "AUD_CHANNELS")
    assert failure(AUDIO, patched(wav(np.zeros((10, 1))), 22, "<H", 65535)) == (Status.LIMIT, "AUD_CHANNELS")


def test_sound_longer_than_a_block_is_seamless() -> None:
    x = np.linspace(-1, 1, 2 * BLOCK + 3, dtype=np.float32)
    assert np.array_equal(samples(wav(x)), x)


@pytest.mark.parametrize(
    "x", [np.zeros(1), np.zeros(50), np.full(50, 1e-40), np.full(50, 0.5), np.full(50, 9999.0)]
)
def test_silence_denormals_an_offset_and_loud_sound_pass(x: npt.NDArray[np.float64]) -> None:
    assert np.array_equal(samples(wav(x)), x.astype(np.float32))


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (np.nan, "AUD_NONFINITE"),
        (np.inf, "AUD_NONFINITE"),
        (-np.inf, "AUD_NONFINITE"),
        (1e30, "AUD_AMPLITUDE"),
        (-10_001.0, "AUD_AMPLITUDE"),
    ],
)
def test_one_impossible_sample_makes_the_sound_invalid(value: float, code: str) -> None:
    x = tone(300)
    x[200] = value
    assert failure(AUDIO, wav(x)) == (Status.INVALID, code)
    assert failure(AUDIO, wav(np.stack([tone(300), x], axis=1))) == (Status.INVALID, code)
    assert failure(AUDIO, Waveform(x, RATE)) == (Status.INVALID, code)


@pytest.mark.parametrize("rate", [0, 1, 3999, 384_001, 4_000_000_000])
def test_impossible_rates_are_invalid(rate: int) -> None:
    assert failure(AUDIO, patched(wav(tone(100)), 24, "<I", rate)) == (Status.INVALID, "AUD_RATE")
    assert failure(AUDIO, Waveform(tone(100), rate)) == (Status.INVALID, "AUD_RATE")


@pytest.mark.parametrize("form", ["WAV", "FLAC", "OGG", "MP3"])
def test_too_long_sound_is_a_limit_and_just_fitting_is_not(form: str) -> None:
    content = encode(tone(2 * RATE), form)
    assert failure(AUDIO, content, Limits(seconds=1.9)) == (Status.LIMIT, "AUD_SECONDS")
    assert len(AUDIO.decode(content, Limits(seconds=2.0)).media.samples) == 2 * RATE
    assert failure(AUDIO, Waveform(tone(2 * RATE), RATE), Limits(seconds=1.9)) == (Status.LIMIT, "AUD_SECONDS")


@pytest.mark.parametrize("form", ["WAV", "RF64", "FLAC"])
def test_no_frames_are_empty(form: str) -> None:
    assert failure(AUDIO, encode(np.zeros(0), form)) == (Status.EMPTY, "AUD_EMPTY")


def test_no_bytes_and_no_samples_are_empty() -> None:
    assert failure(AUDIO, b"") == (Status.EMPTY, "AUD_EMPTY")
    assert failure(AUDIO, Waveform(np.zeros(0, np.float32), RATE)) == (Status.EMPTY, "AUD_EMPTY")


def test_a_waveform_passes_as_it_is() -> None:
    x = tone(400)
    found = AUDIO.decode(Waveform(x, RATE))
    assert found.flags == ()
    assert found.media.samples is x
    assert type(AUDIO.decode(Waveform(x, np.int64(RATE))).media.rate) is int  # type: ignore[arg-type]
    strided = AUDIO.decode(Waveform(tone(400)[::2], RATE)).media.samples
    assert strided.flags.c_contiguous


@pytest.mark.parametrize(
    "media",
    [
        None,
        tone(10),
        (tone(10), RATE),
        "dog.wav",
        Waveform(tone(10).astype(np.float64), RATE),
        Waveform(np.zeros((10, 2), np.float32), RATE),
        Waveform([0.0, 0.1], RATE),  # type: ignore[arg-type]
        Waveform(tone(10), 16000.5),  # type: ignore[arg-type]
        Waveform(tone(10), True),
    ],
)
def test_what_is_no_waveform_is_invalid(media: Any) -> None:
    assert failure(AUDIO, media) == (Status.INVALID, "AUD_TYPE")


def test_the_message_names_the_cure() -> None:
    assert "pathlib.Path" in message(AUDIO, "dog.wav")
    assert "Waveform(samples, rate)" in message(AUDIO, tone(10))


def test_the_suffix_does_not_matter(tmp_path: Path) -> None:
    path = tmp_path / "flac.mp3"
    path.write_bytes(encode(tone(700), "FLAC"))
    assert len(AUDIO.decode(path).media.samples) == 700


def test_the_policy_is_plain_json_and_names_the_versions() -> None:
    policy = AUDIO.policy
    assert json.loads(json.dumps(policy)) == policy
    assert policy["resampler"] == "soxr HQ"
    assert {"soxr", "libsoxr", "soundfile", "libsndfile"} <= set(policy)

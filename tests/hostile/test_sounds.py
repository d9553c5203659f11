"""Sounds (AUD): damaged, mislabelled, oversized and unusual files, each amid good neighbours."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from embedders import Limits, Waveform
from embedders.modalities.audio import Audio
from pipelines import Pipeline
from tests.embedders.modalities.sounds import RATE, encode, patched, tone, wav
from tests.hostile.conftest import Contained
from tests.hostile.containment import bounded, case, raw_of, rows_of
from tests.hostile.measures import SHORTEST, SoundMeasures

pytestmark = pytest.mark.usefixtures("torchless")

W = wav(tone(2000))
FLAC, OGG, MP3 = (encode(tone(RATE), form) for form in ("FLAC", "OGG", "MP3"))


def measured(samples: npt.ArrayLike, rate: int = RATE) -> npt.NDArray[np.float32]:
    """The vector of samples alone."""
    return np.array(SoundMeasures().prepare(Waveform(np.asarray(samples, np.float32), rate)), np.float32)


def half(content: bytes) -> bytes:
    return content[: len(content) // 2]


def with_sample(value: float) -> bytes:
    x = tone(2000)
    x[1000] = value
    return wav(x)


def channels(count: int) -> bytes:
    return wav(np.full((500, count), 0.25))


def id3(size: int) -> bytes:
    return b"ID3\x04\0\0" + bytes(size >> shift & 0x7F for shift in (21, 14, 7, 0)) + bytes(size)


def declaring(content: bytes, frames: int) -> bytes:
    field = int.from_bytes(content[18:26], "big")
    return patched(content, 18, ">Q", field >> 36 << 36 | frames)


def hours(count: int) -> bytes:
    samples = count * 3600 * 4000
    head = wav(np.zeros(0), 4000)[:36]
    head = patched(patched(head, 20, "<HHIIHH", 1, 1, 4000, 4000, 1, 8), 4, "<I", samples + 36)
    return head + b"data" + struct.pack("<I", samples) + b"\x80" * samples


PLAYLIST = b"#EXTM3U\nfile:///etc/passwd\nhttp://127.0.0.1:9/x.mp3\n"
CONCAT = b"ffconcat version 1.0\nfile /etc/passwd\n"
MP4 = b"\0\0\0\x18ftypisom\0\0\0\0isommp42" + bytes(500)

OFF = [(form, "AUD_FORMAT") for form in ("AIFF", "CAF", "W64", "AU", "VOC")]
SD2 = struct.pack(">IIII", 256, 768, 512, 256) + bytes(1000)

REFUSED = [
    case("AUD-01", "0 bytes", b"", "empty", "AUD_EMPTY"),
    case("AUD-01", "20 bytes", W[:20], "corrupt", "AUD_LENGTH_MISMATCH"),
    case("AUD-01", "text", b"this is not a sound at all, but words", "unsupported", "AUD_FORMAT"),
    case("AUD-02", "0 frames", encode(np.zeros(0), "WAV"), "empty", "AUD_EMPTY"),
    case("AUD-03", "1 frame", wav(tone(1)), "limit", "AUD_TOO_SHORT"),
    case("AUD-03", "one frame too few", wav(tone(SHORTEST - 1)), "limit", "AUD_TOO_SHORT"),
    case("AUD-05", "NaN", with_sample(np.nan), "invalid", "AUD_NONFINITE"),
    case("AUD-05", "Inf", with_sample(-np.inf), "invalid", "AUD_NONFINITE"),
    case("AUD-06", "amplitude 1e30", with_sample(1e30), "invalid", "AUD_AMPLITUDE"),
    case("AUD-07", "65,535 channels", patched(W, 22, "<H", 65535), "limit", "AUD_CHANNELS"),
    *(
        case("AUD-08", f"{rate} Hz", patched(W, 24, "<I", rate), "invalid", "AUD_RATE")
        for rate in (0, 1, 4_000_000_000)
    ),
    case("AUD-10", "half WAV", half(W), "corrupt", "AUD_LENGTH_MISMATCH"),
    case("AUD-12", "data size too small", patched(W, 40, "<I", 100), "corrupt", "AUD_LENGTH_MISMATCH"),
    case("AUD-13", "half MP3", half(MP3), "corrupt", "AUD_LENGTH_MISMATCH"),
    case("AUD-13", "half FLAC", half(FLAC), "corrupt", "AUD_DECODE"),
    case("AUD-13", "half OGG", half(OGG), "corrupt", "AUD_LENGTH_MISMATCH"),
    case("AUD-15", "MS-ADPCM", encode(tone(800), "WAV", "MS_ADPCM"), "unsupported", "AUD_CODEC"),
    case("AUD-15", "IMA-ADPCM", encode(tone(800), "WAV", "IMA_ADPCM"), "unsupported", "AUD_CODEC"),
    *(case("AUD-15", form, encode(tone(800), form), "unsupported", code) for form, code in OFF),
    case("AUD-15", "SD2", SD2, "unsupported", "AUD_FORMAT"),
    case("AUD-16", "3 hours", lambda: hours(3), "limit", "AUD_SECONDS"),
    case("AUD-19", "LIST bomb", W[:12] + (b"LIST" + bytes(4)) * 1_000_000, "corrupt", "AUD_HEADER"),
    case("AUD-20", "M3U8 named .mp3", PLAYLIST, "unsupported", "AUD_FORMAT"),
    case("AUD-20", "concat script named .mp3", CONCAT, "unsupported", "AUD_FORMAT"),
    case("AUD-21", "MP4", MP4, "unsupported", "AUD_FORMAT"),
    case("AUD-22", "FLAC that declares less", declaring(FLAC, 100), "corrupt", "AUD_LENGTH_MISMATCH"),
    case("AUD-22", "FLAC that declares more", declaring(FLAC, 999_999), "corrupt", "AUD_LENGTH_MISMATCH"),
]

TAKEN = [
    case("AUD-03", "just enough frames", wav(tone(SHORTEST)), "ok"),
    case("AUD-04", "silence", wav(np.zeros(800)), "ok"),
    case("AUD-06", "denormals", wav(np.full(800, 1e-40)), "ok"),
    case("AUD-06", "DC offset", wav(np.full(800, 0.5)), "ok"),
    case("AUD-07", "8 channels", channels(8), "ok", flags=("downmixed_8",)),
    case("AUD-07", "64 channels", channels(64), "ok", flags=("downmixed_64",)),
    case("AUD-11", "data size of 0xFFFFFFFF", patched(W, 40, "<I", 0xFFFFFFFF), "ok", flags=("streamed_length",)),
    case("AUD-19", "ID3 tag of 10 MB", lambda: id3(10_000_000) + MP3, "ok"),
]


@pytest.mark.parametrize(("raw", "status", "code", "flags"), REFUSED + TAKEN)
def test_a_sound_costs_its_own_row_only(
    contained: Contained, raw: Any, status: str, code: str, flags: tuple[str, ...]
) -> None:
    assert contained({"sound": raw_of(raw)}, status, code).flags == flags


# ---- what a good row must hold -----------------------------------------------------------------------------------


def test_AUD_04_silence_without_direction_is_not_finite(contained: Contained) -> None:
    contained({"sound": wav(np.zeros(800))}, "nonfinite", "ZERO_NORM", embedder=SoundMeasures(unit=True))


@pytest.mark.parametrize("rate", [8000, 11_025, 44_100, 384_000], ids=lambda rate: f"AUD-08 {rate} Hz")
def test_a_sound_equals_itself_at_another_rate(contained: Contained, rate: int) -> None:
    row = contained({"sound": wav(tone(rate, rate), rate)}, "ok")
    np.testing.assert_allclose(row.vector, measured(tone(RATE)), atol=5e-3)


def test_AUD_09_rates_do_not_mix_in_a_batch(tmp_path: Any) -> None:
    files = [wav(tone(rate // 4, rate), rate) for rate in (8000, 16_000, 44_100)]
    records = [{"id": str(n), "sound": content} for n, content in enumerate(files)]
    Pipeline({"sound": SoundMeasures()}).run(records, tmp_path / "set")
    found = [np.frombuffer(row["sound_soundmeasures"], np.float32) for row in rows_of(tmp_path / "set")]
    for rate, vector in zip((8000, 16_000, 44_100), found, strict=True):
        assert np.array_equal(vector, measured(tone(rate // 4, rate), rate))


def test_AUD_16_three_hours_that_are_allowed_are_decoded_block_by_block() -> None:
    raw = hours(3)
    with bounded(seconds=10, megabytes=500):
        found = Audio().decode(raw, Limits(seconds=3 * 3600.0)).media
    assert found.seconds == 3 * 3600
    assert not found.samples.any()


@pytest.mark.parametrize(
    ("subtype", "step"),
    [("PCM_24", 2**-23), ("PCM_32", 2**-24), ("DOUBLE", 1e-7), ("ULAW", 2**-5), ("ALAW", 2**-5)],
    ids=lambda value: f"AUD-17 {value}",
)
def test_every_depth_gives_the_written_sound(contained: Contained, subtype: str, step: float) -> None:
    row = contained({"sound": encode(tone(2000), "WAV", subtype)}, "ok")
    np.testing.assert_allclose(row.vector, measured(tone(2000)), atol=step)


@pytest.mark.parametrize("form", ["MS_ADPCM", "IMA_ADPCM", "AIFF", "CAF"], ids=lambda form: f"AUD-15 {form}")
def test_what_is_off_never_meets_the_decoder(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import soundfile

    adpcm = form.endswith("ADPCM")
    content = encode(tone(800), "WAV" if adpcm else form, form if adpcm else None)
    called: list[Any] = []
    monkeypatch.setattr(soundfile.SoundFile, "__init__", lambda *given, **options: called.append(given))
    with pytest.raises(Exception, match="it may be PCM" if adpcm else form):
        Audio().decode(content)
    assert called == []

"""A sound file that is not whole, or not on the list, is refused before or by decoding; never shortened."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embedders import BadInput, Limits, Status, Waveform
from embedders.modalities.audio import Audio
from tests.embedders.modalities import failure, message, outcome
from tests.embedders.modalities.sounds import RATE, encode, patched, tone, wav

AUDIO = Audio()
MISMATCH = (Status.CORRUPT, "AUD_LENGTH_MISMATCH")
FORMATS = [("WAV", "PCM_16"), ("WAV", "FLOAT"), ("RF64", "PCM_16"), ("FLAC", "PCM_16")]
LOSSY = [("OGG", "VORBIS"), ("OGG", "OPUS"), ("MP3", "MPEG_LAYER_III")]


def length(content: bytes) -> int:
    return len(AUDIO.decode(content).media.samples)


def resized(content: bytes, size: int) -> bytes:
    """A WAV of :func:`wav` that declares another size of its samples."""
    return patched(content, 40, "<I", size)


@pytest.mark.parametrize(("form", "subtype"), FORMATS + LOSSY)
@pytest.mark.parametrize("keep", [0.05, 0.5, 0.9, 0.999])
def test_a_file_cut_anywhere_is_corrupt(form: str, subtype: str, keep: float) -> None:
    content = encode(tone(RATE), form, subtype)
    found = outcome(AUDIO, content[: int(len(content) * keep)])
    assert isinstance(found, BadInput)
    assert found.status is Status.CORRUPT


@pytest.mark.parametrize(("form", "subtype"), FORMATS + LOSSY)
def test_one_missing_byte_is_corrupt(form: str, subtype: str) -> None:
    found = outcome(AUDIO, encode(tone(RATE), form, subtype)[:-1])
    assert isinstance(found, BadInput)
    assert found.status is Status.CORRUPT


# ---- WAV ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [100, 796, 804, 3, 0x7FFF_FFFF, 0xFFFF_FFFE])
def test_a_wav_whose_length_disagrees_with_the_file_is_corrupt(size: int) -> None:
    assert failure(AUDIO, resized(wav(tone(200)), size)) == MISMATCH


def test_silence_behind_too_short_a_length_is_no_padding() -> None:
    assert failure(AUDIO, resized(wav(np.zeros(200)), 100)) == MISMATCH


def test_a_broken_last_frame_is_corrupt() -> None:
    assert failure(AUDIO, resized(wav(tone(200))[:-1], 799)) == MISMATCH


@pytest.mark.parametrize("size", [0, 0xFFFF_FFFF])
@pytest.mark.parametrize("riff", [0, 36, 0xFFFF_FFFF])
def test_a_streamed_wav_is_read_to_its_end_and_flagged(size: int, riff: int) -> None:
    found = AUDIO.decode(patched(resized(wav(tone(200)), size), 4, "<I", riff))
    assert found.flags == ("streamed_length",)
    assert np.array_equal(found.media.samples, tone(200))


@pytest.mark.parametrize("subtype", ["PCM_16", "FLOAT", "ULAW"])
def test_a_streamed_wav_with_a_fact_chunk_is_read_too(subtype: str) -> None:
    content = encode(tone(200), "WAV", subtype)
    at = content.index(b"data") + 4
    assert length(patched(content, at, "<I", 0xFFFF_FFFF)) == 200
    assert length(patched(content, at, "<I", 0)) == 200


def test_a_streamed_rf64_is_read_to_its_end() -> None:
    content = encode(tone(200), "RF64")
    found = AUDIO.decode(patched(content, content.index(b"ds64") + 16, "<Q", 0xFFFF_FFFF_FFFF_FFFF))
    assert found.flags == ("streamed_length",)
    assert len(found.media.samples) == 200


def test_chunks_around_the_samples_are_skipped() -> None:
    plain = wav(tone(200))
    info = b"LIST" + struct.pack("<I", 5) + b"INFOx\0"
    assert length(plain + info) == 200
    assert length(plain[:12] + info + plain[12:]) == 200
    assert length(plain + b"\0") == 200


def test_a_wav_of_zero_samples_and_a_title_is_empty_not_streamed() -> None:
    empty = wav(np.zeros(0)) + b"LIST" + struct.pack("<I", 4) + b"INFO"
    assert failure(AUDIO, empty) == (Status.EMPTY, "AUD_EMPTY")


def test_samples_without_a_format_are_corrupt() -> None:
    plain = wav(tone(200))
    assert failure(AUDIO, plain[:12] + plain[36:]) == (Status.CORRUPT, "AUD_HEADER")
    assert failure(AUDIO, patched(plain, 16, "<I", 8)) == (Status.CORRUPT, "AUD_HEADER")


def test_endless_empty_chunks_are_not_followed() -> None:
    content = wav(tone(10))[:12] + (b"LIST" + bytes(4)) * 20_000
    assert failure(AUDIO, content) == (Status.CORRUPT, "AUD_HEADER")


@pytest.mark.parametrize("tag", [0, 2, 0x11, 0x55, 0x161, 0xFFFE])
def test_other_wav_codecs_are_refused_before_the_decoder(tag: int, monkeypatch: pytest.MonkeyPatch) -> None:
    forbid_decoder(monkeypatch)
    assert failure(AUDIO, patched(wav(tone(200)), 20, "<H", tag)) == (Status.UNSUPPORTED, "AUD_CODEC")


@pytest.mark.parametrize("subtype", ["MS_ADPCM", "IMA_ADPCM", "GSM610"])
def test_adpcm_and_gsm_are_refused_before_the_decoder(subtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    content = encode(tone(800), "WAV", subtype)
    forbid_decoder(monkeypatch)
    assert failure(AUDIO, content) == (Status.UNSUPPORTED, "AUD_CODEC")


def test_an_extensible_wav_with_another_codec_is_refused() -> None:
    content = encode(tone(200), "WAVEX")
    assert failure(AUDIO, patched(content, 44, "<H", 2)) == (Status.UNSUPPORTED, "AUD_CODEC")
    assert failure(AUDIO, patched(content, 46, "<H", 7)) == (Status.UNSUPPORTED, "AUD_CODEC")


# ---- FLAC --------------------------------------------------------------------------------------------------------


def declaring(content: bytes, frames: int) -> bytes:
    field = int.from_bytes(content[18:26], "big")
    return content[:18] + (field >> 36 << 36 | frames).to_bytes(8, "big") + content[26:]


@pytest.mark.parametrize("frames", [1, 7999, 8001, 800_000])
def test_a_flac_whose_length_disagrees_with_its_frames_is_corrupt(frames: int) -> None:
    assert failure(AUDIO, declaring(encode(tone(8000), "FLAC"), frames)) == MISMATCH


def test_a_flac_that_declares_too_many_seconds_is_refused_before_decoding() -> None:
    content = declaring(encode(tone(8000), "FLAC"), 2**36 - 1)
    assert failure(AUDIO, content) == (Status.LIMIT, "AUD_SECONDS")


def test_a_streamed_flac_is_read_to_its_end_and_flagged() -> None:
    found = AUDIO.decode(declaring(encode(tone(8000), "FLAC"), 0))
    assert found.flags == ("streamed_length",)
    assert len(found.media.samples) == 8000
    assert failure(AUDIO, declaring(encode(tone(8000), "FLAC"), 0), Limits(seconds=0.4))[0] is Status.LIMIT


def test_every_damaged_flac_frame_is_noticed() -> None:
    content = encode(tone(8000), "FLAC")
    for position in range(len(content) - 400, len(content), 7):
        damaged = patched(content, position, "B", content[position] ^ 0x10)
        assert isinstance(outcome(AUDIO, damaged), BadInput)


# ---- Ogg ---------------------------------------------------------------------------------------------------------


def pages(content: bytes) -> list[bytes]:
    return [b"OggS" + rest for rest in content.split(b"OggS")[1:]]


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
def test_every_damaged_ogg_byte_is_noticed(subtype: str) -> None:
    content = encode(tone(RATE // 4), "OGG", subtype)
    for position in range(0, len(content), 5):
        damaged = patched(content, position, "B", content[position] ^ 0x10)
        assert isinstance(outcome(AUDIO, damaged), BadInput), f"byte {position} of {len(content)}"


def test_an_ogg_without_its_last_page_is_corrupt() -> None:
    content = encode(tone(10 * RATE), "OGG")
    assert failure(AUDIO, b"".join(pages(content)[:-1])) == MISMATCH
    assert "end" in message(AUDIO, b"".join(pages(content)[:-1]))


def test_an_ogg_that_lacks_a_page_is_corrupt() -> None:
    all_pages = pages(encode(tone(20 * RATE), "OGG"))
    assert len(all_pages) > 4
    assert failure(AUDIO, b"".join(all_pages[:3] + all_pages[4:])) == MISMATCH


def test_chained_and_multiplexed_ogg_is_unsupported() -> None:
    one, other = encode(tone(800), "OGG"), encode(tone(800), "OGG", "OPUS")
    assert failure(AUDIO, one + other) == (Status.UNSUPPORTED, "AUD_CODEC")


# ---- what is not on the list -------------------------------------------------------------------------------------


def forbid_decoder(monkeypatch: pytest.MonkeyPatch) -> None:
    import soundfile

    def called(*args: object, **options: object) -> None:
        raise AssertionError("the decoder was called")

    monkeypatch.setattr(soundfile.SoundFile, "__init__", called)


@pytest.mark.parametrize("form", ["AIFF", "CAF", "W64", "AU", "VOC"])
def test_other_containers_are_refused_before_the_decoder(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    content = encode(tone(400), form)
    forbid_decoder(monkeypatch)
    assert failure(AUDIO, content) == (Status.UNSUPPORTED, "AUD_FORMAT")


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (b"words", "no known"),
        (b"<html>404</html>", "HTML"),
        (b"#EXTM3U\nhttp://localhost/x\n", "playlist"),
        (b"ffconcat version 1.0\nfile /etc/passwd\n", "playlist"),
        (b"\0\0\0\x18ftypM4A \0\0\0\0", "M4A"),
        (b"\xff\xf1\x50\x80\x00\x1f\xfc" * 9, "AAC"),
        (b"\xff\xfb" + bytes(1000), "no known"),
        (b"\xff" * 1000, "no known"),
        (b"RIFF\x10\0\0\0AVI LIST", "no known"),
    ],
)
def test_what_is_no_sound_is_unsupported_and_named(content: bytes, named: str) -> None:
    assert failure(AUDIO, content) == (Status.UNSUPPORTED, "AUD_FORMAT")
    assert named in message(AUDIO, content)


def test_ogg_without_vorbis_or_opus_is_unsupported() -> None:
    from embedders.modalities.audio_container import _ogg_checksum

    page = b"OggS\0\x02" + bytes(20) + b"\x01\x08" + b"Speex   "
    page = page[:22] + _ogg_checksum(page) + page[26:]
    assert failure(AUDIO, page) == (Status.UNSUPPORTED, "AUD_CODEC")


def test_twenty_bytes_of_a_wav_are_corrupt() -> None:
    assert failure(AUDIO, wav(tone(10))[:20]) == MISMATCH


def test_messages_are_the_same_in_every_run() -> None:
    unknown_depth = patched(wav(tone(10)), 34, "<H", 7)
    assert failure(AUDIO, unknown_depth) == (Status.CORRUPT, "AUD_DECODE")
    assert "0x" not in message(AUDIO, unknown_depth)


# ---- any damage --------------------------------------------------------------------------------------------------

WHOLE = {f"{form} {subtype}": encode(tone(1200, 8000), form, subtype, 8000) for form, subtype in FORMATS + LOSSY}


@pytest.mark.parametrize("name", WHOLE)
@given(st.data())
@settings(max_examples=60, deadline=None)
def test_any_damage_gives_sound_within_limits_or_bad_input(name: str, draw: st.DataObject) -> None:
    content = bytearray(WHOLE[name])
    for _ in range(draw.draw(st.integers(1, 3))):
        content[draw.draw(st.integers(0, len(content) - 1))] = draw.draw(st.integers(0, 255))
    cut = draw.draw(st.one_of(st.just(len(content)), st.integers(0, len(content))))
    found = outcome(AUDIO, bytes(content[:cut]), Limits(seconds=10))
    if not isinstance(found, BadInput):
        assert isinstance(found.media, Waveform)
        assert 0 < found.media.seconds <= 10
        assert np.isfinite(found.media.samples).all()


def test_a_written_file_is_read_by_its_path(tmp_path: Path) -> None:
    path = tmp_path / "tone.opus"
    path.write_bytes(encode(tone(RATE), "OGG", "OPUS"))
    assert len(AUDIO.decode(path).media.samples) == RATE

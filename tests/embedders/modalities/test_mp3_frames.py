"""An MP3 is whole, with whatever tags around it, or it is refused."""

from __future__ import annotations

import numpy as np
import pytest

from embedders import Status
from embedders.modalities.audio import Audio
from tests.embedders.modalities import failure, message
from tests.embedders.modalities.sounds import RATE, encode, tone

AUDIO = Audio()
MISMATCH = (Status.CORRUPT, "AUD_LENGTH_MISMATCH")


def length(content: bytes) -> int:
    return len(AUDIO.decode(content).media.samples)


@pytest.fixture(params=[(44100, 2), (44100, 1), (22050, 2), (8000, 1)], ids=str, name="mp3")
def _mp3(request: pytest.FixtureRequest) -> bytes:
    rate, channels = request.param
    return encode(np.stack([tone(rate, rate)] * channels, axis=1), "MP3", None, rate)


def frame_starts(content: bytes) -> list[int]:
    """Where bytes look like the first frame's: same sync, version and layer, same rate, same channels."""

    def alike(at: int) -> bool:
        rate, channels = (content[at + 2] ^ content[2]) & 0x0C, (content[at + 3] ^ content[3]) & 0xC0
        return content[at : at + 2] == content[:2] and not rate and not channels

    return [at for at in range(len(content) - 3) if alike(at)]


def test_an_mp3_is_whole_with_tags_before_and_behind(mp3: bytes) -> None:
    whole = length(mp3)
    tag = b"ID3\x04\0\0" + bytes([0, 0, 8, 0]) + bytes(1024)
    assert length(tag + mp3) == whole
    assert length(tag + tag + mp3 + b"TAG" + bytes(125)) == whole
    assert length(mp3 + b"APETAGEX" + bytes(24)) == whole
    assert length(mp3 + bytes(500)) == whole


def test_an_mp3_with_fewer_frames_than_declared_is_corrupt(mp3: bytes) -> None:
    cut = mp3[: frame_starts(mp3)[-1]]
    assert failure(AUDIO, cut) == MISMATCH
    assert "declares" in message(AUDIO, cut)


def test_an_mp3_without_a_count_is_corrupt_where_its_last_frame_is_cut(mp3: bytes) -> None:
    plain = mp3[frame_starts(mp3)[1] :]  # the first frame carries nothing but the count
    assert length(plain) > 0
    assert failure(AUDIO, plain[:-30]) == MISMATCH
    assert failure(AUDIO, plain + plain[:2]) == MISMATCH


def test_an_mp3_with_foreign_bytes_inside_is_corrupt(mp3: bytes) -> None:
    third = frame_starts(mp3)[2]
    assert failure(AUDIO, mp3[:third] + b"<html>" + mp3[third:]) == (Status.CORRUPT, "AUD_SYNC")


def test_ten_megabytes_of_tag_are_skipped() -> None:
    size = 10_000_000
    packed = bytes(size >> shift & 0x7F for shift in (21, 14, 7, 0))
    assert length(b"ID3\x04\0\0" + packed + bytes(size) + encode(tone(RATE), "MP3")) == RATE


def test_an_id3_tag_beyond_the_file_is_corrupt() -> None:
    assert failure(AUDIO, b"ID3\x04\0\0\x7f\x7f\x7f\x7f" + bytes(100)) == MISMATCH
    assert failure(AUDIO, b"ID3") == MISMATCH

"""Decoders in a process of their own: every damaged byte of a small file per format, and what could reach out.

By default every byte is inverted (20,000 inputs, 2 seconds); ``EMBED_SWEEP=full`` also flips every single bit and
cuts at every byte (200,000 inputs, 20 seconds).
"""

from __future__ import annotations

import pytest

from embedders import Status
from tests.embedders.modalities import pictures, sounds
from tests.embedders.modalities.pictures import FORMATS, colours
from tests.embedders.modalities.sounds import tone
from tests.hostile.alone import FULL, MASKS, Found, decode_alone
from tests.hostile.test_sounds import CONCAT, PLAYLIST


def pictures_of_every_format() -> dict[str, bytes]:
    pixels = colours(16, 24)
    small = {form: pictures.encode(pixels, form) for form in FORMATS}
    small["WEBP lossy"] = pictures.encode(pixels, "WEBP", lossless=False)
    small["JPEG progressive"] = pictures.encode(pixels, "JPEG", progressive=True)
    for compression in ("tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg"):
        small[f"TIFF {compression}"] = pictures.encode(pixels, "TIFF", compression=compression)
    return small


def sounds_of_every_format() -> dict[str, bytes]:
    short = tone(300, 8000)
    small = {form: sounds.encode(short, form, None, 8000) for form in ("WAV", "WAVEX", "RF64", "FLAC", "MP3")}
    for form, subtype in [("WAV", "FLOAT"), ("WAV", "ULAW"), ("WAV", "PCM_24"), ("OGG", "VORBIS"), ("OGG", "OPUS")]:
        small[f"{form} {subtype}"] = sounds.encode(short, form, subtype, 8000)
    return small


def check(small: dict[str, bytes], found: dict[str, Found]) -> None:
    """Every variant is accounted for by a status, quickly, and without a trace elsewhere."""
    for form, content in small.items():
        assert len(content) < 3000
        assert found[form].variants == 1 + len(content) * (len(MASKS) + FULL)
        assert sum(found[form].statuses.values()) == found[form].variants
        assert set(found[form].statuses) <= {*Status}
        assert found[form].statuses["corrupt"] > 0
        assert found[form].slowest < 1
        assert (found[form].warned, found[form].touched) == ([], [])


def test_IMG_06_every_flipped_byte_gives_pixels_or_a_reason() -> None:
    small = pictures_of_every_format()
    found = decode_alone("image", small, MASKS, cuts=FULL)
    check(small, found)
    assert found["PNG"].statuses["ok"] == 1  # no damage to a PNG goes unnoticed


def test_AUD_14_every_flipped_byte_gives_sound_or_a_reason() -> None:
    small = sounds_of_every_format()
    found = decode_alone("audio", small, MASKS, cuts=FULL)
    check(small, found)
    assert found["OGG VORBIS"].statuses["ok"] == 1  # nor to an Ogg
    assert found["OGG OPUS"].statuses["ok"] == 1


HARMFUL = {
    "EPS": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(/etc/passwd) (r) file\n",
    "DOS EPS": b"\xc5\xd0\xd3\xc6" + bytes(40),
    "PDF": b"%PDF-1.7\n",
    "SVG": b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><svg>&e;</svg>',
}


@pytest.mark.parametrize(
    ("modality", "contents"),
    [
        pytest.param("image", HARMFUL, id="IMG-08 EPS, PDF and SVG"),
        pytest.param("audio", {"m3u8": PLAYLIST, "concat": CONCAT}, id="AUD-20 playlists"),
    ],
)
def test_what_could_reach_out_touches_nothing(modality: str, contents: dict[str, bytes]) -> None:
    for found in decode_alone(modality, contents).values():
        assert (found.statuses, found.touched) == ({"unsupported": 1}, [])


def test_a_decoder_that_opens_a_file_is_seen() -> None:
    (found,) = decode_alone("reckless", {"x": b"x"}).values()
    assert [event.split()[0] for event in found.touched] == ["open"]


def test_a_decoder_that_dies_is_seen() -> None:
    with pytest.raises(AssertionError, match="Fatal Python error: Aborted"):
        decode_alone("reckless", {"x": b"die"})

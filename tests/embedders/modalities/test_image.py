"""Images: what is taken, what is refused and why; the pixels themselves are the neighbour's matter."""

from __future__ import annotations

import io
import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pillow

from embedders import Limits, Status
from embedders.modalities.image import Image
from tests.embedders.modalities import failure, message
from tests.embedders.modalities.pictures import FORMATS, chunk, colours, encode, tiff

IMAGE = Image()
UNSUPPORTED = (Status.UNSUPPORTED, "IMG_FORMAT")
PICTURE = {form: encode(colours(24, 32), form) for form in FORMATS}


def shape(raw: Any, limits: Limits | None = None) -> tuple[int, ...]:
    found: tuple[int, ...] = IMAGE.decode(raw, limits).media.shape
    return found


# ---- formats -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("name", ["x.jpg", "x.PNG", "x", "x.tar.gif"])
def test_the_suffix_does_not_matter(form: str, name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(PICTURE[form])
    assert shape(path) == (24, 32, 3)


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (b"<html>404", "HTML"),
        (b"\xef\xbb\xbf <!DOCTYPE html>", "HTML"),
        (b'<?xml version="1.0"?><svg/>', "SVG"),
        (b"<svg xmlns='x'/>", "SVG"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "EPS"),
        (b"\xc5\xd0\xd3\xc6" + bytes(40), "EPS"),
        (b"%PDF-1.7", "PDF"),
        (b"8BPS\0\x01", "Photoshop"),
        (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000"),
        (b"\xff\x0a\xff", "JPEG XL"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIF"),
        (b"\0\0\0\x18ftypmp42\0\0\0\0isommp42", "MP4"),
        (b"II+\0\x08\0\0\0", "BigTIFF"),
        (b"P6 1 1 255\nabc", "no known"),
        (b"\xff\xd8", "no known"),
        (bytes(500), "no known"),
        (b"RIFF\x10\0\0\0WAVEfmt ", "no known"),
    ],
)
def test_what_is_no_picture_is_unsupported_and_named(
    content: bytes, named: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def started(*args: object, **options: object) -> None:
        raise AssertionError("a program was started")

    monkeypatch.setattr(subprocess, "Popen", started)
    assert failure(IMAGE, content) == UNSUPPORTED
    assert named in message(IMAGE, content)


@pytest.mark.parametrize("marker", [0xC3, 0xC5, 0xC7, 0xC9, 0xCA, 0xCF])
def test_unusual_jpeg_codings_are_unsupported_and_not_read_as_another(marker: int) -> None:
    content = PICTURE["JPEG"]
    at = content.index(b"\xff\xc0")
    assert failure(IMAGE, content[: at + 1] + bytes([marker]) + content[at + 2 :]) == UNSUPPORTED
    assert failure(IMAGE, content[: at + 4] + b"\x0c" + content[at + 5 :]) == UNSUPPORTED
    filled = content[:at] + b"\xff\xff" + content[at : at + 1] + bytes([marker]) + content[at + 2 :]
    assert failure(IMAGE, filled) == UNSUPPORTED


def test_a_jpeg_of_any_usual_coding_is_taken() -> None:
    for options in ({"progressive": True}, {"optimize": True}, {"restart_marker_blocks": 1}, {"keep_rgb": True}):
        assert shape(encode(colours(24, 32), "JPEG", **options)) == (24, 32, 3)


@pytest.mark.parametrize("compression", ["zstd", "lzma", "webp"])
def test_unusual_tiff_compressions_are_unsupported(compression: str) -> None:
    code = {"zstd": 50000, "lzma": 34925, "webp": 50001}[compression]
    content = tiff(np.zeros((4, 4), np.uint8), order="II", fields={259: code})
    assert failure(IMAGE, content) == UNSUPPORTED
    assert compression in message(IMAGE, content)


@pytest.mark.parametrize(
    ("compression", "mode"),
    [("tiff_lzw", "RGB"), ("tiff_adobe_deflate", "RGB"), ("packbits", "RGB"), ("group3", "1"), ("group4", "1")],
)
def test_usual_tiff_compressions_are_read(compression: str, mode: str) -> None:
    picture = Pillow.fromarray(colours()).convert(mode)
    expected = np.asarray(picture.convert("RGB"))
    assert np.array_equal(IMAGE.decode(encode(picture, "TIFF", compression=compression)).media, expected)


def test_avif_is_refused_with_the_cure_unless_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    content = encode(colours(24, 32), "AVIF", quality=100)
    assert failure(IMAGE, content) == UNSUPPORTED
    assert "EMBED_AVIF=1" in message(IMAGE, content)
    assert Image(avif=True).decode(content).media.shape == (24, 32, 3)
    monkeypatch.setenv("EMBED_AVIF", "1")
    assert Image().decode(content).media.shape == (24, 32, 3)
    assert failure(Image(), content[:-100])[0] is Status.CORRUPT


# ---- frames and flags --------------------------------------------------------------------------------------------


def animation(form: str, frames: int = 3) -> bytes:
    first, *others = (Pillow.new("RGB", (4, 3), (60 * n, 10, 10)) for n in range(frames))
    return encode(first, form, save_all=True, append_images=others)


@pytest.mark.parametrize("form", ["GIF", "PNG", "WEBP", "TIFF"])
def test_several_frames_give_the_first_and_say_so(form: str) -> None:
    found = IMAGE.decode(animation(form))
    assert found.flags == ("first_frame",)
    assert (found.media == [0, 10, 10]).all()


def test_two_pictures_in_a_jpeg_give_the_first_and_say_so() -> None:
    pair = io.BytesIO()
    flat = Pillow.new("RGB", (16, 16), (100, 100, 100))
    flat.save(pair, "MPO", save_all=True, append_images=[Pillow.new("RGB", (16, 16))], quality=100)
    found = IMAGE.decode(pair.getvalue())
    assert found.flags == ("first_frame",)
    assert (found.media == 100).all()


@pytest.mark.parametrize("form", FORMATS)
def test_one_frame_has_no_flags(form: str) -> None:
    assert IMAGE.decode(PICTURE[form]).flags == ()


def test_ten_thousand_frames_are_not_counted() -> None:
    two = animation("GIF", 2)
    frame = two[two.rindex(b"\x21\xf9") : -1]
    reads = 0

    class Counted(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            nonlocal reads
            reads += 1
            return super().read(size)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("embedders.modalities.image.io.BytesIO", Counted)
        assert IMAGE.decode(two[:-1] + frame * 10_000 + b";").flags == ("first_frame",)
    assert 0 < reads < 100


def test_damage_behind_the_first_frame_does_no_harm() -> None:
    content = animation("GIF", 3)
    third = content.rindex(b"\x21\xf9")
    found = IMAGE.decode(content[: third + 12])
    assert found.flags == ("first_frame",)
    assert (found.media == [0, 10, 10]).all()


def test_broken_animation_chunks_of_a_png_do_no_harm() -> None:
    content = PICTURE["PNG"]
    for count in (0, 5):
        control = chunk(b"acTL", count.to_bytes(4, "big") + bytes(4))
        assert shape(content[:33] + control + control + content[33:]) == (24, 32, 3)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_a_colour_profile_is_ignored_and_the_row_says_so(form: str) -> None:
    found = IMAGE.decode(encode(colours(), form, icc_profile=b"x" * 100))
    assert found.flags == ("icc_ignored",)
    assert np.array_equal(found.media, IMAGE.decode(encode(colours(), form)).media)


def test_an_srgb_profile_needs_no_word() -> None:
    from PIL import ImageCms

    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert IMAGE.decode(encode(colours(), icc_profile=profile)).flags == ()


# ---- media in memory ---------------------------------------------------------------------------------------------


def test_an_array_passes_as_it_is() -> None:
    pixels = colours()
    assert IMAGE.decode(pixels).media is pixels
    turned = IMAGE.decode(pixels[::-1]).media
    assert turned.flags.c_contiguous
    assert np.array_equal(turned, pixels[::-1])


def test_a_pillow_image_goes_through_the_same_conversion() -> None:
    assert np.array_equal(IMAGE.decode(Pillow.fromarray(colours())).media, colours())
    assert (IMAGE.decode(Pillow.new("RGBA", (3, 2), (255, 0, 0, 0))).media == 255).all()
    opened = Pillow.open(io.BytesIO(PICTURE["JPEG"]))
    assert np.array_equal(IMAGE.decode(opened).media, IMAGE.decode(PICTURE["JPEG"]).media)
    assert failure(IMAGE, Pillow.open(io.BytesIO(PICTURE["JPEG"][:-40]))) == (Status.CORRUPT, "IMG_TRUNCATED")


@pytest.mark.parametrize(
    "media",
    [
        None,
        3,
        "dog.jpg",
        [[[0, 0, 0]]],
        colours()[..., 0],
        colours().astype(np.float32),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((3, 4, 4), np.uint8),
        np.zeros((0, 4, 3), np.uint8),
    ],
)
def test_what_is_no_picture_is_invalid(media: Any) -> None:
    assert failure(IMAGE, media) == (Status.INVALID, "IMG_TYPE")


def test_the_message_names_the_cure() -> None:
    assert "pathlib.Path('dog.jpg')" in message(IMAGE, "dog.jpg")
    assert "(height, width, 3)" in message(IMAGE, colours().astype(np.float32))


def test_pixels_in_memory_keep_the_limits() -> None:
    assert failure(IMAGE, colours(), Limits(pixels=47)) == (Status.LIMIT, "IMG_PIXELS")
    assert failure(IMAGE, Pillow.fromarray(colours()), Limits(pixels=47)) == (Status.LIMIT, "IMG_PIXELS")
    assert failure(IMAGE, np.zeros((1, 10_001, 3), np.uint8)) == (Status.LIMIT, "IMG_ASPECT")


def test_the_policy_is_plain_json_and_names_the_versions() -> None:
    policy = IMAGE.policy
    assert json.loads(json.dumps(policy)) == policy
    assert {"pillow", "libjpeg", "libwebp", "libtiff"} <= set(policy)
    assert Image(avif=True).policy != policy

"""Images that are damaged, too large or hostile: each is refused with its reason, and costs little."""

from __future__ import annotations

import tracemalloc
import zlib
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow
from PIL import ImageFile

from embedders import BadInput, Decoded, Limits, Status
from embedders.modalities.image import MAX_SCANS, Image
from tests.embedders.modalities import failure, message, outcome
from tests.embedders.modalities.pictures import FORMATS, chunk, colours, encode, png_of_size, tiff

IMAGE = Image()
TRUNCATED = (Status.CORRUPT, "IMG_TRUNCATED")
PICTURE = {form: encode(colours(24, 32), form) for form in FORMATS}


def shape(raw: Any, limits: Limits | None = None) -> tuple[int, ...]:
    found: tuple[int, ...] = IMAGE.decode(raw, limits).media.shape
    return found


# ---- damage ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("keep", [0.3, 0.5, 0.8])
def test_a_file_cut_anywhere_is_corrupt(form: str, keep: float) -> None:
    content = PICTURE[form]
    assert failure(IMAGE, content[: int(len(content) * keep)])[0] is Status.CORRUPT


@pytest.mark.parametrize("form", ["JPEG", "PNG", "BMP", "WEBP", "TIFF"])
def test_two_missing_bytes_are_truncation(form: str) -> None:
    assert failure(IMAGE, encode(colours(40, 60), form)[:-2]) == TRUNCATED


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg"])
def test_a_cut_compressed_tiff_is_truncation(compression: str) -> None:
    content = encode(colours(40, 60), "TIFF", compression=compression)
    assert failure(IMAGE, content[:-10]) == TRUNCATED
    assert failure(IMAGE, content[: len(content) // 2])[0] is Status.CORRUPT


@pytest.mark.parametrize("form", FORMATS)
def test_a_header_alone_is_corrupt(form: str) -> None:
    assert failure(IMAGE, PICTURE[form][:20])[0] is Status.CORRUPT


def test_no_bytes_are_empty() -> None:
    assert failure(IMAGE, b"") == (Status.EMPTY, "IMG_EMPTY")


@pytest.mark.parametrize("form", ["JPEG", "PNG", "GIF", "BMP"])
def test_a_megabyte_behind_the_end_does_no_harm(form: str) -> None:
    assert shape(PICTURE[form] + bytes(1 << 20)) == (24, 32, 3)


@pytest.mark.parametrize("name", [b"IHDR", b"IDAT", b"IEND"])
def test_a_wrong_png_checksum_is_corrupt(name: bytes) -> None:
    content = PICTURE["PNG"]
    at = content.index(name)
    end = at + 4 + int.from_bytes(content[at - 4 : at], "big")
    damaged = content[:end] + bytes([content[end] ^ 1]) + content[end + 1 :]
    assert failure(IMAGE, damaged) == (Status.CORRUPT, "IMG_CHECKSUM")


def test_too_little_png_pixels_are_corrupt() -> None:
    assert failure(IMAGE, png_of_size(64, 64))[0] is Status.CORRUPT


@pytest.mark.parametrize(("width", "height"), [(0, 10), (10, 0)])
def test_a_side_of_no_pixels_is_corrupt(width: int, height: int) -> None:
    assert failure(IMAGE, png_of_size(width, height)) == (Status.CORRUPT, "IMG_SIZE")


@pytest.mark.parametrize("field", [256, 259, 278])
def test_a_tiff_field_outside_the_file_is_corrupt(field: int) -> None:
    content = tiff(np.zeros((4, 4), np.uint8), order="II", fields={})
    at = content.index(field.to_bytes(2, "little") + b"\x03\0", 24)
    assert failure(IMAGE, content[: at + 4] + b"\xff\0\0\0\xff\xff" + content[at + 10 :]) == TRUNCATED


def test_a_tiff_field_with_too_many_values_is_corrupt() -> None:
    content = tiff(np.zeros((4, 4), np.uint8), order="II", fields={})
    at = content.index(b"\x01\x01\x03\0", 24)
    assert failure(IMAGE, content[: at + 4] + b"\x02" + content[at + 5 :]) == (Status.CORRUPT, "IMG_HEADER")


def test_a_tiff_whose_pages_form_a_loop_gives_its_first() -> None:
    content = tiff(colours(4, 4)[..., 0], order="II", fields={})
    directory = int.from_bytes(content[4:8], "little")
    found = IMAGE.decode(content[:-4] + directory.to_bytes(4, "little"))
    assert np.array_equal(found.media[..., 0], colours(4, 4)[..., 0])


# ---- limits ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("width", "height"), [(20_000, 20_000), (10_000, 10_000), (65_500, 65_500)])
def test_a_bomb_is_refused_by_its_header(width: int, height: int) -> None:
    tracemalloc.start()
    assert failure(IMAGE, png_of_size(width, height)) == (Status.LIMIT, "IMG_PIXELS")
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()


def test_a_jpeg_that_claims_65500_pixels_a_side_is_refused() -> None:
    content = PICTURE["JPEG"]
    at = content.index(b"\xff\xc0") + 5
    assert failure(IMAGE, content[:at] + b"\xff\xdc\xff\xdc" + content[at + 4 :]) == (Status.LIMIT, "IMG_PIXELS")


@pytest.mark.parametrize("lossless", [True, False])
@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_a_webp_is_measured_before_its_canvas_is_made(
    mode: str, lossless: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    from PIL import WebPImagePlugin

    content = encode(Pillow.new(mode, (33, 17), (9, 8, 7, 99)[: len(mode)]), "WEBP", lossless=lossless)
    assert shape(content) == (17, 33, 3)
    assert shape(content, Limits(pixels=17 * 33)) == (17, 33, 3)
    monkeypatch.setattr(WebPImagePlugin, "WebPImageFile", None)
    assert "33 x 17" in message(IMAGE, content, Limits(pixels=17 * 33 - 1))


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_keeps_the_limit_of_pixels(form: str) -> None:
    assert shape(PICTURE[form], Limits(pixels=24 * 32)) == (24, 32, 3)
    assert failure(IMAGE, PICTURE[form], Limits(pixels=24 * 32 - 1)) == (Status.LIMIT, "IMG_PIXELS")


@pytest.mark.parametrize(("form", "factor"), [("JPEG", 9), ("PNG", 9), ("BMP", 9), ("GIF", 9), ("WEBP", 1.9)])
def test_a_raised_limit_counts_and_not_pillows_bound(
    form: str, factor: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Pillow, "MAX_IMAGE_PIXELS", int(24 * 32 / factor))
    assert shape(PICTURE[form]) == (24, 32, 3)


@pytest.mark.parametrize("form", ["WEBP", "TIFF"])
def test_beyond_twice_pillows_bound_some_formats_are_a_limit(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Pillow, "MAX_IMAGE_PIXELS", 24 * 32 // 3)
    assert failure(IMAGE, PICTURE[form]) == (Status.LIMIT, "IMG_PIXELS")


def test_pillows_own_settings_are_left_alone() -> None:
    before = Pillow.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES
    for content in PICTURE.values():
        shape(content, Limits(pixels=10**9))
        outcome(IMAGE, content[:-5])
    assert before == (Pillow.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES)


def test_thin_pictures_are_a_limit_beyond_the_aspect() -> None:
    assert shape(encode(np.zeros((1, 10_000), np.uint8))) == (1, 10_000, 3)
    assert failure(IMAGE, encode(np.zeros((1, 10_001), np.uint8))) == (Status.LIMIT, "IMG_ASPECT")
    assert failure(IMAGE, encode(np.zeros((20_000, 1), np.uint8))) == (Status.LIMIT, "IMG_ASPECT")
    assert shape(encode(np.zeros((1, 1), np.uint8))) == (1, 1, 3)


def test_a_jpeg_of_endless_scans_is_a_limit() -> None:
    content = encode(colours(16, 16), "JPEG", progressive=True)
    scan = content[content.rindex(b"\xff\xda") : -2]
    assert shape(content) == (16, 16, 3)
    assert failure(IMAGE, content[:-2] + scan * MAX_SCANS + content[-2:]) == (Status.LIMIT, "IMG_SCANS")


def test_a_png_with_exploding_text_is_read_without_it() -> None:
    content = PICTURE["PNG"]
    bomb = chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(50_000_000), 1))
    tracemalloc.start()
    assert shape(content[:33] + bomb + content[33:]) == (24, 32, 3)
    assert tracemalloc.get_traced_memory()[1] < 5 << 20
    tracemalloc.stop()


# ---- any damage, any thread --------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMATS)
@given(st.data())
@settings(max_examples=60, deadline=None)
def test_any_damage_gives_pixels_within_limits_or_bad_input(form: str, draw: st.DataObject) -> None:
    content = bytearray(encode(colours(), form))
    for _ in range(draw.draw(st.integers(1, 3))):
        content[draw.draw(st.integers(0, len(content) - 1))] = draw.draw(st.integers(0, 255))
    cut = draw.draw(st.one_of(st.just(len(content)), st.integers(0, len(content))))
    found = outcome(IMAGE, bytes(content[:cut]), Limits(pixels=100_000))
    if isinstance(found, Decoded):
        assert found.media.dtype == np.uint8
        assert found.media.shape[2] == 3
        assert 0 < found.media.shape[0] * found.media.shape[1] <= 100_000


def test_threads_give_the_same_pixels() -> None:
    contents = [encode(colours(20 + n, 30), form) for n in range(6) for form in FORMATS]
    alone = [IMAGE.decode(content).media for content in contents]
    with ThreadPoolExecutor(8) as threads:
        together = list(threads.map(lambda content: IMAGE.decode(content).media, contents))
    assert all(np.array_equal(one, other) for one, other in zip(alone, together, strict=True))


@pytest.mark.parametrize(
    "error", [ValueError, SyntaxError, KeyError, RecursionError, SystemError, AttributeError, NotImplementedError]
)
def test_whatever_a_decoder_raises_is_corrupt(error: type[Exception], monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: object) -> None:
        raise error("no luck")

    monkeypatch.setattr(ImageFile.ImageFile, "load", broken)
    assert isinstance(found := outcome(IMAGE, PICTURE["BMP"]), BadInput)
    assert (found.status, found.code) == (Status.CORRUPT, "IMG_DECODE")
    assert "no luck" in str(found)


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, type("Panic", (BaseException,), {})])
def test_a_panic_is_corrupt_and_a_wish_to_stop_is_not(
    error: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*args: object) -> None:
        raise error("no luck")

    monkeypatch.setattr(ImageFile.ImageFile, "load", broken)
    if error in (KeyboardInterrupt, SystemExit):
        with pytest.raises(error):
            IMAGE.decode(PICTURE["BMP"])
    else:
        assert failure(IMAGE, PICTURE["BMP"]) == (Status.CORRUPT, "DECODE")


def test_too_little_memory_is_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: object) -> None:
        raise MemoryError

    monkeypatch.setattr(ImageFile.ImageFile, "load", broken)
    assert failure(IMAGE, PICTURE["BMP"]) == (Status.LIMIT, "MEMORY")

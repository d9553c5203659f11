"""The exact pixels that every mode, depth, transparency and orientation comes to."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image as Pillow

from embedders import Status
from embedders.modalities.image import Image
from tests.embedders.modalities import failure
from tests.embedders.modalities.pictures import LETTER_F, chunk, colours, encode, png, tiff

IMAGE = Image()


def pixels(raw: Any) -> npt.NDArray[np.uint8]:
    media = IMAGE.decode(raw).media
    assert isinstance(media, np.ndarray)
    assert media.dtype == np.uint8
    assert media.ndim == 3
    assert media.shape[2] == 3
    assert media.flags.c_contiguous
    assert media.flags.writeable
    return media


def grey(raw: Any) -> list[list[int]]:
    """Levels of a picture whose three channels must agree."""
    found = pixels(raw)
    assert (found == found[..., :1]).all()
    levels: list[list[int]] = found[..., 0].tolist()
    return levels


# ---- plain modes -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["PNG", "BMP", "WEBP", "TIFF"])
def test_lossless_formats_give_the_written_pixels(form: str) -> None:
    assert np.array_equal(pixels(encode(colours(), form)), colours())


def test_one_colour_survives_jpeg() -> None:
    flat = np.full((16, 16, 3), 128, np.uint8)
    assert np.array_equal(pixels(encode(flat, "JPEG", quality=100)), flat)


@pytest.mark.parametrize("form", ["PNG", "GIF", "BMP", "TIFF"])
def test_grey_fills_three_channels(form: str) -> None:
    levels = np.array([[0, 1, 100], [200, 254, 255]], np.uint8)
    assert grey(encode(levels, form)) == levels.tolist()


@pytest.mark.parametrize("form", ["PNG", "BMP", "TIFF", "GIF"])
def test_one_bit_becomes_black_and_white(form: str) -> None:
    bits = Pillow.fromarray(LETTER_F * 255).convert("1")
    assert grey(encode(bits, form)) == (LETTER_F * 255).tolist()


@pytest.mark.parametrize("form", ["PNG", "GIF", "BMP", "TIFF"])
def test_a_palette_becomes_its_colours(form: str) -> None:
    palette = Pillow.new("P", (2, 1))
    palette.putpalette([10, 20, 30, 200, 100, 50])
    palette.putpixel((1, 0), 1)
    assert pixels(encode(palette, form)).tolist() == [[[10, 20, 30], [200, 100, 50]]]


CMYK = np.array([[[0, 0, 0, 0], [255, 0, 0, 0], [0, 0, 0, 255], [100, 50, 200, 64]]], np.uint8)
CMYK_AS_RGB = [[255, 255, 255], [0, 255, 255], [0, 0, 0], [116, 154, 41]]  # (255 - C) * (255 - K) / 255


def test_cmyk_becomes_rgb() -> None:
    assert pixels(encode(Pillow.fromarray(CMYK, "CMYK"), "TIFF"))[0].tolist() == CMYK_AS_RGB


def adobe_jpeg(transform: int) -> bytes:
    """One colour in Adobe's inverted CMYK, whose marker claims another transform."""
    content = encode(Pillow.new("CMYK", (16, 16), (100, 50, 200, 64)), "JPEG", quality=100, subsampling=0)
    at = content.index(b"\xff\xee\x00\x0eAdobe") + 15
    assert content[at] == 0
    return content[:at] + bytes([transform]) + content[at + 1 :]


def test_adobe_cmyk_jpeg_becomes_rgb() -> None:
    assert np.abs(pixels(adobe_jpeg(0))[8, 8].astype(int) - CMYK_AS_RGB[3]).max() <= 1


def test_adobe_ycck_jpeg_becomes_rgb() -> None:
    # the stored 155, 205, 55, inverted as 100, 50, 200 are, read as luma and chroma around 128
    luma, blue, red = 155, 205 - 128, 55 - 128
    cmy = np.clip([luma + 1.402 * red, luma - 0.344136 * blue - 0.714136 * red, luma + 1.772 * blue], 0, 255)
    expected = (255 - cmy) * (255 - 64) / 255
    assert np.abs(pixels(adobe_jpeg(2))[8, 8] - expected).max() <= 2


# ---- transparency ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["PNG", "WEBP", "TIFF"])
def test_alpha_is_composited_over_white_to_the_nearest_level(form: str) -> None:
    rgba = np.zeros((256, 256, 4), np.uint8)
    rgba[..., 0], rgba[..., 1], rgba[..., 2] = np.arange(256), 255 - np.arange(256), 77
    rgba[..., 3] = np.arange(256)[:, None]
    alpha = rgba[..., 3:].astype(float) / 255
    exact = rgba[..., :3] * alpha + 255 * (1 - alpha)
    assert np.array_equal(pixels(encode(rgba, form)), np.round(exact).astype(np.uint8))


def test_hidden_colours_under_full_transparency_stay_hidden() -> None:
    assert (pixels(encode(Pillow.new("RGBA", (3, 2), (255, 0, 0, 0)))) == 255).all()


@pytest.mark.parametrize("form", ["PNG", "TIFF"])
def test_grey_with_alpha_is_composited(form: str) -> None:
    picture = Pillow.merge("LA", [Pillow.new("L", (2, 1), 100), Pillow.new("L", (2, 1), 51)])
    assert grey(encode(picture, form)) == [[224, 224]]  # 100 / 5 + 255 * 4 / 5


def test_palette_with_alpha_is_composited() -> None:
    palette = Pillow.new("P", (1, 1))
    palette.putpalette([100, 200, 0])
    content = encode(Pillow.merge("PA", [palette, Pillow.new("L", (1, 1), 51)]), "TIFF")
    assert pixels(content).tolist() == [[[224, 244, 204]]]


def test_premultiplied_alpha_is_composited() -> None:
    premultiplied = Pillow.merge("LA", [Pillow.new("L", (1, 1), 100), Pillow.new("L", (1, 1), 51)]).convert("La")
    assert grey(premultiplied) == [[224]]
    assert grey(Pillow.new("RGBA", (1, 1), (100, 100, 100, 51)).convert("RGBa")) == [[224]]


PALETTE = chunk(b"PLTE", bytes([0, 0, 0, 100, 100, 100, 200, 200, 200]))


@pytest.mark.parametrize(
    ("alphas", "levels"),
    [(b"", [0, 100, 200]), (b"\xff\x00", [0, 255, 200]), (b"\x33\x00\xff", [204, 255, 200])],
)
def test_palette_transparency_is_composited_without_a_warning(alphas: bytes, levels: list[int]) -> None:
    extra = PALETTE + (chunk(b"tRNS", alphas) if alphas else b"")
    assert grey(png(np.array([[0, 1, 2]], np.uint8), depth=8, kind=3, extra=extra)) == [levels]


def test_a_transparent_gif_colour_becomes_white() -> None:
    palette = Pillow.new("P", (2, 1))
    palette.putpalette([10, 20, 30, 200, 100, 50])
    palette.putpixel((1, 0), 1)
    assert pixels(encode(palette, "GIF", transparency=0)).tolist() == [[[255, 255, 255], [200, 100, 50]]]


@pytest.mark.parametrize(
    ("depth", "row", "levels"),
    [
        (1, [0b01000000], [0, 255]),
        (2, [0b00011000], [0, 85, 170]),
        (4, [0x05, 0xF0], [0, 85, 255]),
        (8, [0, 5, 255], [0, 5, 255]),
        (16, [[0, 5 * 257, 65535]], [0, 5, 255]),
    ],
)
def test_a_transparent_grey_is_found_at_every_depth(depth: int, row: list[Any], levels: list[int]) -> None:
    """The second level of each is the transparent one."""
    width = len(levels)
    key = {1: 1, 2: 1, 4: 5, 8: 5, 16: 5 * 257}[depth]
    rows = np.array(row, np.uint16 if depth == 16 else np.uint8).reshape(1, -1)
    plain = png(rows, depth=depth, kind=0, width=width)
    assert grey(plain) == [levels]
    keyed = png(rows, depth=depth, kind=0, width=width, extra=chunk(b"tRNS", struct.pack(">H", key)))
    assert grey(keyed) == [[levels[0], 255, *levels[2:]]]


@pytest.mark.parametrize("depth", [8, 16])
def test_a_transparent_colour_is_found_at_both_depths(depth: int) -> None:
    scale = 257 if depth == 16 else 1
    rows = (np.array([[[10, 20, 30], [40, 50, 60]]]) * scale).astype(np.uint16 if depth == 16 else np.uint8)
    key = chunk(b"tRNS", struct.pack(">HHH", *(level * scale for level in (10, 20, 30))))
    assert pixels(png(rows, depth=depth, kind=2, extra=key)).tolist() == [[[255, 255, 255], [40, 50, 60]]]


# ---- more than 8 bits --------------------------------------------------------------------------------------------

LEVELS_16 = np.array([[0, 128, 129, 257, 32767, 32896, 65406, 65407, 65535]], np.uint16)
LEVELS_8 = [[0, 0, 1, 1, 127, 128, 254, 255, 255]]  # divided by 257 and rounded


@pytest.mark.parametrize("order", ["II", "MM"])
def test_sixteen_bit_grey_is_scaled_and_rounded(order: str) -> None:
    assert grey(tiff(LEVELS_16, order=order, fields={})) == LEVELS_8
    assert grey(png(LEVELS_16, depth=16, kind=0)) == LEVELS_8


@pytest.mark.parametrize("mode", ["I;16", "I;16L", "I;16B"])
def test_pillow_images_of_sixteen_bits_are_scaled_too(mode: str) -> None:
    order = ">u2" if mode == "I;16B" else "<u2"
    picture = Pillow.frombytes(mode, (LEVELS_16.shape[1], 1), LEVELS_16.astype(order).tobytes())
    assert grey(picture) == LEVELS_8


@pytest.mark.parametrize("form", ["PNG", "TIFF"])
def test_a_sixteen_bit_ramp_keeps_all_levels(form: str) -> None:
    ramp = np.linspace(0, 65535, 1024).astype(np.uint16).reshape(1, -1)
    assert len(np.unique(grey(encode(ramp, form)))) == 256


def test_zero_is_white_at_sixteen_bits_too() -> None:
    inverted = tiff(LEVELS_16, order="II", fields={262: 0})
    assert grey(inverted) == [[255 - level for level in LEVELS_8[0]]]


def test_twelve_bits_are_scaled_by_their_own_depth() -> None:
    packed = np.array([[0x00, 0x08, 0x00], [0xFF, 0xF0, 0x08]], np.uint8)  # rows 0, 2048 and 4095, 8
    content = tiff(packed, order="II", fields={256: 2, 258: 12})
    assert grey(content) == [[0, 128], [255, 0]]


def test_sixteen_bit_colour_keeps_its_upper_byte() -> None:
    rows = np.array([[[0x0000, 0x12FF, 0xFFFF], [0x8000, 0x7FFF, 0x0100]]], np.uint16)
    assert pixels(png(rows, depth=16, kind=2)).tolist() == [[[0, 0x12, 255], [0x80, 0x7F, 1]]]


@pytest.mark.parametrize(
    ("values", "levels"),
    [
        ([0.0, 0.25, 0.5, 1.0], [0, 64, 128, 255]),
        ([0.0, 0.0, 0.0, 0.0], [0, 0, 0, 0]),
        ([-1.0, 0.0, 1.0, 3.0], [0, 64, 128, 255]),
        ([7.0, 7.0, 7.0, 7.0], [0, 0, 0, 0]),
        ([-3e38, 0.0, 0.0, 3e38], [0, 128, 128, 255]),
    ],
)
def test_floats_are_scaled_from_their_range(values: list[float], levels: list[int]) -> None:
    assert grey(encode(np.array([values], np.float32), "TIFF")) == [levels]


def test_integers_of_32_bits_are_stretched() -> None:
    assert grey(encode(np.array([[-1000, 0, 1000, 3000]], np.int32), "TIFF")) == [[0, 64, 128, 255]]


@pytest.mark.parametrize("kind", [np.int32, np.float32])
def test_deep_ramps_keep_all_levels(kind: type) -> None:
    assert len(np.unique(grey(encode(np.arange(1024).reshape(1, -1).astype(kind), "TIFF")))) == 256


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_pixels_that_are_no_numbers_are_invalid(value: float) -> None:
    content = encode(np.array([[0.0, value, 1.0]], np.float32), "TIFF")
    assert failure(IMAGE, content) == (Status.INVALID, "IMG_NONFINITE")

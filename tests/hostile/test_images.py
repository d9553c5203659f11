"""Pictures (IMG): damaged, mislabelled, oversized and unusual files, each amid good neighbours."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pillow

from embedders.modalities.image import MAX_SCANS, Image
from pipelines import Pipeline
from tests.embedders.modalities.pictures import (
    FORMATS,
    LETTER_F,
    chunk,
    colours,
    encode,
    oriented,
    png_of_size,
    tiff,
)
from tests.hostile.conftest import Contained
from tests.hostile.containment import case, raw_of, rows_of
from tests.hostile.measures import PictureMeasures

pytestmark = pytest.mark.usefixtures("torchless")

PICTURE = {form: encode(colours(24, 32), form) for form in FORMATS}
J, P = PICTURE["JPEG"], PICTURE["PNG"]


def measured(raw: bytes) -> np.ndarray[Any, Any]:
    """The vector of a picture alone."""
    return np.array(PictureMeasures().prepare(Image().decode(raw).media), np.float32)


def in_jpeg(marker: bytes, skip: int, patch: bytes) -> bytes:
    """``J`` with bytes overwritten ``skip`` behind the first such marker."""
    at = J.index(marker) + skip
    return J[:at] + patch + J[at + len(patch) :]


def flipped(content: bytes, at: int) -> bytes:
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


def animation(form: str, frames: int) -> bytes:
    first, *others = (Pillow.new("RGB", (4, 3), (60 * n % 256, 10, 10)) for n in range(frames))
    return encode(first, form, save_all=True, append_images=others)


def many_frames(count: int) -> bytes:
    two = animation("GIF", 2)
    frame = two[two.rindex(b"\x21\xf9") : -1]
    return two[:-1] + frame * (count - 2) + b";"


def many_scans(count: int) -> bytes:
    content = encode(colours(16, 16), "JPEG", progressive=True)
    return content[:-2] + content[content.rindex(b"\xff\xda") : -2] * count + content[-2:]


def looping_tiff() -> bytes:
    content = tiff(colours(4, 4)[..., 0], order="II", fields={})
    return content[:-4] + content[4:8]


def text_bomb() -> bytes:
    return P[:33] + chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(50_000_000), 1)) + P[33:]


def pages(pixels: Any, form: str = "TIFF") -> bytes:
    picture = Pillow.fromarray(pixels)
    return encode(picture, form, save_all=True, append_images=[picture])


RAMP = np.arange(1024).reshape(8, 128)
NAN = np.full((4, 4), np.nan, np.float32)
GREY = Pillow.fromarray(colours(24, 32)).convert("L")

HEIF = struct.pack(">I", 24) + b"ftypheic" + bytes(4) + b"mif1heic"
JPEG_2000 = b"\0\0\0\x0cjP  \r\n\x87\n"

REFUSED = [
    case("IMG-01", "zero bytes", b"", "empty", "IMG_EMPTY"),
    case("IMG-02", "header only", J[:20], "corrupt", "IMG_DECODE"),
    *(case("IMG-02", f"header only {form}", PICTURE[form][:30], "corrupt", None) for form in FORMATS[1:]),
    case("IMG-03", "truncated half", J[: len(J) // 2], "corrupt", "IMG_TRUNCATED"),
    *(case("IMG-03", f"half a {f}", PICTURE[f][: len(PICTURE[f]) // 2], "corrupt", None) for f in FORMATS[1:]),
    case("IMG-04", "last two bytes missing", J[:-2], "corrupt", "IMG_TRUNCATED"),
    case("IMG-07", "HTML error page named .jpg", b"<html>404", "unsupported", "IMG_FORMAT"),
    case("IMG-08", "EPS", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "unsupported", "IMG_FORMAT"),
    case("IMG-08", "PDF", b"%PDF-1.7\n", "unsupported", "IMG_FORMAT"),
    case("IMG-08", "SVG", b"<svg xmlns='http://www.w3.org/2000/svg'/>", "unsupported", "IMG_FORMAT"),
    case("IMG-12", "20,000 x 1", lambda: encode(np.zeros((1, 20_000), np.uint8)), "limit", "IMG_ASPECT"),
    case("IMG-13", "bomb of 20,000 x 20,000", png_of_size(20_000, 20_000), "limit", "IMG_PIXELS"),
    case("IMG-14", "10,000 x 10,000", png_of_size(10_000, 10_000), "limit", "IMG_PIXELS"),
    case("IMG-15", "zero width", png_of_size(0, 10), "corrupt", "IMG_SIZE"),
    case("IMG-15", "zero height", png_of_size(10, 0), "corrupt", "IMG_SIZE"),
    case("IMG-17", "short IDAT", png_of_size(64, 64), "corrupt", None),
    case("IMG-18", "CRC error in IHDR", flipped(P, P.index(b"IHDR") + 17), "corrupt", "IMG_CHECKSUM"),
    case("IMG-18", "CRC error in IDAT", flipped(P, P.index(b"IEND") - 5), "corrupt", "IMG_CHECKSUM"),
    case("IMG-21", "float TIFF of NaN", lambda: encode(NAN, "TIFF"), "invalid", "IMG_NONFINITE"),
    case("IMG-32", "10,000 scans", lambda: many_scans(10_000), "limit", "IMG_SCANS"),
    case("IMG-33", "65,500 x 65,500", in_jpeg(b"\xff\xc0", 5, b"\xff\xdc\xff\xdc"), "limit", "IMG_PIXELS"),
    case("IMG-34", "arithmetic coding", in_jpeg(b"\xff\xc0", 1, b"\xc9"), "unsupported", "IMG_FORMAT"),
    case("IMG-34", "lossless coding", in_jpeg(b"\xff\xc0", 1, b"\xc3"), "unsupported", "IMG_FORMAT"),
    case("IMG-34", "12 bits", in_jpeg(b"\xff\xc0", 4, b"\x0c"), "unsupported", "IMG_FORMAT"),
    case("IMG-39", "AVIF", lambda: encode(colours(24, 32), "AVIF"), "unsupported", "IMG_FORMAT"),
    case("IMG-39", "HEIF", HEIF, "unsupported", "IMG_FORMAT"),
    case("IMG-39", "JPEG 2000", JPEG_2000, "unsupported", "IMG_FORMAT"),
]

TAKEN = [
    case("IMG-11", "1 x 1", encode(np.zeros((1, 1), np.uint8)), "ok"),
    case("IMG-16", "text bomb of 50 MB", text_bomb, "ok"),
    case("IMG-19", "megabyte behind IEND", lambda: P + bytes(1 << 20), "ok"),
    case("IMG-19", "megabyte behind EOI", lambda: J + bytes(1 << 20), "ok"),
    case("IMG-20", "16-bit grey ramp", encode((RAMP * 64).astype(np.uint16)), "ok"),
    case("IMG-21", "32-bit int TIFF", encode(RAMP.astype(np.int32), "TIFF"), "ok"),
    case("IMG-21", "float TIFF", encode((RAMP / 1024).astype(np.float32), "TIFF"), "ok"),
    *(case("IMG-22", f"mode {mode}", encode(GREY.convert(mode)), "ok") for mode in ("1", "L", "LA", "P")),
    case("IMG-22", "mode PA", encode(GREY.convert("P").convert("PA"), "TIFF"), "ok"),
    case("IMG-27", "EXIF orientation 99", encode(colours(), "JPEG", exif=oriented(99)), "ok"),
    case("IMG-27", "broken EXIF", encode(colours(), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff"), "ok"),
    case("IMG-28", "ICC garbage", encode(colours(), icc_profile=b"x" * 100), "ok", flags=("icc_ignored",)),
    case("IMG-29", "GIF of 5 frames", lambda: animation("GIF", 5), "ok", flags=("first_frame",)),
    case("IMG-29", "GIF of 10,000 frames", lambda: many_frames(10_000), "ok", flags=("first_frame",)),
    case("IMG-30", "GIF cut in frame 3", lambda: many_frames(3)[:-8], "ok", flags=("first_frame",)),
    case("IMG-31", "TIFF of 2 pages", lambda: pages(colours()), "ok", flags=("first_frame",)),
    case("IMG-31", "TIFF whose pages loop", looping_tiff, "ok", flags=None),
]


@pytest.mark.parametrize(("raw", "status", "code", "flags"), REFUSED + TAKEN)
def test_a_picture_costs_its_own_row_only(
    contained: Contained, raw: Any, status: str, code: str | None, flags: tuple[str, ...] | None
) -> None:
    row = contained({"picture": raw_of(raw)}, status, code, megabytes=50)
    assert flags is None or row.flags == flags


# ---- what a good row must hold -----------------------------------------------------------------------------------


def test_IMG_05_overwritten_bytes_that_still_decode_show_in_the_checksum(contained: Contained) -> None:
    content = encode(colours(64, 64), "JPEG", quality=95)
    middle = len(content) // 2
    row = contained({"picture": content[:middle] + b"\x55" * 40 + content[middle + 40 :]}, "ok")
    assert not np.array_equal(row.vector, measured(content))
    assert row.sha256 is not None
    assert row.sha256 not in {found["picture_sha256"] for found in rows_of(row.out) if found["id"] != "bad"}


@pytest.mark.parametrize("form", ["PNG", "GIF"], ids=lambda form: f"IMG-09 {form} named .jpg")
def test_the_name_of_a_picture_decides_nothing(contained: Contained, form: str, tmp_path: Path) -> None:
    (tmp_path / "x.jpg").write_bytes(PICTURE[form])
    assert np.array_equal(contained({"picture": "x.jpg"}, "ok", root=tmp_path).vector, measured(PICTURE[form]))


@pytest.mark.parametrize("name", ["x", "X.JPG", "x.tar.gz.png"], ids=lambda name: f"IMG-10 {name}")
def test_a_picture_is_taken_under_any_name(contained: Contained, name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(J)
    assert np.array_equal(contained({"picture": name}, "ok", root=tmp_path).vector, measured(J))


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(encode((RAMP * 64).astype(np.uint16)), id="IMG-20 16-bit"),
        pytest.param(encode(RAMP.astype(np.int32), "TIFF"), id="IMG-21 32-bit int"),
        pytest.param(encode((RAMP / 1023).astype(np.float32), "TIFF"), id="IMG-21 float"),
    ],
)
def test_a_deep_ramp_keeps_its_levels(raw: bytes) -> None:
    assert len(np.unique(Image().decode(raw).media)) >= 250


def test_IMG_23_a_cmyk_jpeg_has_its_golden_colour(contained: Contained) -> None:
    raw = encode(Pillow.new("CMYK", (16, 16), (0, 255, 255, 55)), "JPEG", quality=100)
    assert contained({"picture": raw}, "ok").vector[2:5] == pytest.approx([200, 0, 0], abs=3)


def test_IMG_23_a_ycck_jpeg_has_its_golden_colour(contained: Contained) -> None:
    # stored inverted as 100, 128, 128: a grey of luma 100, once the Adobe marker says luma and chroma
    raw = encode(Pillow.new("CMYK", (16, 16), (155, 127, 127, 0)), "JPEG", quality=100)
    transform = raw.index(b"Adobe") + 11
    assert raw[transform] == 0
    raw = raw[:transform] + b"\x02" + raw[transform + 1 :]
    assert contained({"picture": raw}, "ok").vector[2:5] == pytest.approx([155, 155, 155], abs=3)


def test_IMG_24_palette_transparency_is_composited(contained: Contained) -> None:
    picture = Pillow.fromarray(np.array([[0, 1, 2, 2]], np.uint8), "P")
    picture.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    row = contained({"picture": encode(picture, transparency=bytes([0, 255, 255]))}, "ok")
    assert row.vector[2:5].tolist() == [255 / 4, 255 / 2, 255 * 3 / 4]


def test_IMG_25_transparent_pixels_are_the_background(contained: Contained) -> None:
    row = contained({"picture": encode(Pillow.new("RGBA", (3, 2), (255, 0, 0, 0)))}, "ok")
    assert row.vector.tolist() == [2, 3, 255, 255, 255, 0]


@pytest.mark.parametrize("orientation", range(2, 9), ids=lambda number: f"IMG-26 orientation {number}")
def test_an_oriented_picture_equals_the_turned_file(contained: Contained, orientation: int) -> None:
    upright = np.repeat((LETTER_F * 255)[..., None], 3, axis=2)
    as_stored = {
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright, 1),
        7: np.rot90(upright, 2).transpose(1, 0, 2),
        8: np.rot90(upright, -1),
    }[orientation]
    raw = encode(np.ascontiguousarray(as_stored), exif=oriented(orientation))
    assert np.array_equal(contained({"picture": raw}, "ok").vector, measured(encode(upright)))
    assert np.array_equal(Image().decode(raw).media, upright)


def test_IMG_40_one_file_named_a_thousand_times_gives_equal_rows(tmp_path: Path) -> None:
    (tmp_path / "x.jpg").write_bytes(J)
    records = [{"id": str(number), "picture": "x.jpg"} for number in range(1000)]
    Pipeline({"picture": PictureMeasures()}, part_rows=300).run(records, tmp_path / "set", root=tmp_path)
    rows = rows_of(tmp_path / "set")
    assert [row.pop("id") for row in rows] == [record["id"] for record in records]
    assert rows == [rows[0]] * 1000
    assert rows[0]["picture_picturemeasures_status"] == "ok"


# ---- whatever a decoder raises -----------------------------------------------------------------------------------


class Unpicklable(Exception):
    def __reduce__(self) -> Any:
        raise TypeError("cannot be pickled")


class Panic(BaseException):
    """What bindings to Rust raise is no Exception."""


RAISED = [OSError, ValueError, SyntaxError, KeyError, struct.error, RecursionError, SystemError, Unpicklable, Panic]


@pytest.mark.parametrize("error", [*RAISED, MemoryError], ids=lambda error: f"IMG-38 {error.__name__}")
def test_whatever_a_decoder_raises_is_a_row(
    contained: Contained, error: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    genuine: Callable[..., Any] = Image.decode_content

    def decode_content(self: Image, content: bytes, limits: Any) -> Any:
        if content == b"!":
            raise error("no luck")
        return genuine(self, content, limits)

    monkeypatch.setattr(Image, "decode_content", decode_content)
    expected = ("limit", "MEMORY") if error is MemoryError else ("corrupt", "DECODE")
    contained({"picture": b"!"}, *expected)


def test_a_progressive_jpeg_of_usual_scans_is_taken() -> None:
    assert Image().decode(many_scans(MAX_SCANS // 50)).media.shape == (16, 16, 3)

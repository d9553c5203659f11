"""Pictures come out upright, whichever way the camera stored them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image as Pillow

from embedders.modalities.image import Image
from tests.embedders.modalities.pictures import LETTER_F, colours, encode, oriented

IMAGE = Image()


def pixels(content: bytes) -> npt.NDArray[np.uint8]:
    found: npt.NDArray[np.uint8] = IMAGE.decode(content).media
    return found


def grey(content: bytes) -> list[list[int]]:
    levels: list[list[int]] = pixels(content)[..., 0].tolist()
    return levels


UPRIGHT = LETTER_F * 255
# how a camera stores an upright scene, by EXIF orientation
STORED = {
    1: UPRIGHT,
    2: UPRIGHT[:, ::-1],
    3: UPRIGHT[::-1, ::-1],
    4: UPRIGHT[::-1],
    5: UPRIGHT.T,
    6: np.rot90(UPRIGHT),
    7: UPRIGHT[::-1, ::-1].T,
    8: np.rot90(UPRIGHT, -1),
}


@pytest.mark.parametrize("form", ["PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", STORED)
def test_every_orientation_is_turned_upright(form: str, orientation: int) -> None:
    stored = np.ascontiguousarray(STORED[orientation])
    assert grey(encode(Pillow.fromarray(stored), form, exif=oriented(orientation))) == UPRIGHT.tolist()


@pytest.mark.parametrize("orientation", STORED)
def test_jpeg_is_turned_as_well(orientation: int) -> None:
    stored = np.kron(STORED[orientation], np.ones((16, 16), np.uint8))
    found = pixels(encode(stored, "JPEG", exif=oriented(orientation), quality=100))
    assert np.array_equal(found[8::16, 8::16, 0] > 127, UPRIGHT > 127)


def test_sixteen_bits_are_turned_as_well() -> None:
    stored = Pillow.fromarray(np.rot90(np.array([[0, 257, 32896, 65535]], np.uint16)).copy())
    assert grey(encode(stored, "PNG", exif=oriented(6))) == [[0, 1, 128, 255]]


BROKEN = [
    oriented(99),
    oriented(0),
    b"Exif\0\0",
    b"Exif\0\0MM\0*",
    b"Exif\0\0II*\0\xff\xff\xff\xff",
    b"Exif\0\0II*\0\x08\0\0\0\xff\xff" + bytes(range(60)),
    b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x02\0\xff\0\0\0\xf0\xff\0\0\0\0\0\0",
    b"garbage",
]


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("exif", BROKEN, ids=range(len(BROKEN)))
def test_broken_exif_counts_as_none(form: str, exif: bytes) -> None:
    assert np.array_equal(pixels(encode(colours(), form, exif=exif)), pixels(encode(colours(), form)))


def test_an_orientation_before_the_damage_still_counts() -> None:
    intact = oriented(6)
    cut = intact[: intact.index(b"\x01\x12") + 12]
    assert pixels(encode(colours(6, 8), exif=cut)).shape == (8, 6, 3)

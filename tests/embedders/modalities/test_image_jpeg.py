"""JPEG past Pillow: the same pixels whatever the kind of file, and smaller ones where they are enough."""

from __future__ import annotations

import io
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import simplejpeg
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow
from PIL import ImageOps

from embedders import BadInput, Decoded, Limits, Status
from embedders.modalities.image import MAX_SCANS, Image
from embedders.modalities.image_header import check_jpeg
from embedders.modalities.image_jpeg import jpeg_pixels
from tests.embedders.modalities import failure, outcome
from tests.embedders.modalities.pictures import encode, oriented

IMAGE = Image()
SIDES = [(1, 1), (8, 8), (7, 17), (33, 16), (3, 90), (65, 97)]


def scene(height: int, width: int, seed: int = 0) -> npt.NDArray[np.uint8]:
    """Soft colours under noise, so that every coefficient is used."""
    rng = np.random.default_rng([seed, height, width])
    soft = Pillow.fromarray(rng.integers(0, 256, (3, 3, 3), np.uint8)).resize((width, height))
    return np.clip(np.asarray(soft, int) + rng.integers(-30, 31, (height, width, 3)), 0, 255).astype(np.uint8)


def by_pillow(content: bytes) -> npt.NDArray[np.uint8]:
    return np.asarray(Pillow.open(io.BytesIO(content)).convert("RGB"))


def past_pillow(content: bytes, at_least: int | None = None) -> npt.NDArray[np.uint8] | None:
    picture = Pillow.open(io.BytesIO(content))
    return jpeg_pixels(content, picture.size, picture.mode, at_least)


# ---- the same pixels ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("quality", [5, 60, 90, 100])
@pytest.mark.parametrize("sampling", ["444", "422", "420", "440", "411", "Gray"])
def test_every_subsampling_gives_the_pixels_of_pillow(sampling: str, quality: int) -> None:
    for sides in SIDES:
        pixels, colour = scene(*sides), "RGB"
        if sampling == "Gray":
            pixels, colour = np.ascontiguousarray(pixels[..., :1]), "GRAY"
        content = simplejpeg.encode_jpeg(pixels, quality, colour, sampling)
        found = past_pillow(content)
        assert found is not None
        assert np.array_equal(found, by_pillow(content)), sides


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("subsampling", [0, 1, 2])
@pytest.mark.parametrize("restart", [0, 3])
@pytest.mark.parametrize("progressive", [False, True])
def test_every_coding_gives_the_pixels_of_pillow(
    progressive: bool, restart: int, subsampling: int, mode: str
) -> None:
    options: dict[str, Any] = {"progressive": progressive, "subsampling": subsampling, "optimize": not progressive}
    for sides in SIDES:
        picture = Pillow.fromarray(scene(*sides)).convert(mode)
        content = encode(picture, "JPEG", quality=85, restart_marker_blocks=restart, **options)
        found = past_pillow(content)
        assert found is not None
        assert np.array_equal(found, by_pillow(content)), sides


def test_a_jpeg_of_three_colours_without_transform_gives_the_pixels_of_pillow() -> None:
    content = encode(scene(40, 30), "JPEG", keep_rgb=True, quality=90)
    found = past_pillow(content)
    assert found is not None
    assert np.array_equal(found, by_pillow(content))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_picture_is_turned_as_by_pillow(orientation: int) -> None:
    content = encode(scene(21, 34), "JPEG", exif=oriented(orientation))
    expected = ImageOps.exif_transpose(Pillow.open(io.BytesIO(content)))
    found = IMAGE.decode(content).media
    assert np.array_equal(found, np.asarray(expected))
    assert found.flags.c_contiguous
    assert found.flags.writeable


def test_pictures_larger_than_a_strip_come_out_of_pillow_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("embedders.modalities.image_colour.STRIP", 100)
    for height, width in ((37, 30), (3, 400), (20, 50)):
        pixels = scene(height, width)
        assert np.array_equal(IMAGE.decode(encode(pixels, "PNG")).media, pixels)


def test_pixels_are_held_once() -> None:
    content = encode(scene(1000, 1000), "JPEG")
    IMAGE.decode(content)
    tracemalloc.start()
    IMAGE.decode(content)
    assert tracemalloc.get_traced_memory()[1] < 1.1 * 3_000_000
    tracemalloc.stop()


# ---- what Pillow has to judge ------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["CMYK"])
def test_inks_are_left_to_pillow(mode: str) -> None:
    content = encode(Pillow.fromarray(scene(20, 30)).convert(mode), "JPEG")
    assert past_pillow(content) is None
    assert IMAGE.decode(content).media.shape == (20, 30, 3)


def test_a_header_that_promises_another_size_is_left_to_pillow() -> None:
    content = encode(scene(20, 30), "JPEG")
    assert jpeg_pixels(content, (29, 20), "RGB", None) is None
    assert jpeg_pixels(content, (30, 19), "RGB", None) is None
    assert jpeg_pixels(content, (31, 21), "RGB", None) is None


def test_bytes_between_the_segments_are_left_to_pillow_which_reads_over_them() -> None:
    content = encode(scene(40, 40), "JPEG", restart_marker_blocks=2)
    at = content.index(b"\xff\xd0")
    odd = content[:at] + b"\x00\x00\x00" + content[at:]
    assert past_pillow(odd) is None
    assert np.array_equal(IMAGE.decode(odd).media, by_pillow(odd))


@pytest.mark.parametrize("at_least", [None, 10])
@pytest.mark.parametrize("progressive", [False, True])
@given(st.data())
@settings(max_examples=120, deadline=None)
def test_a_damaged_file_is_what_it_is_to_pillow(
    progressive: bool, at_least: int | None, draw: st.DataObject
) -> None:
    damaged = bytearray(encode(scene(40, 60), "JPEG", progressive=progressive, restart_marker_blocks=2))
    for _ in range(draw.draw(st.integers(1, 3))):
        damaged[draw.draw(st.integers(0, len(damaged) - 1))] = draw.draw(st.integers(0, 255))
    content = bytes(damaged[: draw.draw(st.one_of(st.just(len(damaged)), st.integers(0, len(damaged))))])
    limits = Limits(pixels=100_000)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("embedders.modalities.image.jpeg_pixels", lambda *_: None)
        expected = outcome(IMAGE, content, limits)
    try:
        found: Decoded | BadInput = IMAGE.decode(content, limits, at_least)
    except BadInput as bad:
        found = bad
    if isinstance(expected, BadInput):
        assert isinstance(found, BadInput)
        assert (found.status, found.code) == (expected.status, expected.code)
    else:
        assert isinstance(found, Decoded)
        assert found.flags == expected.flags
        assert at_least is not None or np.array_equal(found.media, expected.media)


# ---- scans -------------------------------------------------------------------------------------------------------


def test_only_files_that_may_have_several_scans_are_searched_for_them() -> None:
    pixels = scene(24, 24)
    assert not check_jpeg(encode(pixels, "JPEG"))
    assert not check_jpeg(encode(pixels[..., 0], "JPEG"))
    assert check_jpeg(encode(pixels, "JPEG", progressive=True))


def test_a_first_scan_of_one_component_may_be_followed_by_others() -> None:
    content = encode(scene(24, 24), "JPEG")
    at = content.index(b"\xff\xda")
    one = content[:at] + b"\xff\xda\x00\x08\x01\x01\x00\x00\x3f\x00" + content[at + 14 :]
    assert check_jpeg(one)
    scan = one[at:-2]
    assert failure(IMAGE, one[:-2] + scan * MAX_SCANS + one[-2:]) == (Status.LIMIT, "IMG_SCANS")


def test_a_film_behind_a_picture_has_no_scans() -> None:
    content = encode(scene(24, 24), "JPEG")
    film = b"\xff\xda" * (MAX_SCANS + 1)
    assert np.array_equal(IMAGE.decode(content + film).media, by_pillow(content))


@pytest.mark.parametrize("keep", range(2, 60))
def test_a_header_cut_anywhere_is_searched_for_scans(keep: int) -> None:
    assert check_jpeg(encode(scene(8, 8), "JPEG")[:keep])


# ---- smaller -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("at_least", "expected"),
    [
        (1, (13, 20)),
        (13, (13, 20)),
        (14, (25, 40)),
        (26, (50, 79)),
        (50, (50, 79)),
        (51, (99, 157)),
        (500, (99, 157)),
    ],
)
def test_the_shorter_side_keeps_what_is_asked_for(at_least: int, expected: tuple[int, int]) -> None:
    content = encode(scene(99, 157), "JPEG")
    assert IMAGE.decode(content, at_least=at_least).media.shape == (*expected, 3)
    turned = encode(scene(99, 157), "JPEG", exif=oriented(6))
    assert IMAGE.decode(turned, at_least=at_least).media.shape == (*expected[::-1], 3)


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("factor", [2, 4, 8])
def test_a_smaller_picture_is_the_mean_of_its_cells(factor: int, progressive: bool) -> None:
    content = encode(scene(160, 240), "JPEG", quality=95, subsampling=0, progressive=progressive)
    found = IMAGE.decode(content, at_least=160 // factor).media
    cells = by_pillow(content).reshape(160 // factor, factor, 240 // factor, factor, 3).mean(axis=(1, 3))
    assert np.abs(found - cells).mean() < 3


@pytest.mark.parametrize("form", ["PNG", "WEBP", "GIF", "BMP", "TIFF"])
def test_other_formats_are_read_in_full(form: str) -> None:
    content = encode(scene(40, 60), form)
    assert np.array_equal(IMAGE.decode(content, at_least=1).media, IMAGE.decode(content).media)


def test_inks_and_pixels_in_memory_are_never_reduced() -> None:
    inks = encode(Pillow.fromarray(scene(80, 90)).convert("CMYK"), "JPEG")
    assert IMAGE.decode(inks, at_least=1).media.shape == (80, 90, 3)
    assert IMAGE.decode(scene(80, 90), at_least=1).media.shape == (80, 90, 3)


def test_limits_hold_for_the_size_in_the_file() -> None:
    content = encode(scene(80, 90), "JPEG")
    with pytest.raises(BadInput) as caught:
        IMAGE.decode(content, Limits(pixels=7199), at_least=1)
    assert (caught.value.status, caught.value.code) == (Status.LIMIT, "IMG_PIXELS")
    assert IMAGE.decode(content, Limits(pixels=7200), at_least=1).media.shape == (10, 12, 3)


def test_threads_give_the_same_smaller_pixels() -> None:
    contents = [encode(scene(200, 100 + n), "JPEG", progressive=bool(n % 2)) for n in range(16)]
    alone = [IMAGE.decode(content, at_least=50).media for content in contents]
    with ThreadPoolExecutor(8) as threads:
        together = list(threads.map(lambda content: IMAGE.decode(content, at_least=50).media, contents))
    assert all(np.array_equal(one, other) for one, other in zip(alone, together, strict=True))


def test_the_policy_says_what_was_kept() -> None:
    assert IMAGE.policy["resolution"] == "full"
    assert IMAGE.policy_at(None) == IMAGE.policy
    assert "where the shorter side keeps 512 pixels" in IMAGE.policy_at(512)["resolution"]
    assert {**IMAGE.policy_at(512), "resolution": "full"} == IMAGE.policy


@pytest.mark.parametrize(("side", "kept"), [(224, 512), (232, 512), (256, 512), (257, 1024), (64, 128), (1, 2)])
def test_embedders_of_about_one_size_share_a_decoding(side: int, kept: int) -> None:
    assert IMAGE.kept(side) == kept


def test_an_embedder_that_names_no_side_gets_everything() -> None:
    assert IMAGE.kept(None) is None

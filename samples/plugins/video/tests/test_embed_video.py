"""What the package promises; run with ``pytest`` where it is installed."""

from __future__ import annotations

import io
import struct
from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from typing import Any

import av
import numpy as np
import pytest

import embedders
from embedders import BadInput, BaseEmbedder, EmbedderSpec, Limits, Status, UsageError
from embedders.conformance import contract
from embedders.registry import registry

KINDS = [("mp4", "libx264"), ("mp4", "mpeg4"), ("matroska", "libx264"), ("webm", "libvpx-vp9"), ("avi", "mpeg4")]
COLOURS = [(250, 20, 30), (20, 240, 40), (30, 20, 245), (240, 230, 20), (20, 20, 20), (240, 240, 240)]

TestFrames = contract("video.frames", encoder="image.starter", frames=3)


class MeanColour(BaseEmbedder):
    """Mean red, green and blue of a picture, each from 0 to 255."""

    @property
    def spec(self) -> EmbedderSpec:
        """Three dimensions."""
        return EmbedderSpec("image", "mean-colour", 3, False)

    def prepare(self, media: Any) -> Any:
        """The colour."""
        return media.reshape(-1, 3).mean(axis=0)

    def collate(self, samples: Sequence[Any]) -> Any:
        """Stack."""
        return np.stack(samples)

    def load(self, runtime: Any) -> Any:
        """Nothing."""
        return lambda batch: batch

    def examples(self) -> list[Any]:
        """None are needed."""
        return []


COLOUR = f"{__name__}:MeanColour"


def film(
    pictures: Sequence[Any], kind: tuple[str, str] = KINDS[0], times: Sequence[int] | None = None, gop: int = 5
) -> bytes:
    """A clip of these pictures, ten per second or at these tenths of a second."""
    file = io.BytesIO()
    with av.open(file, "w", format=kind[0]) as container:
        stream = container.add_stream(kind[1], rate=10)
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt, stream.gop_size, stream.bit_rate = "yuv420p", gop, 2_000_000
        stream.codec_context.time_base = Fraction(1, 10)
        for time, picture in zip(times or range(len(pictures)), pictures, strict=True):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts = time
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return file.getvalue()


def plain(colours: Sequence[tuple[int, int, int]]) -> list[Any]:
    """A picture of one colour for each."""
    return [np.full((48, 64, 3), colour, np.uint8) for colour in colours]


def ramps(count: int) -> list[Any]:
    """Pictures that all differ: an edge that moves over a ramp."""
    pictures = []
    for at in range(count):
        picture = np.zeros((48, 64, 3), np.uint8)
        picture[..., 0] = np.arange(64) * 3
        picture[:, : 1 + at, 1] = 255 - 4 * at
        pictures.append(picture)
    return pictures


def decoded(content: bytes, limits: Limits | None = None) -> Any:
    """The media of a file."""
    return registry.modality("video").decode(content, limits).media


@pytest.mark.parametrize("kind", KINDS, ids="-".join)
def test_the_vector_is_the_mean_over_the_middles(kind: tuple[str, str]) -> None:
    content = film(plain(COLOURS), kind)
    for count, shown in ((1, [3]), (2, [1, 4]), (3, [1, 3, 5]), (6, range(6)), (12, [*range(6)])):
        (found,) = embedders.create("video.frames", encoder=COLOUR, frames=count).embed([content], device="cpu")
        assert found == pytest.approx(np.mean([COLOURS[at] for at in shown], axis=0), abs=4), count


@pytest.mark.parametrize("kind", KINDS, ids="-".join)
def test_frames_are_those_of_decoding_everything(kind: tuple[str, str]) -> None:
    content = film(ramps(33), kind)
    with av.open(io.BytesIO(content)) as container:
        all_of_them = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    clip = decoded(content)
    assert len(clip.keys) > 3
    for count in (1, 2, 3, 5, 33):
        places = [int((2 * k + 1) * 33 / (2 * count)) for k in range(count)]
        for place, frame in zip(places, clip.frames(count), strict=True):
            assert np.array_equal(frame, all_of_them[place]), (count, place)


def test_frames_count_by_how_long_they_are_shown() -> None:
    clip = decoded(film(plain(COLOURS[:4]), times=[0, 1, 2, 30]))
    assert clip.seconds == pytest.approx(3.1)
    for frame in clip.frames(3):
        assert frame.mean(axis=(0, 1)) == pytest.approx(COLOURS[2], abs=4)


@pytest.mark.parametrize(
    ("matrix", "turns"), [((0, 1, -1, 0), 1), ((-1, 0, 0, -1), 2), ((0, -1, 1, 0), 3)], ids=["90", "180", "270"]
)
def test_a_clip_filmed_sideways_stands_upright(matrix: tuple[int, ...], turns: int) -> None:
    (picture,) = ramps(1)
    content = bytearray(film([picture]))
    at = content.index(b"tkhd") + 4 + 4 + 20 + 16  # version 0: the matrix stands behind times and sizes
    a, b, c, d = (value << 16 for value in matrix)
    content[at : at + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    (found,) = decoded(bytes(content)).frames(1)
    clockwise = np.rot90(picture, -turns)
    assert found.shape == clockwise.shape
    assert np.abs(found.astype(int) - clockwise).mean() < 6


def sound_alone() -> bytes:
    """An MP4 without pictures."""
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("aac", rate=16000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.rate = 16000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return file.getvalue()


def damaged(content: bytes) -> bytes:
    """With the pictures' bytes overwritten."""
    broken = bytearray(content)
    start = content.index(b"mdat") + 900
    broken[start : start + 200] = b"\x5a" * 200
    return bytes(broken)


@pytest.mark.parametrize(
    ("content", "status", "code"),
    [
        (b"", Status.EMPTY, "VID_EMPTY"),
        (b"two red bells", Status.UNSUPPORTED, "VID_FORMAT"),
        (b"#EXTM3U\n#EXTINF:1,\n/etc/passwd\n", Status.UNSUPPORTED, "VID_FORMAT"),
        (b"\0\0\0\x18ftypisom" + bytes(100), Status.CORRUPT, "VID_DECODE"),
        (sound_alone(), Status.INVALID, "VID_NO_PICTURES"),
        (film(ramps(3), ("matroska", "ffv1")), Status.UNSUPPORTED, "VID_CODEC"),
        (damaged(film(ramps(20))), Status.CORRUPT, "VID_DECODE"),
        *((film(ramps(40), kind)[:-size], Status.CORRUPT, None) for kind in KINDS for size in (2000, 4000)),
    ],
)
def test_what_cannot_be_shown_is_told_apart(
    content: bytes, status: Status, code: str | None, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(BadInput) as caught:
        embedders.create("video.frames", encoder=COLOUR).embed([content], device="cpu")
    assert caught.value.status == status
    assert code in (None, caught.value.code)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("limits", "code"),
    [
        (Limits(pixels=64 * 48 - 1), "VID_PIXELS"),
        (Limits(seconds=1.9), "VID_SECONDS"),
        (Limits(bytes=500), "BYTES"),
    ],
)
def test_limits_hold_before_anything_is_decoded(limits: Limits, code: str) -> None:
    content = film(ramps(20))
    with pytest.raises(BadInput) as caught:
        decoded(content, limits)
    assert (caught.value.status, caught.value.code) == (Status.LIMIT, code)
    assert decoded(content, Limits(pixels=64 * 48, seconds=2.0)).seconds == pytest.approx(2)


def test_clips_lie_among_the_pictures_of_their_encoder() -> None:
    frames, pictures = embedders.create("video.frames", encoder="image.starter"), embedders.create("image.starter")
    assert frames.spec.space == pictures.spec.space
    scene = np.kron(ramps(1)[0], np.ones((2, 2, 1), np.uint8))
    (clip,), (picture,) = frames.embed([film([scene] * 6)], device="cpu"), pictures.embed([scene], device="cpu")
    assert np.linalg.norm(clip) == pytest.approx(1, abs=1e-6)
    assert clip @ picture > 0.97


def test_weights_are_handed_to_the_encoder() -> None:
    frames = embedders.create("video.frames", encoder="image.starter", weights="random:3")
    assert frames.spec.space == embedders.create("image.starter", weights="random:3").spec.space
    assert frames.weights_identity == {"seed": 3}


def test_options_that_make_no_sense_are_refused() -> None:
    with pytest.raises(UsageError, match="frames is 0"):
        embedders.create("video.frames", frames=0)
    with pytest.raises(UsageError, match=r"'text\.starter' embeds text"):
        _ = embedders.create("video.frames", encoder="text.starter").spec


def test_times_stand_in_order() -> None:
    clip = decoded(film(ramps(33)))  # with pictures that are stored out of order
    assert all(first < second for first, second in pairwise(clip.times))

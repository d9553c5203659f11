"""Video files: what is in them is checked without decoding a picture, and single frames are decoded on demand."""

from __future__ import annotations

import bisect
import contextlib
import io
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from embedders import BadInput, Decoded, Limits, Modality, Status
from embedders.modality import Pixels

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

__all__ = ["Clip", "Video"]

CODECS = frozenset({"av1", "h264", "hevc", "mjpeg", "mpeg2video", "mpeg4", "vp8", "vp9"})
"""FFmpeg decodes hundreds; strangers' files get no further than to those that are in use and well tested."""

MISSING = 1.0
"""Seconds by which the content may end before the file says: audio and pictures seldom end at once."""


class Video(Modality):
    """Video: MP4 and QuickTime, Matroska and WebM, AVI, told apart by content; media is a :class:`Clip`.

    The first stream of pictures counts, its frames at their own times, turned upright by quarter turns where the
    file says so. Pixels are as stored, in 8 bits: not deinterlaced, whatever shape they are meant to be shown in.

    A file whose content is cut or ends more than a second before it says is ``corrupt``; one without pictures is
    ``invalid`` (``VID_NO_PICTURES``), other formats and codecs are ``unsupported``. ``limits.seconds`` and
    ``limits.pixels`` (of a frame) are checked before anything is decoded. Damage to pictures shows only where they
    are looked at, and as far as the codec can tell.
    """

    name: ClassVar[str] = "video"
    suffixes: ClassVar[frozenset[str]] = frozenset({".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi"})
    defaults: ClassVar[tuple[str, ...]] = ("video.frames",)

    @property
    def policy(self) -> Mapping[str, Any]:
        """The decisions above, and the version of PyAV, which brings its own FFmpeg."""
        return {
            "stream": "first",
            "orientation": "quarter turns",
            "pixels": "as stored",
            "av": metadata.version("av"),
        }

    def decode_content(self, content: bytes, limits: Limits) -> Decoded:
        """Read times and sizes of all packets; no picture is decoded."""
        with _opened(content) as (container, stream):
            size = (stream.codec_context.width, stream.codec_context.height)
            if size[0] * size[1] > limits.pixels:
                message = f"{size[0]} x {size[1]} pixels; the limit is {limits.pixels}"
                raise BadInput(Status.LIMIT, "VID_PIXELS", message)
            times: list[int] = []
            keys: list[tuple[int, int]] = []
            end, last, packets = 0, 0.0, 0
            for packet in container.demux():
                if not packet.size:
                    continue
                if packet.is_corrupt:
                    raise BadInput(Status.CORRUPT, "VID_TRUNCATED", "its content is cut off")
                at = packet.pts if packet.pts is not None else packet.dts or 0
                after = at + (packet.duration or 0)
                last = max(last, float(after * packet.time_base))
                if packet.stream_index == stream.index:
                    if packet.is_keyframe:
                        keys.append((packets, at))
                    if not packet.is_discard:
                        times.append(at)
                        end = max(end, after)
                    packets += 1
            promised = (container.duration or 0) / 1_000_000
            if promised - (last - (container.start_time or 0) / 1_000_000) > MISSING:
                message = f"it says {promised:.1f} seconds, and ends after {last:.1f}"
                raise BadInput(Status.CORRUPT, "VID_TRUNCATED", message)
            if not times or not keys:
                raise BadInput(Status.EMPTY, "VID_EMPTY", "there is no picture in it")
            times.sort()
            seconds = float((end - times[0]) * (stream.time_base or 0))
            if seconds > limits.seconds:
                raise BadInput(
                    Status.LIMIT, "VID_SECONDS", f"{seconds:.0f} seconds; the limit is {limits.seconds:g}"
                )
        return Decoded(Clip(content, tuple(times), end, tuple(keys), size, seconds))


@dataclass(frozen=True)
class Clip:
    """A file that was looked through: the times of its frames in its own units, and where decoding can begin."""

    content: bytes
    times: tuple[int, ...]
    """When each frame is first shown, in order."""
    end: int
    """When the last is shown no more."""
    keys: tuple[tuple[int, int], ...]
    """Position and time of the packets that can be decoded without those before them."""
    size: tuple[int, int]
    """Width and height as stored."""
    seconds: float

    def frames(self, count: int) -> list[Pixels]:
        """What is shown at the middle of each of ``count`` equal stretches of time, upright RGB.

        Decodes from the nearest key before each to the frame itself and no more; the same in every run. Raises
        BadInput for damage in these parts.
        """
        start = self.times[0]
        middles = [start + (self.end - start) * (2 * k + 1) / (2 * count) for k in range(count)]
        wanted = [self.times[max(0, bisect.bisect_right(self.times, middle) - 1)] for middle in middles]
        pictures = self._pictures(set(wanted))
        return [pictures[time] for time in wanted]

    def _pictures(self, wanted: set[int]) -> dict[int, Pixels]:
        from_key = defaultdict(set)
        for time in wanted:
            from_key[max((place for place, at in self.keys if at <= time), default=self.keys[0][0])].add(time)
        found: dict[int, Pixels] = {}
        waiting: set[int] = set()
        shown: list[VideoFrame] = []

        def take(frames: Iterable[VideoFrame]) -> None:
            for frame in frames:
                for time in [time for time in waiting if frame.pts is not None and time <= frame.pts]:
                    # a packet may hold no picture of its own: then the one before stays
                    found[time] = self._upright(shown[-1] if shown and time != frame.pts else frame)
                    waiting.remove(time)
                shown[:] = [frame]

        with _opened(self.content) as (container, stream):
            codec = stream.codec_context
            codec.thread_count = 1
            codec.options = {"max_pixels": str(2 * self.size[0] * self.size[1] + (1 << 16))}  # of any picture in it
            for place, packet in enumerate(packet for packet in container.demux(stream) if packet.size):
                if place in from_key:
                    if not waiting:
                        codec.flush_buffers()
                        shown.clear()
                    waiting |= from_key.pop(place)
                if waiting:
                    take(codec.decode(packet))
                elif not from_key:
                    break
            if waiting:
                take(codec.decode(None))
            for time in waiting:
                if not shown:
                    raise BadInput(Status.CORRUPT, "VID_DECODE", "there is no picture behind its last key")
                found[time] = self._upright(shown[-1])
        return found

    def _upright(self, frame: VideoFrame) -> Pixels:
        if frame.is_corrupt:
            raise BadInput(Status.CORRUPT, "VID_DECODE", f"the picture at {frame.time} seconds is damaged")
        pixels = frame.to_ndarray(format="rgb24", width=self.size[0], height=self.size[1])
        return np.ascontiguousarray(np.rot90(pixels, round(frame.rotation / 90)), np.uint8)


@contextlib.contextmanager
def _opened(content: bytes) -> Iterator[tuple[InputContainer, VideoStream]]:
    """The container with its first stream of pictures; whatever FFmpeg refuses becomes a BadInput."""
    import av
    from av.stream import Disposition

    try:
        with av.open(io.BytesIO(content), "r", format=_format(content)) as container:
            pictures = (s for s in container.streams.video if not s.disposition & Disposition.attached_pic)
            stream = next(pictures, None)
            if stream is None:
                raise BadInput(Status.INVALID, "VID_NO_PICTURES", "it holds sound at most, and no pictures")
            codec = stream.codec_context.codec.canonical_name if stream.codec_context else "unknown"
            if codec not in CODECS:
                message = f"the codec is {codec}; known are {', '.join(sorted(CODECS))}"
                raise BadInput(Status.UNSUPPORTED, "VID_CODEC", message)
            yield container, stream
    except av.FFmpegError as error:
        raise BadInput(Status.CORRUPT, "VID_DECODE", f"FFmpeg: {error.strerror}") from error


def _format(content: bytes) -> str:
    """The one demultiplexer that is asked: others could be made to read further files, or fetch them."""
    if not content:
        raise BadInput(Status.EMPTY, "VID_EMPTY", "the file has no bytes")
    if content[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"):
        return "mp4"
    if content.startswith(b"\x1aE\xdf\xa3"):
        return "matroska"
    if content[:4] == b"RIFF" and content[8:12] == b"AVI ":
        return "avi"
    raise BadInput(Status.UNSUPPORTED, "VID_FORMAT", "it is neither MP4, Matroska nor AVI")

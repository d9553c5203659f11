"""Clips by their frames: the mean of what an embedder of pictures says of each."""

from __future__ import annotations

import functools
import io
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

import embedders
from embed_video.clips import Clip
from embedders import BaseEmbedder, EmbedderSpec, Runtime, UsageError
from embedders.base import Forward, Vectors, check_rows
from embedders.models.on_another import OnAnother
from embedders.registry import parse

__all__ = ["Frames"]


class Frames(OnAnother):
    """The mean vector of ``frames`` frames, one from the middle of each equal stretch of a clip.

    ``encoder`` names any embedder of pictures (``image.clip``, with options in brackets), ``weights`` are handed to
    it. Vectors lie in its space, so that a picture or a caption finds a clip; where its have unit length, so have
    they.
    """

    libraries: ClassVar[tuple[str, ...]] = ("av",)

    def __init__(self, *, encoder: str = "image.clip", frames: int = 8, weights: str = "") -> None:
        if isinstance(frames, bool) or not isinstance(frames, int) or frames < 1:
            raise UsageError(f"frames is {frames!r}; it must be a whole number of at least 1")
        self.encoder, self.frames, self.weights = encoder, frames, weights

    @functools.cached_property
    def below(self) -> BaseEmbedder:
        """The embedder of single frames; raises UsageError where it takes no pictures."""
        found = embedders.create(self.encoder, **({"weights": self.weights} if self.weights else {}))
        if found.spec.modality != "image":
            raise UsageError(f"{self.encoder!r} embeds {found.spec.modality}", "Name an embedder of pictures")
        return found

    @property
    def spec(self) -> EmbedderSpec:
        """That of the embedder below, for clips. A search by other means finds its way by ``anchor``."""
        below = self.below.spec
        anchor = {"name": parse(self.encoder)[0], "options": dict(self.below.options)}
        details = {"frames": self.frames, "sampling": "middles of equal stretches", "anchor": anchor}
        return EmbedderSpec(
            "video", below.space, below.dim, below.normalized, {**details, "below": dict(below.details)}
        )

    def prepare(self, media: Clip) -> list[Any]:
        """What the embedder below makes of each frame."""
        return [self.below.prepare(frame) for frame in media.frames(self.frames)]

    def prepare_fast(self, media: Clip) -> list[Any]:
        """The same where speed is preferred."""
        return [self.below.prepare_fast(frame) for frame in media.frames(self.frames)]

    def cost(self, sample: Sequence[Any]) -> int:
        """That of all frames."""
        return sum(map(self.below.cost, sample))

    def collate(self, samples: Sequence[Sequence[Any]]) -> tuple[int, Any]:
        """How many clips, and a batch of all their frames."""
        return len(samples), self.below.collate([frame for sample in samples for frame in sample])

    def load(self, runtime: Runtime) -> Forward:
        """The embedder below, and the mean over a clip's frames."""
        forward, below, count = self.below.load(runtime), self.below.spec, self.frames

        def mean(batch: tuple[int, Any]) -> Vectors:
            clips, pictures = batch
            vectors = check_rows(forward(pictures), clips * count, below).astype(np.float64)
            means = vectors.reshape(clips, count, below.dim).mean(axis=1)
            if below.normalized:
                means /= np.maximum(np.linalg.norm(means, axis=1, keepdims=True), np.finfo(np.float64).tiny)
            return np.asarray(means, np.float32)

        return mean

    def examples(self) -> list[bytes]:
        """Clips of one, five and twelve frames: a bright spot that falls, rises, and crosses."""
        return [_example(count, *way) for count, way in ((1, (0, 1)), (5, (40, 0)), (12, (3, 9)))]


def _example(count: int, row: int, step: int) -> bytes:
    import av

    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height = 96, 64
        for at in range(count):
            pixels = np.full((64, 96, 3), (row * 3, 90, 255 - row * 4), np.uint8)
            pixels[row : row + 16, step * at % 80 : step * at % 80 + 16] = 255
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))
    return file.getvalue()

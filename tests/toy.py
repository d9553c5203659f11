"""A modality and embedders whose vectors can be computed by eye, registered through the public door.

``toy.letters`` embeds a word as ``[length, vowels, first letter's place in the alphabet]``. It counts its batches,
so that batching is asserted and not assumed, and misbehaves on request: a word that begins with ``!`` names the
misbehaviour.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from embedders import BadInput, BaseEmbedder, Decoded, EmbedderSpec, Limits, Modality, Runtime, Status
from embedders.base import Forward


class Toy(Modality):
    """Words in lower-case ASCII; files end in ``.toy``."""

    name: ClassVar[str] = "toy"
    suffixes: ClassVar[frozenset[str]] = frozenset({".toy"})
    inline: ClassVar[bool] = True
    defaults: ClassVar[tuple[str, ...]] = ("toy.letters",)

    def decode_content(self, content: bytes, limits: Limits) -> Decoded:
        if content == b"!segfault":
            raise MemoryError
        return self.accept(content.decode("ascii"), limits)

    def accept(self, media: Any, limits: Limits) -> Decoded:
        if not isinstance(media, str):
            raise BadInput(Status.INVALID, "TOY_TYPE", f"{type(media).__name__} is no word")
        word = media.strip()
        if not word:
            raise BadInput(Status.EMPTY, "TOY_EMPTY", "the word is empty")
        if len(word) > limits.characters:
            raise BadInput(Status.LIMIT, "TOY_CHARACTERS", f"{len(word)} characters")
        return Decoded(word.lower(), ("lowered",) if word != word.lower() else ())


class Shelf(Toy):
    """Words that lie in files: a ``str`` is a path."""

    name: ClassVar[str] = "shelf"
    suffixes: ClassVar[frozenset[str]] = frozenset()
    inline: ClassVar[bool] = False
    defaults: ClassVar[tuple[str, ...]] = ()


class Letters(BaseEmbedder):
    """Length, number of vowels, place of the first letter in the alphabet."""

    batch_cost: ClassVar[int] = 24

    def __init__(self, *, scale: float = 1.0, weights: str = "none") -> None:
        self.scale = scale
        self.batches: list[list[str]] = []

    @property
    def spec(self) -> EmbedderSpec:
        return EmbedderSpec("toy", f"toy:{self.scale}", 3, False, {"vowels": "aeiou"})

    @property
    def weights_identity(self) -> dict[str, Any]:
        kind, _, seed = str(self.options["weights"]).partition(":")
        return {"seed": int(seed)} if kind == "random" else {}

    def prepare(self, media: str) -> str:
        if media == "!prepare":
            raise ValueError("this word cannot be prepared")
        if media == "!bad":
            raise BadInput(Status.INVALID, "TOY_BAD", "a bad word")
        return media

    def cost(self, sample: str) -> int:
        return len(sample)

    def flags(self, sample: str) -> tuple[str, ...]:
        return ("long",) if len(sample) > 10 else ()

    def collate(self, samples: Sequence[str]) -> list[str]:
        return list(samples)

    def load(self, runtime: Runtime) -> Forward:
        def forward(words: list[str]) -> Any:
            self.batches.append(words)
            if "!forward" in words:
                raise RuntimeError("this word breaks the forward")
            if "!name" in words:
                raise NameError("a programming error")
            return np.array([self._vector(word) for word in words])

        return forward

    def _vector(self, word: str) -> list[float]:
        if word == "!nan":
            return [float("nan")] * 3
        vowels = sum(letter in "aeiou" for letter in word)
        return [self.scale * x for x in (len(word), vowels, ord(word[0]) - ord("a") + 1)]

    def examples(self) -> list[str]:
        return ["a", "bell", "wonderful"]


class Unit(Letters):
    """The same, at length 1."""

    @property
    def spec(self) -> EmbedderSpec:
        return EmbedderSpec("toy", "toy:unit", 3, True)

    def _vector(self, word: str) -> list[float]:
        vector = np.array(super()._vector(word))
        return list(vector / np.linalg.norm(vector))


class Filed(Letters):
    """The same, of words on a shelf."""

    @property
    def spec(self) -> EmbedderSpec:
        return EmbedderSpec("shelf", "toy:1", 3, False)

"""The starter: three tiny towers with one space, trained from nothing on drawn scenes, that need no network.

Pictures, texts and sounds of simple scenes can be compared with each other: it is there to try a whole pipeline
offline and to show how such a model is made (``embed train scenes``), not to understand the world. It knows the few
things, colours and noises of its training, and says nothing useful of anything else.

``weights``, the option of all three, is ``starter`` (shipped with the package), a folder that training wrote, its
``model.safetensors``, or ``random:SEED``. Two of them may be compared if they were made with the same weights.
"""

from __future__ import annotations

import hashlib
import re
import zlib
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt

from embedders.base import EmbedderSpec, Forward
from embedders.errors import BadInput, Status, UsageError
from embedders.modality import Pixels, Waveform
from embedders.models import starter_sound
from embedders.models.pixels import Preprocess, example_pictures
from embedders.models.pooling import unit
from embedders.models.starter_weights import DIM, LENGTH, ROWS, Starter
from embedders.weights import Seeded

if TYPE_CHECKING:
    import torch

    from embedders.runtime import Runtime

__all__ = ["Heard", "StarterAudio", "StarterImage", "StarterText", "Windows", "Words"]

KNOWN_WORDS = ROWS - 2
PADDING, UNKNOWN = 0, 1


class StarterImage(Starter):
    """Pictures, squashed to 64 x 64 whatever their proportions: nothing is cut off, and no bars are added."""

    libraries: ClassVar[tuple[str, ...]] = ("torch", "pillow")
    _modality: ClassVar[str] = "image"
    _preprocess: ClassVar[Preprocess] = Preprocess(
        (64, 64), (2 * 64 / 255,) * 3, (64 / 255,) * 3, "bicubic", "squash"
    )

    @property
    def spec(self) -> EmbedderSpec:
        """128 dimensions, unit length."""
        return self._spec({"preprocess": self._preprocess.details, "pooling": "every place its own weights"})

    def prepare(self, media: Pixels) -> Pixels:
        """Resize to ``(64, 64, 3)`` uint8."""
        return self._preprocess.frame(media)

    def prepare_fast(self, media: Pixels) -> Pixels:
        """The same size, resized by torch: within two grey levels."""
        return self._preprocess.frame(media, fast=True)

    @property
    def media_side(self) -> int:
        """The side of its input."""
        return self._preprocess.side

    def collate(self, samples: Sequence[Pixels]) -> torch.Tensor:
        """Stack to ``(n, 64, 64, 3)`` uint8."""
        return self._preprocess.collate(samples)

    def examples(self) -> list[Pixels]:
        """Three small pictures of different size."""
        return example_pictures()


class Words(NamedTuple):
    """A text as numbers of words, int64 of shape ``(24,)``; how many are unknown, and whether it went on."""

    ids: npt.NDArray[np.int64]
    unknown: int
    truncated: bool


class StarterText(Starter):
    """Texts, as the first 24 of their words in lower case; whatever is no letter separates words.

    ``words`` are the known words of seeded weights, at most 510; without them such weights know every word, by its
    checksum. Trained weights bring their own. Unknown words are flagged (``unknown_words_2``), and a text of which
    no word is known is ``invalid/TXT_NO_KNOWN_WORD``: its vector would be as meaningless as any.
    """

    _modality: ClassVar[str] = "text"

    def __init__(self, *, weights: str | Path = "starter", words: Sequence[str] | None = None) -> None:
        super().__init__(weights=weights)
        self.words = None if words is None else tuple(words)
        if self.words is not None:
            _check_words(self.words, "words")

    @property
    def spec(self) -> EmbedderSpec:
        """128 dimensions, unit length; details name the known words by the SHA-256 of their list."""
        words = self._words
        digest = "every word by crc32" if words is None else hashlib.sha256("\n".join(words).encode()).hexdigest()
        details = {"length": LENGTH, "words": digest, "case": "lower", "pooling": "mean over words"}
        return self._spec(details)

    def config(self) -> dict[str, Any]:
        """With the known words in the order of their numbers."""
        return {**super().config(), "words": list(self._words or ())}

    def prepare(self, media: str) -> Words:
        """Numbers of the words; raises BadInput ``invalid/TXT_NO_KNOWN_WORD`` where none of them is known."""
        found = re.findall(r"[^\W\d_]+", media.lower())
        numbers = [self._number(word) for word in found[:LENGTH]]
        unknown = numbers.count(UNKNOWN)
        if unknown == len(numbers):
            message = f"none of the words is known: {', '.join(found[:3]) or 'there are none'}"
            raise BadInput(Status.INVALID, "TXT_NO_KNOWN_WORD", message)
        ids = np.full(LENGTH, PADDING, np.int64)
        ids[: len(numbers)] = numbers
        return Words(ids, unknown, len(found) > LENGTH)

    def flags(self, sample: Words) -> tuple[str, ...]:
        """``unknown_words_N``, and ``truncated_text`` where words were left out."""
        unknown = (f"unknown_words_{sample.unknown}",) if sample.unknown else ()
        return (*unknown, *(("truncated_text",) if sample.truncated else ()))

    def collate(self, samples: Sequence[Words]) -> torch.Tensor:
        """Stack to ``(n, 24)`` int64."""
        import torch

        return torch.from_numpy(np.stack([sample.ids for sample in samples]))

    def examples(self) -> list[str]:
        """Three texts of different length, in words that scenes are told with."""
        known = self._words or ("bells", "red", "small")
        return [" ".join(known[:count]) for count in (1, 2, 3)]

    def _number(self, word: str) -> int:
        if self._words is None:
            return zlib.crc32(word.encode()) % KNOWN_WORDS + UNKNOWN + 1
        return self._numbers.get(word, UNKNOWN)

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {word: number for number, word in enumerate(self._words or (), UNKNOWN + 1)}

    @cached_property
    def _words(self) -> tuple[str, ...] | None:
        if isinstance(self.source, Seeded):
            return self.words
        if self.words is not None:
            raise UsageError("Trained weights bring their own words", "Leave the option 'words' out")
        words = self.check().get("words")
        _check_words(words, str(self.file.with_name("config.json")))
        return tuple(words)  # type: ignore[arg-type]  # checked just above


def _check_words(words: Any, where: str) -> None:
    sound = isinstance(words, list | tuple) and all(isinstance(word, str) and word for word in words)
    if not sound or not 0 < len(words) <= KNOWN_WORDS or len(set(words)) != len(words):
        raise UsageError(f"{where}: the known words must be 1 to {KNOWN_WORDS} different strings")


class Heard(NamedTuple):
    """A sound as ``(windows, 64, 96)`` levels, float32, and whether it was repeated to fill its window."""

    levels: npt.NDArray[np.float32]
    looped: bool


class Windows(NamedTuple):
    """The windows of all sounds of a batch, ``(windows, 64, 96)``, and the position of the sound of each."""

    levels: torch.Tensor
    owners: list[int]


class StarterAudio(Starter):
    """Sounds, in windows of exactly 2.88 s at 16 kHz, told apart by band and moment and not by loudness.

    A longer sound is cut into consecutive windows, the last moved back to be full, and gets the mean of their
    vectors at unit length (flag ``windows_3``); a shorter one is repeated to fill one (flag ``looped``). Less than
    50 ms is ``limit/AUD_TOO_SHORT``.
    """

    libraries: ClassVar[tuple[str, ...]] = ("torch", "soxr")
    _modality: ClassVar[str] = "audio"

    @property
    def spec(self) -> EmbedderSpec:
        """128 dimensions, unit length; details hold the whole way from samples to levels."""
        return self._spec({**starter_sound.DETAILS, "pooling": "every band and moment its own weights"})

    def prepare(self, media: Waveform) -> Heard:
        """Resample, cut into windows, and look at each; raises BadInput as the class says."""
        samples = media.at(starter_sound.RATE)
        cut = starter_sound.windows(samples)
        return Heard(
            np.stack([starter_sound.levels(window) for window in cut]), len(samples) < starter_sound.WINDOW
        )

    def cost(self, sample: Heard) -> int:
        """Windows."""
        return len(sample.levels)

    def flags(self, sample: Heard) -> tuple[str, ...]:
        """``windows_N`` for a sound that was cut, ``looped`` for one that was repeated."""
        count = len(sample.levels)
        return ((f"windows_{count}",) if count > 1 else ()) + (("looped",) if sample.looped else ())

    def collate(self, samples: Sequence[Heard]) -> Windows:
        """All windows of all sounds, one after another."""
        import torch

        owners = [position for position, sample in enumerate(samples) for _ in sample.levels]
        return Windows(torch.from_numpy(np.concatenate([sample.levels for sample in samples])), owners)

    def inputs(self, batch: Windows) -> torch.Tensor:
        """All windows; a sound of 2.88 s is one row."""
        return batch.levels

    def load(self, runtime: Runtime) -> Forward:
        """The tower on the device, a few windows at a time, so that a long sound needs no more memory."""
        import torch

        embed, rows = super().load(runtime), runtime.budget(self.batch_cost)

        @torch.inference_mode()
        def forward(batch: Windows) -> torch.Tensor:
            pieces = [embed(Windows(levels, [])).cpu() for levels in torch.split(batch.levels, rows)]
            owners = torch.tensor(batch.owners)
            sums = torch.zeros(batch.owners[-1] + 1, DIM).index_add_(0, owners, torch.cat(pieces))
            return unit(sums)

        return forward

    def examples(self) -> list[Waveform]:
        """A tone of 0.2 s, noise of 4 s that fades, and clicks; two rates."""
        time = np.arange(64_000, dtype=np.float64) / 16_000
        tone = 0.5 * np.sin(2 * np.pi * 440 * time[:3200])
        noise = np.random.default_rng(0).normal(0, 0.1, 64_000) * np.exp(-2 * time)
        clicks = 0.8 * (np.arange(23_040) % 2000 < 8)
        return [
            Waveform(tone.astype(np.float32), 16_000),
            Waveform(noise.astype(np.float32), 16_000),
            Waveform(clicks.astype(np.float32), 8_000),
        ]

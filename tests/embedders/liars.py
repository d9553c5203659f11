"""Embedders that break the contract, each in one way; importable, so that other processes meet them too."""

from __future__ import annotations

import os
import random
from typing import Any, ClassVar

import numpy as np

from embedders import BaseEmbedder, Decoded, EmbedderSpec, Limits, Runtime
from embedders.base import Forward
from tests.toy import Letters, Toy


class Spoiled(Letters):
    """Letters whose vectors become what ``change`` makes of them; ``changes`` numbers its calls in this process."""

    changes = 0

    def load(self, runtime: Runtime) -> Forward:
        inner = super().load(runtime)

        def forward(batch: Any) -> Any:
            Spoiled.changes += 1
            return self.change(np.array(inner(batch), dtype=np.float32))

        return forward

    def change(self, vectors: Any) -> Any:
        return vectors


class LiesAboutDim(Letters):
    @property
    def spec(self) -> EmbedderSpec:
        return EmbedderSpec("toy", "toy:lies", 5, False)


class LosesARow(Spoiled):
    def change(self, vectors: Any) -> Any:
        return vectors[:-1]


class ReversesRows(Spoiled):
    def change(self, vectors: Any) -> Any:
        return vectors[::-1]


class IsNaN(Spoiled):
    def change(self, vectors: Any) -> Any:
        return vectors * np.float32("nan")


class IsConstant(Spoiled):
    def change(self, vectors: Any) -> Any:
        return np.ones_like(vectors)


class IsRandom(Spoiled):
    def change(self, vectors: Any) -> Any:
        return vectors + np.float32(Spoiled.changes)


class AddsTheBatchMean(Spoiled):
    def change(self, vectors: Any) -> Any:
        return vectors + vectors.mean(axis=0)


class Remembers(Spoiled):
    """What was embedded before shows in what is embedded now."""

    longest = 0.0

    def change(self, vectors: Any) -> Any:
        self.longest = 0.9 * self.longest + float(vectors.max())
        return vectors + np.float32(self.longest)


class IsNotUnit(Letters):
    @property
    def spec(self) -> EmbedderSpec:
        return EmbedderSpec("toy", "toy:long", 3, True)


class Hashes(Letters):
    """Equal within a process, and not between two: Python seeds the hashes of str anew in each."""

    def _vector(self, word: str) -> list[float]:
        return [float(hash(word) % 1000), *super()._vector(word)[1:]]


class Prints(Spoiled):
    def change(self, vectors: Any) -> Any:
        print("embedding, please wait")  # noqa: T201  # the lie
        return vectors


class PrintsBelowPython(Spoiled):
    def change(self, vectors: Any) -> Any:
        os.write(2, b"a C library says hello\n")
        return vectors


class ChangesTheFolder(Spoiled):
    def change(self, vectors: Any) -> Any:
        os.chdir("/")
        return vectors


class ChangesTheEnvironment(Spoiled):
    def load(self, runtime: Runtime) -> Forward:
        os.environ["LIARS_WERE_HERE"] = "1"
        return super().load(runtime)


class SeedsPython(Spoiled):
    def change(self, vectors: Any) -> Any:
        random.seed(0)
        return vectors


class SeedsNumpy(Spoiled):
    def load(self, runtime: Runtime) -> Forward:
        np.random.seed(0)
        return super().load(runtime)


class SilencesNumpy(Spoiled):
    def load(self, runtime: Runtime) -> Forward:
        np.seterr(all="ignore")
        return super().load(runtime)


class KeepsWeights(Letters):
    def load(self, runtime: Runtime) -> Forward:
        self.network = [{"weight": np.ones((16, 16), np.float32)}]
        return super().load(runtime)


class PicklesWeights(Letters):
    def __reduce__(self) -> Any:
        return (type(self), (), {"weights": list(self.batches)})

    def __setstate__(self, state: Any) -> None:
        self.batches = state["weights"]


class CannotBePickled(Letters):
    def __reduce__(self) -> Any:
        raise TypeError("cannot pickle 'socket' object")


class ChangesItsSpec(Letters):
    @property
    def spec(self) -> EmbedderSpec:
        self.reads = getattr(self, "reads", 0) + 1
        return EmbedderSpec("toy", f"toy:{self.reads}", 3, False)


class HasNoSpace(Letters):
    @property
    def spec(self) -> EmbedderSpec:
        return EmbedderSpec("toy", " ", 3, False)


class HasNoDimensions(Letters):
    @property
    def spec(self) -> EmbedderSpec:
        return EmbedderSpec("toy", "toy:0", 0, False)


class HasObjectsInDetails(Letters):
    @property
    def spec(self) -> EmbedderSpec:
        return EmbedderSpec("toy", "toy:objects", 3, False, {"path": os})


class PreparesAtRandom(Letters):
    def prepare(self, media: str) -> str:
        self.reads = getattr(self, "reads", 0) + 1
        return f"{media}{self.reads}"


class SharesItsPrepare(Letters):
    """One place for the word of all threads, which is read again after a while."""

    def prepare(self, media: str) -> str:
        self.word = media
        sum(range(20_000))
        return self.word


class CostsNothing(Letters):
    def cost(self, sample: str) -> int:
        return 0


class FlagsNumbers(Letters):
    def flags(self, sample: str) -> Any:
        return (len(sample),)


class HasTwoExamples(Letters):
    def examples(self) -> list[str]:
        return ["one", "two"]


class HasABug(Letters):
    def collate(self, samples: Any) -> Any:
        return samples.upper()


class Grades(Letters):
    """Returns what looks like a tensor with gradients."""

    def load(self, runtime: Runtime) -> Forward:
        inner = super().load(runtime)

        class Tracked(np.ndarray):
            requires_grad = True

        return lambda batch: np.asarray(inner(batch)).view(Tracked)


class IsAnEncodingInSecret(Letters):
    kind: ClassVar[str] = "encoding"


class MutatesItsInput(BaseEmbedder):
    """Of pictures, since words cannot be changed."""

    def __init__(self) -> None:
        pass

    @property
    def spec(self) -> EmbedderSpec:
        return EmbedderSpec("image", "mean", 1, False)

    def prepare(self, media: Any) -> Any:
        media[:] = media // 2
        return np.array([media.mean()])

    def collate(self, samples: Any) -> Any:
        return np.stack(samples)

    def load(self, runtime: Runtime) -> Forward:
        return lambda batch: batch

    def examples(self) -> list[Any]:
        return [np.full((side, side, 3), 50 * side, np.uint8) for side in (1, 2, 3)]


class MutatesInSecret(MutatesItsInput):
    """The vector does not show it."""

    def prepare(self, media: Any) -> Any:
        found = np.array([float(media.shape[0])])
        media[:] = 0
        return found


class Restless(Toy):
    """Decodes to something else each time, and shouts its suffix."""

    name: ClassVar[str] = "restless"
    suffixes: ClassVar[frozenset[str]] = frozenset({".restless"})
    times = 0

    def accept(self, media: Any, limits: Limits) -> Decoded:
        Restless.times += 1
        return Decoded(f"{super().accept(media, limits).media}{Restless.times}")


class Loud(Toy):
    name: ClassVar[str] = "loud"
    suffixes: ClassVar[frozenset[str]] = frozenset({".LOUD"})


class Greedy(Toy):
    """Takes whatever it is given."""

    name: ClassVar[str] = "greedy"
    suffixes: ClassVar[frozenset[str]] = frozenset({".greedy"})

    def decode_content(self, content: bytes, limits: Limits) -> Decoded:
        return Decoded("a" + content.decode("ascii", "replace"))


class OfAnother(Letters):
    """Letters of the modality that is named by an option."""

    def __init__(self, *, modality: str = "toy") -> None:
        super().__init__()
        self.modality = modality

    @property
    def spec(self) -> EmbedderSpec:
        return EmbedderSpec(self.modality, "toy:another", 3, False)

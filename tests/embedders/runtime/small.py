"""An embedder with a network of a few numbers, to be run by every engine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from embedders import BaseEmbedder, EmbedderSpec, Runtime
from embedders.base import Forward
from embedders.runtime import Network


def network(seed: int = 0, name: str = "trunk", **options: Any) -> Network:
    """``(n, letters)`` numbers to ``(n, 4)`` and ``(n, 2)``, built from a seed."""
    import torch

    class Both(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = torch.nn.Linear(3, 4), torch.nn.Linear(4, 2)

        def forward(self, given: Any) -> Any:
            hidden = self.first(given).tanh()
            return hidden, self.second(hidden)

    def build() -> Any:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return Both()

    return Network(name, {"seed": seed}, build, lambda: (torch.ones(2, 3),), ((0,),), **options)


class Small(BaseEmbedder):
    """Length, vowels and first letter of a word through a seeded network; ``drift`` spoils what engines compute."""

    accelerators: ClassVar[tuple[str, ...]] = ("openvino", "compile")
    loads: ClassVar[list[Runtime]] = []

    def __init__(self, *, seed: int = 0, drift: float = 0.0, fails: bool = False) -> None:
        self.seed, self.drift, self.fails = seed, drift, fails

    @property
    def spec(self) -> EmbedderSpec:
        return EmbedderSpec("toy", f"small:{self.seed}", 2, False, {"drift": self.drift, "fails": self.fails})

    @property
    def weights_identity(self) -> dict[str, Any]:
        return {"seed": self.seed}

    def prepare(self, media: str) -> list[float]:
        return [len(media) / 8, sum(letter in "aeiou" for letter in media) / 4, (ord(media[0]) - 96) / 26]

    def collate(self, samples: Sequence[list[float]]) -> Any:
        import torch

        return torch.tensor(samples)

    def load(self, runtime: Runtime) -> Forward:
        type(self).loads.append(runtime)
        if self.fails and not runtime.exact:
            raise RuntimeError("this engine does not take it")
        run = runtime.network(network(self.seed))
        turn = 0.0 if runtime.exact else self.drift

        def forward(batch: Any) -> Any:
            found = run(batch)[1].float()
            return found + turn * found.flip(1)

        return forward

    def examples(self) -> list[str]:
        return ["bell", "siren", "engine"]


def vectors(embedder: Small, words: list[str], runtime: Runtime) -> np.ndarray[Any, Any]:
    """The rows of some words as one batch."""
    found = embedder.forward(runtime)(embedder.collate([embedder.prepare(word) for word in words]))
    return np.asarray(found.detach().float())

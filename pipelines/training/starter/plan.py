"""What a training of the starter is made of: fields and their embedders, pairs, and how long."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Protocol, cast

import embedders
from embedders.errors import UsageError, nearest
from pipelines.training.scenes import VERSION, words

if TYPE_CHECKING:
    import torch

    from embedders import EmbedderSpec

__all__ = ["FIELDS", "PAIRS", "PRESETS", "Options", "Plan", "Tower", "make_towers"]

FIELDS = {"picture": "image.starter", "caption": "text.starter", "sound": "audio.starter"}
"""Fields of an example, and the embedder whose tower each trains."""

EVERY = (("picture", "caption"), ("caption", "sound"), ("picture", "sound"))
PAIRS: Mapping[str, Sequence[tuple[str, str]]] = {"all": EVERY, "no-direct": EVERY[:2]}
"""Which fields are pulled together. Without the direct pair, pictures and sounds meet through captions alone."""

PRESETS: Mapping[str, tuple[int, int]] = {"quick": (32_768, 65_536), "full": (65_536, 524_288)}
"""Different examples, and examples shown in all; the same towers."""

BATCH = 64
"""Examples a step. Steps count for more than negatives here: after 65,536 examples the right caption of 1,000 was
among the first ten for 91 % of new pictures with batches of 64, for 83 % with 128, for 35 % with 256."""


class Tower(Protocol):
    """What an embedder offers for being trained, besides embedding."""

    @property
    def spec(self) -> EmbedderSpec:
        """Facts about the vectors."""

    def prepare(self, media: Any) -> Any:
        """One decoded input becomes a sample."""

    def collate(self, samples: Sequence[Any]) -> Any:
        """Samples become a batch."""

    def inputs(self, batch: Any) -> torch.Tensor:
        """The tensor that the network takes of a batch."""

    def network(self) -> torch.nn.Module:
        """The network itself, in fp32 on the CPU."""

    def config(self) -> dict[str, Any]:
        """What a folder of weights must say besides the weights."""


def make_towers(weights: str) -> dict[str, Tower]:
    """The embedder of each field, with seeded (``random:SEED``) or trained weights (a folder)."""
    # seeded weights are told the words of the scenes; trained ones bring them
    told = {"caption": {"words": list(words())}} if weights.startswith("random:") else {}
    return {
        field: cast(Tower, embedders.create(reference, weights=weights, **told.get(field, {})))
        for field, reference in FIELDS.items()
    }


@dataclass(frozen=True)
class Options:
    """What the user asked for; a training goes on only under the options it began with.

    ``minutes`` or ``steps`` replace the length of the preset, and at most as many examples are made as are shown.
    Raises UsageError for values that make no training.
    """

    preset: str = "quick"
    seed: int = 0
    pairs: str = "all"
    minutes: float | None = None
    steps: int | None = None
    batch: int = BATCH

    def __post_init__(self) -> None:
        for name, value, known in (("preset", self.preset, PRESETS), ("choice of pairs", self.pairs, PAIRS)):
            if value not in known:
                raise UsageError(f"There is no {name} {value!r}", nearest(value, known))
        if self.minutes is not None and self.steps is not None:
            raise UsageError(f"{self.minutes} minutes and {self.steps} steps", "Give one of them")
        for name, length in (("minutes", self.minutes), ("steps", self.steps)):
            if length is not None and not 0 < length < math.inf:
                raise UsageError(f"{name} is {length}; it must be more than nothing")
        if self.batch < 2:
            raise UsageError(f"The batch is {self.batch}; a contrast needs 2 examples at least")
        if not 0 <= self.seed < 10**9:
            raise UsageError(f"The seed is {self.seed}; it must be from 0 to 999999999")

    def plan(self, rate: float, threads: int) -> Plan:
        """Settle the length, given how many examples are trained on in a second, by so many threads."""
        examples, shown = PRESETS[self.preset]
        steps = self.steps or max(1, shown // self.batch)
        if self.minutes is not None:
            steps = max(1, int(self.minutes * 60 * rate / self.batch))
        examples = max(self.batch, min(examples, steps * self.batch))
        return Plan(
            **{**asdict(self), "examples": examples, "steps": steps, "threads": threads, "generator": VERSION}
        )


@dataclass(frozen=True)
class Plan:
    """A training that is fully decided: with it and the examples, every step is decided too.

    The figures of the optimiser are those customary for contrastive training from nothing at this size: AdamW at
    1e-3 with weight decay 0.05, a twentieth of the steps to warm up, then half a cosine down to zero.
    """

    preset: str
    seed: int
    pairs: str
    minutes: float | None
    batch: int
    examples: int
    steps: int
    threads: int
    generator: str
    rate: float = 1e-3
    decay: float = 0.05
    warm_up: float = 0.05
    validations: int = 10
    held_out: int = 512

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)

    def differs(self, options: Options) -> str | None:
        """The first difference to what is asked for now, in words; None where there is none."""
        asked = asdict(options)
        if asked["steps"] is None:
            asked.pop("steps")
        if self.minutes is not None and options.minutes is None and options.steps is None:
            asked.pop("minutes")
        asked["generator"] = VERSION
        for name, value in asked.items():
            if getattr(self, name) != value:
                return f"{name} was {getattr(self, name)!r} and is now {value!r}"
        return None

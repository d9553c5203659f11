"""Examples prepared once and held in memory, small enough for tens of thousands: about 25 kB each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from embedders import Waveform
from embedders.registry import registry
from pipelines.training.scenes import RATE, Example, Scene
from pipelines.training.starter.plan import Tower

if TYPE_CHECKING:
    import torch

__all__ = ["Triples", "compact", "raw"]

CHUNK = 256
"""Examples in preparation at a time: their sounds are the largest thing in memory otherwise."""


def raw(example: Example) -> dict[str, Any]:
    """The example's fields as inputs of their modalities."""
    sound = Waveform(example.sound, RATE)
    return {"picture": example.picture, "caption": example.caption, "sound": sound}


@dataclass(frozen=True)
class Triples:
    """Rows of examples: what each tower takes, and which rows say the same.

    ``inputs[field]`` has a row per example: uint8 pictures, int16 words, float16 sounds, as the embedder prepared
    them. ``graphs`` and ``audibles`` number the scenes that are equal altogether, or equal by ear.
    """

    inputs: Mapping[str, torch.Tensor]
    scenes: Sequence[Scene]
    graphs: torch.Tensor
    audibles: torch.Tensor

    @classmethod
    def of(cls, examples: Iterable[Example], towers: Mapping[str, Tower]) -> Triples:
        """Prepare every field of every example as its embedder does when it embeds."""
        import torch

        scenes: list[Scene] = []
        pieces: dict[str, list[torch.Tensor]] = {field: [] for field in towers}
        source = iter(examples)
        while chunk := list(islice(source, CHUNK)):
            scenes += [example.scene for example in chunk]
            rows = [raw(example) for example in chunk]
            for field, tower in towers.items():
                decode = registry.modality(tower.spec.modality).decode
                samples = [tower.prepare(decode(row[field]).media) for row in rows]
                pieces[field].append(compact(tower.inputs(tower.collate(samples))))
        graphs, audibles = _numbers([s.graph() for s in scenes]), _numbers([s.audible() for s in scenes])
        inputs = {field: torch.cat(found) for field, found in pieces.items()}
        return cls(inputs, scenes, torch.from_numpy(graphs), torch.from_numpy(audibles))

    def __len__(self) -> int:
        return len(self.scenes)

    def first(self, count: int) -> Triples:
        """The first so many rows."""
        inputs = {field: whole[:count] for field, whole in self.inputs.items()}
        return Triples(inputs, self.scenes[:count], self.graphs[:count], self.audibles[:count])

    def rows(self, positions: torch.Tensor) -> dict[str, torch.Tensor]:
        """The towers' inputs of some rows."""
        return {field: whole[positions] for field, whole in self.inputs.items()}

    def keys(self, pair: Sequence[str], positions: torch.Tensor) -> torch.Tensor:
        """Numbers that are equal for rows which this pair of fields cannot tell apart.

        What cannot be heard must not be asked of a sound: two scenes that differ in colour alone are positives
        of each other there.
        """
        return (self.audibles if "sound" in pair else self.graphs)[positions]


def compact(inputs: torch.Tensor) -> torch.Tensor:
    """The same numbers in the smallest type that holds them: words fit int16, levels from 0 to 1 float16."""
    import torch

    smaller = {torch.int64: torch.int16, torch.float32: torch.float16}
    return inputs.to(smaller.get(inputs.dtype, inputs.dtype))


def _numbers(keys: Sequence[str]) -> np.ndarray[Any, np.dtype[np.int64]]:
    return np.unique(np.array(keys), return_inverse=True)[1].astype(np.int64)

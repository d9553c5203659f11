"""What trained towers know of single attributes: the forced choice, and classes told in words."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pipelines.training.scenes import Example, Scene, swapped
from pipelines.training.scenes.captions import caption
from pipelines.training.scenes.chance import Chance
from pipelines.training.scenes.world import BACKGROUNDS, COLOURS, COUNTS, SHAPES, SIZES, TEXTURES, Group
from pipelines.training.starter.plan import Tower
from pipelines.training.starter.triples import compact
from pipelines.uses.evaluation import Outcome, forced_choice, zero_shot

if TYPE_CHECKING:
    import torch

__all__ = ["Teller", "attribute_classes", "figures", "forced_choices", "teller", "zero_shots"]

Table = npt.NDArray[np.float32]
Vectors = Mapping[str, npt.NDArray[Any]]
Teller = Callable[[Sequence[str]], Table]
"""From sentences to unit vectors ``(n, dim)``."""

ATTRIBUTES: Mapping[str, Sequence[Any]] = {
    "shape": SHAPES,
    "colour": COLOURS,
    "size": SIZES,
    "texture": TEXTURES,
    "count": COUNTS,
}
AUDIBLE = ("shape", "size", "count")


def teller(tower: Tower, network: torch.nn.Module, device: str) -> Teller:
    """How sentences become vectors."""
    import torch
    from torch.nn.functional import normalize

    @torch.inference_mode()
    def told(sentences: Sequence[str]) -> Table:
        ids = compact(tower.inputs(tower.collate([tower.prepare(sentence) for sentence in sentences])))
        found: Table = normalize(network.eval()(ids.long().to(device)), dim=-1).cpu().numpy()
        return found

    return told


def forced_choices(told: Teller, asked: Sequence[Example], vectors: Vectors, seed: int) -> dict[str, Any]:
    """Is the right caption nearer than the same with one attribute exchanged? By field and attribute."""
    pairs = [swapped(example.scene, seed) for example in asked]
    names = np.array([name for _, name in pairs])
    alone = np.array([len(example.scene.groups) == 1 for example in asked])
    heard = np.array([e.scene.audible() != other.audible() for e, (other, _) in zip(asked, pairs, strict=True)])

    def sentences(scenes: Sequence[Scene]) -> list[str]:
        # the same chance on both sides: template and synonyms do not give the wrong one away
        return [
            caption(s, Chance("swap", e.id), e.id.startswith("template"))
            for s, e in zip(scenes, asked, strict=True)
        ]

    right, wrong = (told(sentences(side)) for side in ([e.scene for e in asked], [other for other, _ in pairs]))
    found: dict[str, Any] = {}
    for field, possible in (("picture", np.ones(len(asked), np.bool_)), ("sound", heard)):
        rows = {"all": possible, "one group": possible & alone, "two groups": possible & ~alone}
        rows.update({name: possible & (names == name) for name in sorted(set(names.tolist()))})
        found[field] = {
            name: {
                **figures(forced_choice(vectors[field][some], right[some], wrong[some], seed=seed), ("accuracy",)),
                "n": int(some.sum()),
            }
            for name, some in rows.items()
            if some.sum() >= 2
        }
    return found


def attribute_classes(told: Teller) -> dict[str, Table]:
    """A vector for each value of each attribute: the mean of the captions of all single groups that have it.

    A caption of one attribute alone would be something that training never shows.
    """
    groups = [Group(*values) for values in product(*ATTRIBUTES.values())]
    scenes = [Scene((group,), "alone", BACKGROUNDS[0]) for group in groups]
    captions = told([caption(scene, Chance("zero-shot", scene.graph())) for scene in scenes])
    return {
        name: np.stack([captions[[getattr(g, name) == value for g in groups]].mean(0) for value in values])
        for name, values in ATTRIBUTES.items()
    }


def zero_shots(
    classes: Mapping[str, Table], asked: Sequence[Example], vectors: Vectors, seed: int
) -> dict[str, Any]:
    """Each attribute of single groups, by the nearest of its classes, without any training for it; by field.

    Of a sound, what cannot be heard is not asked.
    """
    rows = np.array([row for row, example in enumerate(asked) if len(example.scene.groups) == 1], np.int64)
    if len(rows) < 2:
        return {}
    found: dict[str, Any] = {}
    for field, names in (("picture", tuple(ATTRIBUTES)), ("sound", AUDIBLE)):
        found[field] = {}
        for name in names:
            labels = [ATTRIBUTES[name].index(getattr(asked[row].scene.groups[0], name)) for row in rows]
            outcome = zero_shot(vectors[field][rows], labels, classes[name], ks=(1,), seed=seed)
            found[field][name] = {**figures(outcome, ("accuracy@1",)), "n": len(rows)}
    return found


def figures(outcome: Outcome, metrics: Sequence[str]) -> dict[str, Any]:
    """Some of an outcome's figures as plain JSON."""
    return {
        name: {"value": f.value, "chance": f.chance, "interval": [f.low, f.high]}
        for name in metrics
        if any(figure.metric == name for figure in outcome.figures)
        for f in (outcome[name],)
    }

"""What trained towers are worth on scenes they have not seen, beside what chance and plain statistics reach.

All figures describe this drawn world and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from pipelines.training.scenes import SPLITS, VERSION, ceiling, examples
from pipelines.training.starter.baselines import backgrounds, features, ridge
from pipelines.training.starter.loop import directions, embed
from pipelines.training.starter.plan import Tower, make_towers
from pipelines.training.starter.probes import attribute_classes, figures, forced_choices, teller, zero_shots
from pipelines.training.starter.triples import Triples
from pipelines.uses.evaluation import retrieval

__all__ = ["BASELINE_ROWS", "GALLERIES", "TESTS", "Trained", "evaluate"]

TESTS = tuple(split for split in SPLITS if split != "train")
GALLERIES = (256, 1000)
KS = (1, 5, 10)
METRICS = (*(f"hit_rate@{k}" for k in KS), "mrr", "median_rank")
BASELINE_ROWS = 4096
"""Training examples that the regressions are fitted to."""


Sides: TypeAlias = tuple[npt.NDArray[Any], npt.NDArray[Any]]
"""Queries and gallery."""


@dataclass(frozen=True)
class Trained:
    """Towers of one training: which seed it had, and which fields it pulled together."""

    towers: Mapping[str, Tower]
    seed: int
    pairs: str = "all"


def evaluate(
    own: Trained,
    others: Sequence[Trained],
    known: Triples,
    device: str,
    say: Callable[[str], None],
    rows: int = 1000,
) -> dict[str, Any]:
    """Retrieval between all fields in every test split, baselines, and what is known of attributes, as plain JSON.

    Relevant is what has the same graph. Where a sound is one side, ``ceiling`` says what a perfect listener
    reaches, to whom colours are silent. ``known`` are training examples for the regressions; of each split the
    first ``rows`` examples are asked about. Trainings of other seeds add ``seeds``, mean and deviation over all of
    the same pairs; those of other pairs stand under their name.
    """
    networks = {field: tower.network().to(device) for field, tower in own.towers.items()}
    rivals = [{field: tower.network().to(device) for field, tower in other.towers.items()} for other in others]
    fresh = {field: tower.network().to(device) for field, tower in make_towers(f"random:{own.seed}").items()}
    statistics = features(known.first(BASELINE_ROWS))
    tones = statistics | backgrounds(known.first(BASELINE_ROWS))
    regressions = {way: ridge(statistics, way) for way in directions(networks)}
    shortcuts = {way: ridge(tones, way) for way in directions(networks) if "picture" in way}
    told = teller(own.towers["caption"], networks["caption"], device)
    classes = attribute_classes(told)
    found: dict[str, Any] = {
        "generator": VERSION,
        "seed": own.seed,
        "seeds": [own.seed, *(other.seed for other in others if other.pairs == own.pairs)],
        "rows": rows,
        "splits": {},
        "swap": {},
        "zero_shot": {},
    }
    for split in TESTS:
        say(f"Evaluating {split}: {rows} scenes")
        asked = list(examples(split, rows, own.seed))
        triples = Triples.of(asked, own.towers)
        vectors, untrained = embed(networks, triples, device), embed(fresh, triples, device)
        rivalling = [embed(rival, triples, device) for rival in rivals]
        plain, tone = features(triples), backgrounds(triples)
        found["splits"][split] = {}
        for a, b in directions(vectors):
            sides: dict[str, Sides] = {"trained": (vectors[a], vectors[b])}
            sides["untrained"] = untrained[a], untrained[b]
            sides["ridge"] = regressions[a, b](plain)
            if (a, b) in shortcuts:
                sides["background"] = shortcuts[a, b](plain | tone)
            here = {name: _galleries(*pair, triples, own.seed) for name, pair in sides.items()}
            theirs = [_galleries(rival[a], rival[b], triples, own.seed) for rival in rivalling]
            alike = [t for t, other in zip(theirs, others, strict=True) if other.pairs == own.pairs]
            if alike:
                here["seeds"] = _spread([here["trained"], *alike])
            here |= {o.pairs: t for t, o in zip(theirs, others, strict=True) if o.pairs != own.pairs}
            if "sound" in (a, b):
                here["ceiling"] = _ceilings(triples.scenes)
            found["splits"][split][f"{a} to {b}"] = here
        found["swap"][split] = forced_choices(told, asked, vectors, own.seed)
        found["zero_shot"][split] = zero_shots(classes, asked, vectors, own.seed)
    return found


def _galleries(
    queries: npt.NDArray[Any], gallery: npt.NDArray[Any], triples: Triples, seed: int
) -> dict[str, dict[str, Any]]:
    """The figures in galleries of several sizes, each made of the first rows."""
    groups = triples.graphs.numpy()
    found = {}
    for size in _sizes(len(triples)):
        some = groups[:size]
        outcome = retrieval(queries[:size], gallery[:size], some, some, ks=KS, seed=seed)
        found[str(size)] = figures(outcome, METRICS)
    return found


def _spread(trainings: Sequence[Mapping[str, Mapping[str, Any]]]) -> dict[str, dict[str, Any]]:
    """Of every figure its values, their mean and their standard deviation."""
    found: dict[str, dict[str, Any]] = {}
    for size, named in trainings[0].items():
        found[size] = {}
        for metric in named:
            values = [training[size][metric]["value"] for training in trainings]
            mean, deviation = float(np.mean(values)), float(np.std(values, ddof=1))
            found[size][metric] = {"values": values, "mean": mean, "deviation": deviation}
    return found


def _ceilings(scenes: Any) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = {}
    for size in _sizes(len(scenes)):
        found[str(size)] = {}
        for k in KS:
            found[str(size)].update(ceiling(scenes[:size], k))
    return found


def _sizes(rows: int) -> list[int]:
    return sorted({min(size, rows) for size in GALLERIES})

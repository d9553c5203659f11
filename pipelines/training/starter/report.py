"""What trained towers are worth on scenes they have not seen, beside what chance and plain statistics reach.

All figures describe this drawn world and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pipelines.training.scenes import SPLITS, VERSION, Example, Scene, ceiling, examples, swapped
from pipelines.training.scenes.captions import caption
from pipelines.training.scenes.chance import Chance
from pipelines.training.starter.baselines import features, ridge
from pipelines.training.starter.loop import directions, embed
from pipelines.training.starter.plan import Tower, make_towers
from pipelines.training.starter.triples import Triples, compact
from pipelines.uses.evaluation import Outcome, forced_choice, retrieval

if TYPE_CHECKING:
    import torch

__all__ = ["GALLERIES", "TESTS", "evaluate"]

TESTS = tuple(split for split in SPLITS if split != "train")
GALLERIES = (256, 1000)
KS = (1, 5, 10)
METRICS = (*(f"hit_rate@{k}" for k in KS), "mrr", "median_rank")
BASELINE_ROWS = 4096
"""Training examples that the regression is fitted to."""

Vectors = Mapping[str, npt.NDArray[Any]]


def evaluate(
    trained: Mapping[str, Tower],
    known: Triples,
    seed: int,
    device: str,
    say: Callable[[str], None],
    rows: int = 1000,
) -> dict[str, Any]:
    """Retrieval between all fields in every test split, baselines, and the forced choice, as plain JSON.

    Relevant is what has the same graph. Where a sound is one side, ``ceiling`` says what a perfect listener
    reaches, to whom colours are silent. ``known`` are training examples for the regression; of each split the
    first ``rows`` examples are asked about.
    """
    networks = {field: tower.network().to(device) for field, tower in trained.items()}
    fresh = {field: tower.network().to(device) for field, tower in make_towers(f"random:{seed}").items()}
    statistics = features(known.first(BASELINE_ROWS))
    found: dict[str, Any] = {"generator": VERSION, "seed": seed, "rows": rows, "splits": {}, "swap": {}}
    for split in TESTS:
        say(f"Evaluating {split}: {rows} scenes")
        asked = list(examples(split, rows, seed))
        triples = Triples.of(asked, trained)
        vectors, untrained, plain = (
            embed(networks, triples, device),
            embed(fresh, triples, device),
            features(triples),
        )
        found["splits"][split] = {
            f"{a} to {b}": {
                "trained": _galleries(vectors[a], vectors[b], triples, seed),
                "untrained": _galleries(untrained[a], untrained[b], triples, seed),
                "ridge": _galleries(*ridge(statistics, plain, (a, b)), triples, seed),
                **({"ceiling": _ceilings(triples.scenes)} if "sound" in (a, b) else {}),
            }
            for a, b in directions(vectors)
        }
        found["swap"][split] = _swap(networks, trained, asked, vectors, seed, device)
    return found


def _galleries(
    queries: npt.NDArray[Any], gallery: npt.NDArray[Any], triples: Triples, seed: int
) -> dict[str, dict[str, Any]]:
    """The figures in galleries of several sizes, each made of the first rows."""
    groups = triples.graphs.numpy()
    found = {}
    for size in _sizes(len(triples)):
        some = groups[:size]
        found[str(size)] = _figures(
            retrieval(queries[:size], gallery[:size], some, some, ks=KS, seed=seed), METRICS
        )
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


def _swap(
    networks: Mapping[str, torch.nn.Module],
    towers: Mapping[str, Tower],
    asked: list[Example],
    vectors: Vectors,
    seed: int,
    device: str,
) -> dict[str, Any]:
    """Is the right caption nearer than the same with one attribute exchanged? By field and attribute."""
    from torch.nn.functional import normalize

    pairs = [swapped(example.scene, seed) for example in asked]
    names = np.array([name for _, name in pairs])
    alone = np.array([len(example.scene.groups) == 1 for example in asked])
    heard = np.array([e.scene.audible() != other.audible() for e, (other, _) in zip(asked, pairs, strict=True)])
    tower, network = towers["caption"], networks["caption"].eval()

    def told(scenes: list[Scene]) -> npt.NDArray[np.float32]:
        # the same chance on both sides: template and synonyms do not give the wrong one away
        sentences = [
            caption(s, Chance("swap", e.id), e.id.startswith("template"))
            for s, e in zip(scenes, asked, strict=True)
        ]
        ids = compact(tower.inputs(tower.collate([tower.prepare(sentence) for sentence in sentences])))
        found: npt.NDArray[np.float32] = normalize(network(ids.long().to(device)), dim=-1).detach().cpu().numpy()
        return found

    right, wrong = told([example.scene for example in asked]), told([other for other, _ in pairs])
    found: dict[str, Any] = {}
    for field, possible in (("picture", np.ones(len(asked), np.bool_)), ("sound", heard)):
        rows = {"all": possible, "one group": possible & alone, "two groups": possible & ~alone}
        rows.update({name: possible & (names == name) for name in sorted(set(names.tolist()))})
        found[field] = {
            name: {
                **_figures(forced_choice(vectors[field][some], right[some], wrong[some], seed=seed), ("accuracy",)),
                "n": int(some.sum()),
            }
            for name, some in rows.items()
            if some.sum() >= 2
        }
    return found


def _figures(outcome: Outcome, metrics: tuple[str, ...]) -> dict[str, Any]:
    return {
        name: {"value": f.value, "chance": f.chance, "interval": [f.low, f.high]}
        for name in metrics
        if any(figure.metric == name for figure in outcome.figures)
        for f in (outcome[name],)
    }

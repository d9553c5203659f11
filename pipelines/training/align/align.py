"""From two columns of a vector set to a head in a folder: choose the method, learn, judge once, write."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from embedders import Runtime
from embedders.base import HEAD
from embedders.errors import UsageError, nearest
from embedders.models.aligned import CONFIG, FORMAT, WEIGHTS, Head, aligned_name
from embedders.weights import sha256_file
from pipelines.training.align.card import head_card
from pipelines.training.align.closed import CLOSED, solve
from pipelines.training.align.judge import Score, applied, both_ways, gaps
from pipelines.training.align.learned import Recipe, learn
from pipelines.training.align.pairs import Pairs, Parts, divide
from pipelines.uses.evaluation.recorded import fingerprint_hash
from pipelines.vectors import ColumnInfo, Storage

if TYPE_CHECKING:
    from pipelines.uses.evaluation import Truth
    from pipelines.vectors import VectorSet

__all__ = ["FEWEST", "METHODS", "SEEDS", "Made", "Options", "align", "choose", "judged", "write"]

FEWEST, FEW, SOME, MANY = 50, 500, 2000, 200_000
"""Training pairs from which a head is learned at all; from which ridge is taken, from which a trained head; and
beyond which more than a head would pay. From practice, not from a measurement of ours."""
METHODS = ("auto", *CLOSED, "linear", "mlp")
SEEDS = 3
"""Heads that are learned to see the spread; the first is the one that is written."""
KS = (1, 5, 10)


@dataclass(frozen=True)
class Options:
    """What is asked for: ``source`` and ``anchor`` are columns; see :func:`choose` for ``method``."""

    source: str
    anchor: str
    method: str = "auto"
    loss: str = "infonce"
    seed: int = 0
    device: str = "cpu"

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise UsageError(f"There is no method {self.method!r}", nearest(self.method, METHODS))
        if self.seed < 0:
            raise UsageError(f"The seed is {self.seed}; it must be 0 or more")
        Recipe.of(self.loss)


@dataclass(frozen=True)
class Made:
    """A head with how it was made: ``settings`` as plain JSON, its score on the validation part, and seconds."""

    head: Head
    settings: dict[str, Any]
    score: Score
    seconds: float


def align(
    vs: VectorSet,
    out: str | Path,
    options: Options,
    truth: Truth | None = None,
    *,
    recipe: Recipe | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """Learn a head that brings the source column into the anchor's space, write it, and return its report.

    The anchor is locked: its vectors stay valid. A fifth of the groups is kept for a test that is looked at once,
    after everything was chosen; baselines (ridge, cca, chance) stand beside the head.

    Raises UsageError for columns that cannot or need not be aligned, and for too few pairs; RefusedError for a
    folder that is not empty; StorageError for what the disk refuses.
    """
    storage = Storage(Path(out))
    pairs = Pairs.of(vs, options.source, options.anchor, truth)
    choose(options.method, len(pairs))
    turns = [divide(pairs, options.seed, turn) for turn in range(SEEDS)]
    method, remarks = choose(options.method, len(turns[0].train))
    say(f"{len(pairs):,} pairs in {len(set(pairs.groups.tolist())):,} groups: {method}")
    for remark in remarks:
        say(remark)
    storage.create_empty()
    device = Runtime.of(options.device).device if method in ("linear", "mlp") else "cpu"
    recipe = recipe or Recipe.of(options.loss)
    made = []
    for turn, parts in enumerate(turns):
        found = make(method, pairs, parts, recipe, options.seed + turn, device)
        say(f"seed {options.seed + turn}: validation hit_rate@10 {found.score[0]:.3f}, {found.seconds:.1f} s")
        made.append(found)
    rivals = {name: make(name, pairs, turns[0], recipe, options.seed, "cpu") for name in ("ridge", "cca")}
    rivals.pop(method, None)
    report = judged(pairs, turns[0], {method: made, **{name: [rival] for name, rival in rivals.items()}}, options)
    report["remarks"] = remarks
    return write(storage, pairs, made[0], method, options, report)


def choose(method: str, count: int) -> tuple[str, list[str]]:
    """The method for so many training pairs, and what a person should know about it.

    ``auto``: below 500 cca, below 2,000 ridge, else a trained head with one hidden layer. Raises UsageError for
    fewer than 50.
    """
    if count < FEWEST:
        raise UsageError(
            f"There are {count} pairs to learn from; a head needs at least {FEWEST}",
            "Embed more records that have both fields; a fifth of the groups is kept for the test and up to 15 % "
            "for validation",
        )
    rung = "cca" if count < FEW else "ridge" if count < SOME else "mlp"
    chosen = rung if method == "auto" else method
    remarks = []
    if count < FEW:
        remarks.append(f"{count} training pairs are few: expect better than chance, and no more")
    if chosen in ("linear", "mlp") and count < SOME:
        remarks.append(
            f"{count} training pairs: below {SOME:,} a closed form ({rung}) is usually the better choice"
        )
    if count > MANY:
        remarks.append(f"{count:,} training pairs: with so many, training the embedder itself would pay")
    return chosen, remarks


def make(method: str, pairs: Pairs, parts: Parts, recipe: Recipe, seed: int, device: str) -> Made:
    """One head by one method, from the training and validation parts."""
    began = time.perf_counter()
    if method in CLOSED:
        solved = solve(method, pairs, parts)
        return Made(solved.head, solved.settings, solved.score, time.perf_counter() - began)
    recipe = recipe.bounded(len(parts.train))
    if method == "linear":
        recipe = replace(recipe, hidden=0)
    found = learn(pairs, parts, recipe, seed, device=device)
    settings = {**recipe.to_json(), "best_step": found.step, "stopped_at": found.steps}
    return Made(found.head, settings, found.score, time.perf_counter() - began)


def judged(pairs: Pairs, parts: Parts, made: dict[str, list[Made]], options: Options) -> dict[str, Any]:
    """The report: the test part is looked at here and nowhere else; the first of ``made`` is what is written."""
    test = parts.test
    methods = {}
    for name, heads in made.items():
        outcomes = [both_ways(applied(one.head, pairs.x[test]), pairs, test, options.seed) for one in heads]
        methods[name] = {
            "settings": heads[0].settings,
            "seconds": [round(one.seconds, 2) for one in heads],
            "validation_hit_rate@10": [one.score[0] for one in heads],
            "test": {way: outcome.to_json() for way, outcome in outcomes[0].items()},
            "seeds": {
                way: {
                    f"hit_rate@{k}": _spread([found[way][f"hit_rate@{k}"].value for found in outcomes]) for k in KS
                }
                for way in outcomes[0]
            },
        }
    first = next(iter(made.values()))[0]
    return {
        "source": options.source,
        "anchor": options.anchor,
        "method": next(iter(made)),
        "loss": first.settings.get("loss"),
        "seed": options.seed,
        "rows": {"set": pairs.rows, "pairs": len(pairs), "left_out": dict(pairs.left_out), **parts.to_json()},
        "groups": {
            name: len(np.unique(pairs.groups[rows]))
            for name, rows in (("train", parts.train), ("valid", parts.valid), ("test", test))
        },
        "gap": gaps(applied(first.head, pairs.x[test]), pairs, test),
        "methods": methods,
    }


def write(
    storage: Storage, pairs: Pairs, made: Made, method: str, options: Options, report: dict[str, Any]
) -> dict[str, Any]:
    """Write the head's folder, the report last, and return the report with the head's space in it."""
    content = made.head.content()
    storage.write_bytes(WEIGHTS, content)
    config = {
        "head": FORMAT,
        "method": method,
        "layers": made.head.kinds,
        "settings": made.settings,
        "seed": options.seed,
        "embedder": _recorded(pairs.source),
        "anchor": _recorded(pairs.anchor),
    }
    storage.write_json(CONFIG, config)
    space = f"{pairs.anchor.space}{HEAD}{sha256_file(storage.path(WEIGHTS))[:16]}"
    report = {"space": space, "embedder": aligned_name(pairs.source.modality), **report}
    card = head_card(config, report).encode()
    storage.write_bytes("MODEL_CARD.md", card)
    storage.write_json("report.json", report)
    return report


def _recorded(info: ColumnInfo) -> dict[str, Any]:
    """What a head must know of a column's embedder: enough to make it again and to see that it is the same."""
    return {
        "name": info.embedder,
        "modality": info.modality,
        "class": info.fingerprint.get("class", info.embedder),
        "options": dict(info.fingerprint.get("options", {})),
        "space": info.space,
        "dim": info.dim,
        "weights": dict(info.fingerprint.get("weights", {})),
        "fingerprint": fingerprint_hash(info.fingerprint),
    }


def _spread(values: list[float]) -> dict[str, Any]:
    """Mean and standard deviation over seeds; no deviation of a single one."""
    deviation = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return {"values": values, "mean": float(np.mean(values)), "deviation": deviation}

"""Better settings for a trained head: Optuna proposes, the validation part judges, the test comes last."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from embedders import Runtime
from embedders.errors import RefusedError, SetupError, UsageError
from pipelines.training.align.align import SEEDS, Options, choose, judged, make, write
from pipelines.training.align.judge import Score
from pipelines.training.align.learned import Recipe, learn
from pipelines.training.align.pairs import Pairs, Parts, divide
from pipelines.uses.evaluation.recorded import fingerprint_hash
from pipelines.vectors import Storage

if TYPE_CHECKING:
    import optuna

    from pipelines.uses.evaluation import Truth
    from pipelines.vectors import VectorSet

__all__ = ["JOURNAL", "Study", "tune"]

JOURNAL, BEGUN, DONE = "journal.log", "study.json", "trials.json"
HEAD = "head"
"""The folder inside of the study that the best head is written to."""
SEARCHED = ("rate", "decay", "dropout", "width", "hidden", "loss", "temperature", "mixing")
STARTED, SEEN = 5, 5
"""Trials, and validations of a trial, before the median of the others may stop it."""


@dataclass(frozen=True)
class Study:
    """What is asked for: ``trials`` in all, of columns ``source`` and ``anchor``."""

    source: str
    anchor: str
    trials: int = 30
    seed: int = 0
    device: str = "cpu"

    def __post_init__(self) -> None:
        if self.trials < 1:
            raise UsageError(f"The number of trials is {self.trials}; it must be at least 1")


def tune(
    vs: VectorSet,
    out: str | Path,
    study: Study,
    truth: Truth | None = None,
    *,
    base: Recipe | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """Try settings of a trained head, write the best head into ``out/head`` and return its report.

    A study that was stopped goes on by the same call. Every trial is judged by the mean hit_rate@10 of the
    validation part with one seed; then the best and the default are learned with three, and only then the test is
    looked at. ``base`` holds what is not searched (batch and number of steps) and is the default.

    Raises UsageError as :func:`~pipelines.training.align.align.align` does, SetupError where Optuna is missing,
    RefusedError for a folder of something else, of another study, or of a finished one.
    """
    pairs = Pairs.of(vs, study.source, study.anchor, truth)
    choose("mlp", len(pairs))
    turns = [divide(pairs, study.seed, turn) for turn in range(SEEDS)]
    _, remarks = choose("mlp", len(turns[0].train))
    base = (base or Recipe()).bounded(len(turns[0].train))
    device = Runtime.of(study.device).device
    optuna = _optuna()
    storage = Storage(Path(out))
    _begin(storage, pairs, study, base)
    with warnings.catch_warnings():  # of Optuna's own storages and samplers, which it calls experimental
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        found = _opened(optuna, storage, study, base)
        before = _finished(found)
        if before:
            say(f"Going on after {len(before)} of {study.trials} trials")
        else:
            found.enqueue_trial(_default(base))
        objective = _objective(optuna.TrialPruned, pairs, turns[0], base, study, device, say)
        found.optimize(objective, n_trials=max(0, study.trials - len(before)))
    best = _recipe(found.best_trial.params, base)
    say(f"Best of {len(_finished(found))}: trial {found.best_trial.number}, hit_rate@10 {found.best_value:.3f}")
    made = {
        name: [make("mlp", pairs, parts, recipe, study.seed + turn, device) for turn, parts in enumerate(turns)]
        for name, recipe in (("best", best), ("default", base))
    }
    rivals = {name: [make(name, pairs, turns[0], base, study.seed, "cpu")] for name in ("ridge", "cca")}
    options = Options(study.source, study.anchor, "mlp", best.loss, study.seed, study.device)
    report = judged(pairs, turns[0], {**made, **rivals}, options)
    trials = [
        {"number": t.number, "state": t.state.name.lower(), "hit_rate@10": t.value, "settings": t.params}
        for t in found.trials
    ]
    report["trials"] = len(_finished(found))
    report["remarks"] = [*remarks, f"Settings are the best of {report['trials']} trials by validation"]
    head = Storage(storage.path(HEAD))
    report = write(head, pairs, made["best"][0], "mlp", options, report)
    storage.write_json(DONE, {"best": found.best_trial.number, "trials": trials})
    return report


def _objective(
    pruned: type[Exception],
    pairs: Pairs,
    parts: Parts,
    base: Recipe,
    study: Study,
    device: str,
    say: Callable[[str], None],
) -> Callable[[optuna.Trial], float]:
    def objective(trial: optuna.Trial) -> float:
        began = time.perf_counter()
        recipe = _recipe(_suggested(trial), base)

        def observe(step: int, reached: Score) -> None:
            trial.report(reached[0], step)
            if trial.should_prune():
                raise pruned

        found = learn(pairs, parts, recipe, study.seed, device=device, observe=observe)
        say(f"trial {trial.number}: hit_rate@10 {found.score[0]:.3f}, {time.perf_counter() - began:.1f} s")
        return found.score[0]

    return objective


def _suggested(trial: optuna.Trial) -> dict[str, Any]:
    return {
        "rate": trial.suggest_float("rate", 1e-4, 3e-3, log=True),
        "decay": trial.suggest_float("decay", 0.0, 0.2),
        "dropout": trial.suggest_float("dropout", 0.0, 0.6),
        "width": trial.suggest_categorical("width", [512, 1024, 2048]),
        "hidden": trial.suggest_categorical("hidden", [1, 2]),
        "loss": trial.suggest_categorical("loss", ["infonce", "siglip"]),
        "temperature": trial.suggest_categorical("temperature", [0.03, 0.07, 0.1]),
        "mixing": trial.suggest_categorical("mixing", [0.0, 0.5, 1.0]),
    }


def _default(base: Recipe) -> dict[str, Any]:
    """The default's place in the space, so that the best is never worse by validation."""
    place = {name: getattr(base, name) for name in SEARCHED}
    place["width"] = min((512, 1024, 2048), key=lambda width: abs(math.log(width / base.width)))
    place["rate"] = min(max(base.rate, 1e-4), 3e-3)
    return place


def _recipe(settings: dict[str, Any], base: Recipe) -> Recipe:
    return Recipe(**{**base.to_json(), **settings})


def _begin(storage: Storage, pairs: Pairs, study: Study, base: Recipe) -> None:
    """Make the folder, or see that the study in it is this one."""
    asked = {
        "source": study.source,
        "anchor": study.anchor,
        "seed": study.seed,
        "pairs": len(pairs),
        "fingerprints": [fingerprint_hash(side.fingerprint) for side in (pairs.source, pairs.anchor)],
        "base": asdict(base),
    }
    where = repr(str(storage.root))
    if storage.exists(DONE):
        raise RefusedError(f"{where} holds a finished study", "Name a new folder")
    if not storage.exists(BEGUN):
        storage.create_empty()
        storage.write_json(BEGUN, asked)
        return
    begun = storage.read_json(BEGUN)
    other = sorted(name for name in asked if begun.get(name) != asked[name])
    if other:
        raise RefusedError(
            f"{where} holds a study that was begun with another {', '.join(other)}",
            "Give what it was begun with, or name a new folder",
        )


def _opened(library: Any, storage: Storage, study: Study, base: Recipe) -> optuna.Study:
    journal = library.storages.JournalStorage(
        library.storages.journal.JournalFileBackend(str(storage.path(JOURNAL)))
    )
    found: optuna.Study = library.create_study(
        study_name="align",
        storage=journal,
        direction="maximize",
        pruner=library.pruners.MedianPruner(n_startup_trials=STARTED, n_warmup_steps=SEEN * base.every),
        load_if_exists=True,
    )
    # a sampler that begins anew after a stop would propose what it has proposed already
    found.sampler = library.samplers.TPESampler(seed=study.seed + len(found.trials))
    return found


def _finished(found: optuna.Study) -> list[Any]:
    """Trials that were judged, or stopped for being worse than others; not those that a stop broke off."""
    return [trial for trial in found.trials if trial.state.name in ("COMPLETE", "PRUNED")]


def _optuna() -> Any:
    try:
        import optuna
    except ModuleNotFoundError as error:
        raise SetupError(
            "embed tune needs the package 'optuna', which is missing",
            "Install it: pip install 'multimodal-embedders[tune]'",
        ) from error
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna

"""From nothing to a folder of weights: examples, training with checkpoints, export, report."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any, BinaryIO

from embedders import RefusedError, Runtime
from pipelines.training.scenes import Example, example, examples
from pipelines.training.starter.loop import Progress, Training, measure, threads
from pipelines.training.starter.plan import PAIRS, Options, Plan, Tower, make_towers
from pipelines.training.starter.report import Trained, evaluate
from pipelines.training.starter.reporting import MANIFEST, write_report
from pipelines.training.starter.triples import Triples
from pipelines.vectors import Storage

__all__ = ["CHECKPOINT", "train"]

CHECKPOINT = "checkpoint.pt"
SAVE_EVERY = 60.0
"""Seconds of work that a kill costs at most."""
PROBE = 10.0
"""Seconds for measuring how fast this machine is, with one thread and with all."""
HELD_FROM = 1_000_000
"""Number of the first training example that is kept for validation."""


def train(
    out: str | Path,
    options: Options,
    *,
    device: str = "auto",
    say: Callable[[str], None] = lambda line: None,
    observe: Callable[[Progress], None] = lambda progress: None,
    save_every: float = SAVE_EVERY,
    probe: float = PROBE,
    rows: int = 1000,
) -> dict[str, Any]:
    """Train the starter on drawn scenes into the folder ``out``, or go on where a stop left it; returns the report.

    Only the last checkpoint is needed to go on, and the result is that of a training without a stop, up to the
    noise of float sums; by one thread it has the same bits. ``probe`` is the seconds for measuring
    this machine, ``rows`` the number of scenes per test split of the report.

    Raises RefusedError for a folder that holds anything else, a finished training, or one begun with other
    options; SetupError for a device that is not there; StorageError for what the disk refuses.
    """
    storage = Storage(Path(out))
    saved = _saved(storage, options)
    place = Runtime.of(device).device
    began = make_towers(f"random:{options.seed}")
    if saved is None:
        storage.create_empty()
        plan = _settled(options, began, place, say, probe)
    else:
        plan = Plan(**saved["plan"])
        say(f"Going on from step {saved['step']:,} of {plan.steps:,}")
    training = _training(plan, began, place)
    if saved is not None:
        training.restore(saved)
    seconds_before = saved["seconds"] if saved else 0.0
    clock = time.perf_counter()

    def save() -> None:
        state = {**training.state(), "seconds": seconds_before + time.perf_counter() - clock}
        storage.write(CHECKPOINT, lambda file: _dump(state, file))

    if saved is None:
        save()
    with threads(plan.threads):
        training.run(save, observe, save_every)
    seconds = float(_load(storage)["seconds"])
    _export(storage, training, began)
    trained = make_towers(str(storage.root))
    with threads(plan.threads):
        found = evaluate(Trained(trained, plan.seed, plan.pairs), [], training.triples, place, say, rows)
    manifest = {
        "plan": plan.to_json(),
        "command": _command(plan),
        "device": "a CPU" if place == "cpu" else place.split(":")[0],
        "seconds": round(seconds, 1),
        "pairs": [list(pair) for pair in PAIRS[plan.pairs]],
        "best_step": training.best["step"] if training.best else plan.steps,
        "history": training.history,
        "dim": next(iter(trained.values())).spec.dim,
        "weights": sum(weight.numel() for weight in training.networks.parameters()),
        "space": next(iter(trained.values())).spec.space,
        "versions": {name: metadata.version(name) for name in ("numpy", "pillow", "torch")},
    }
    write_report(storage, manifest, found)
    storage.write_json(MANIFEST, manifest)  # last: a folder with it is finished
    storage.path(CHECKPOINT).unlink(missing_ok=True)
    return {"manifest": manifest, "eval": found}


def _saved(storage: Storage, options: Options) -> dict[str, Any] | None:
    """The checkpoint to go on from; None for a new or empty folder."""
    if storage.exists(MANIFEST):
        raise RefusedError(f"{str(storage.root)!r} holds a finished training", "Name a new folder")
    if not storage.exists(CHECKPOINT):
        return None
    saved = _load(storage)
    difference = Plan(**saved["plan"]).differs(options)
    if difference:
        raise RefusedError(
            f"{str(storage.root)!r} holds a training that was begun differently: {difference}",
            "Give the options it was begun with, or name a new folder",
        )
    return saved


def _settled(
    options: Options, towers: Mapping[str, Tower], device: str, say: Callable[[str], None], probe: float
) -> Plan:
    """The plan, with its time honestly estimated from a few steps of this machine."""
    began = time.perf_counter()
    few = Triples.of(examples("train", 2 * options.batch, options.seed), towers)
    each = (time.perf_counter() - began) / len(few)
    rates = {count: _rate(options, towers, few, device, count, probe) for count in _thread_counts(device)}
    fastest = max(rates, key=rates.__getitem__)
    rate, plan = rates[fastest], options.plan(rates[fastest], fastest)
    making, training = plan.examples * each / 60, plan.steps * plan.batch / rate / 60
    say(
        f"This machine trains on {rate:,.0f} examples/s ({device}, threads: {fastest}). "
        f"{plan.steps:,} steps of {plan.batch}: about {making:,.1f} min for making {plan.examples:,} examples "
        f"and {training:,.1f} min for training"
    )
    return plan


def _thread_counts(device: str) -> set[int]:
    """On a CPU that others use too, threads wait for each other, and one alone is several times as fast."""
    import torch

    return {1, torch.get_num_threads()} if device == "cpu" else {torch.get_num_threads()}


def _rate(
    options: Options, towers: Mapping[str, Tower], few: Triples, device: str, count: int, probe: float
) -> float:
    networks = {field: tower.network() for field, tower in towers.items()}
    with threads(count):
        return measure(Training(options.plan(1.0, count), networks, few, few, device), probe)


def _training(plan: Plan, towers: Mapping[str, Tower], device: str) -> Training:
    """Everything at step 0, as the plan decides it."""
    triples = Triples.of(examples("train", plan.examples, plan.seed), towers)
    held = Triples.of(_held_out(plan, {scene.graph() for scene in triples.scenes}), towers)
    networks = {field: tower.network() for field, tower in towers.items()}
    return Training(plan, networks, triples, held, device)


def _held_out(plan: Plan, seen: set[str]) -> Iterator[Example]:
    """Scenes of seen combinations, none of which is trained on; no test split is looked at."""
    number = HELD_FROM
    for _ in range(plan.held_out):
        while (found := example("train", number, plan.seed)).scene.graph() in seen:
            number += 1
        number += 1
        yield found


def _export(storage: Storage, training: Training, towers: Mapping[str, Tower]) -> None:
    """The best weights in half precision under their modality's name, and what belongs to them."""
    from safetensors.torch import save

    states = training.best["networks"] if training.best else training.networks.state_dict()
    named = {}
    config: dict[str, Any] = {}
    for field, tower in towers.items():
        for name, value in states.items():
            if name.startswith(f"{field}."):
                named[f"{tower.spec.modality}.{name.removeprefix(f'{field}.')}"] = value.half().contiguous()
        config.update(tower.config())
    content = save(named, {"format": "pt"})
    storage.write_json("config.json", config)
    storage.write_bytes("model.safetensors", content)


def _command(plan: Plan) -> str:
    """The command line that repeats a training, whatever the speed of the machine."""
    return (
        f"embed train scenes --out FOLDER --preset {plan.preset} --seed {plan.seed} "
        f"--pairs {plan.pairs} --batch-size {plan.batch} --steps {plan.steps}"
    )


def _load(storage: Storage) -> dict[str, Any]:
    import torch

    try:
        found = torch.load(storage.path(CHECKPOINT), map_location="cpu", weights_only=True)
    except Exception as error:  # torch lets through whatever damaged bytes provoke
        raise RefusedError(
            f"{str(storage.path(CHECKPOINT))!r} is damaged ({error})", "Name a new folder"
        ) from error
    return dict(found)


def _dump(state: dict[str, Any], file: BinaryIO) -> None:
    import torch

    torch.save(state, file)

"""Which runtime an embedder gets: what the user asked for, and where that is ``auto``, what wins here and is right.

A faster runtime must prove itself. On the embedder's own examples its vectors are held against those of plain fp32,
and its time against plain torch's; the verdict is kept in the cache beside the converted network, so that this is
done once per machine and weights.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from embedders.runtime.machine import cache_folder, has_openvino, prefers_half
from embedders.runtime.network import built_once
from embedders.runtime.runtime import ACCELERATORS, PRECISIONS, Runtime, known
from embedders.runtime.trial import Trial

if TYPE_CHECKING:
    from embedders.base import BaseEmbedder

__all__ = ["Wish", "choose"]

Note: TypeAlias = Callable[[str], None]

WORTH_COMPILING = 20_000
"""Rows from which torch's compiler pays on an accelerator: half a minute, at thousands of rows a second."""


@dataclass(frozen=True)
class Wish:
    """What the user asked for; ``auto`` leaves it to :func:`choose`.

    ``rows`` is the size of the job, None where it is not known. ``held`` maps columns to what the fingerprint of
    the set at hand records of their runtime (:meth:`Runtime.describe`): ``auto`` then means the same again.
    """

    device: str = "auto"
    precision: str = "auto"
    accel: str = "auto"
    rows: int | None = None
    held: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def choose(embedder: BaseEmbedder, wish: Wish, column: str = "", note: Note = lambda words: None) -> Runtime:
    """The runtime of one embedder; ``note`` hears what the user should know.

    An engine that the embedder does not take is left alone. Raises UsageError for words that do not exist and
    SetupError for a device or weights that are not there.
    """
    known("precision", wish.precision, PRECISIONS)
    known("accel", wish.accel, ACCELERATORS)
    plain = Runtime.of(wish.device) if wish.device != "cpu" else Runtime()  # without asking torch
    held = wish.held.get(column, {})
    if held.get("device") == plain.device.split(":")[0]:
        engine = held.get("precision", "fp32"), held.get("accel", "none"), held.get("batch_factor")
        again = Runtime(plain.device, *engine)
        return replace(again, **_said(wish))
    engines = _engines(embedder, plain, wish)
    halves = wish.precision == "auto" and bool(embedder.accelerators)
    if wish.precision != "auto" and engines == ["none"]:
        return replace(plain, precision=wish.precision)
    if engines == ["none"] and not halves:
        return plain
    return _tried(embedder, plain, wish, engines, halves, note)


def _said(wish: Wish) -> dict[str, Any]:
    """What the user named, against whatever was recorded."""
    return {k: v for k, v in (("precision", wish.precision), ("accel", wish.accel)) if v != "auto"}


def _engines(embedder: BaseEmbedder, plain: Runtime, wish: Wish) -> list[str]:
    """Candidates, best first; plain torch is always the last resort of ``auto``."""
    if wish.accel == "none":
        return ["none"]
    if wish.accel != "auto":
        return [wish.accel] if wish.accel in embedder.accelerators else ["none"]
    if plain.device == "cpu":
        found = ["openvino"] if has_openvino() else []
    else:
        found = ["compile"] if (wish.rows or 0) >= WORTH_COMPILING else []
    return [engine for engine in found if engine in embedder.accelerators] + ["none"]


def _tried(
    embedder: BaseEmbedder,
    plain: Runtime,
    wish: Wish,
    engines: list[str],
    halves: bool,
    note: Note,
) -> Runtime:
    """The best candidate that proved itself, here and now or in an earlier trial."""
    precision = wish.precision
    asked = wish.accel not in ("auto", "none")
    small = wish.rows is not None and wish.rows < embedder.worth_trying and not asked
    kept = _verdicts(embedder, plain)
    if halves:
        if small and not kept:
            return plain
        precision = "bf16" if prefers_half(plain.device) else "fp32"
    trial = Trial(embedder, plain)
    with built_once():
        for engine in engines:
            runtime = replace(plain, precision=precision, accel=engine)
            if runtime.exact:
                return runtime
            name = f"{precision} {engine}"
            if name not in kept:
                if small:
                    continue
                kept[name] = trial.verdict(runtime)
                _keep(embedder, plain, kept)
            verdict = kept[name]
            if verdict["right"] and (asked or verdict["fast"]):
                return replace(runtime, batch_factor=verdict.get("batch_factor"))
            if not verdict["right"]:
                note(f"{embedder!r} is not run by {name}: {verdict['why']}")
            if asked:
                break
    return replace(plain, precision=wish.precision if wish.precision != "auto" else "fp32")


def _place(embedder: BaseEmbedder, plain: Runtime) -> Path:
    versions = {name: _version(name) for name in ("openvino", "torch", "multimodal-embedders")}
    machine = [platform.machine(), _flags(), plain.device.split(":")[0]]
    words = json.dumps([embedder.identity, versions, machine], sort_keys=True, default=str)
    return cache_folder() / "verdicts" / f"{hashlib.sha256(words.encode()).hexdigest()[:32]}.json"


def _verdicts(embedder: BaseEmbedder, plain: Runtime) -> dict[str, Any]:
    try:
        found = json.loads(_place(embedder, plain).read_text("utf-8"))
        return {name: verdict for name, verdict in found.items() if {"right", "fast", "why"} <= verdict.keys()}
    except (OSError, ValueError, AttributeError):
        return {}


def _keep(embedder: BaseEmbedder, plain: Runtime, kept: Mapping[str, Any]) -> None:
    place = _place(embedder, plain)
    with contextlib.suppress(OSError):  # without a cache the trial is made again
        place.parent.mkdir(parents=True, exist_ok=True)
        part = place.with_suffix(f".{time.monotonic_ns()}")
        part.write_text(json.dumps(kept), "utf-8")
        part.replace(place)


def _flags() -> str:
    """What the processor can do, as the kernel says it: a home folder may be shared by unlike machines."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines():
            if line.startswith("flags"):
                return hashlib.sha256(line.encode()).hexdigest()
    return platform.processor()


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""

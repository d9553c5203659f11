"""Whether stored vectors come out again: some inputs of every column are read and embedded once more.

The files of a set can be as they were committed and yet no longer be what this machine makes of the inputs: another
library, another driver, weights that were exchanged under their name.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from embedders import BadInput, BaseEmbedder, Limits, Runtime, Status, UsageError
from embedders.modality import read_file
from embedders.registry import registry
from embedders.remote import is_url
from pipelines.uses.comparison import changes_of, deviations, tables
from pipelines.uses.evaluation.recorded import rebuilt
from pipelines.uses.originals import Originals
from pipelines.vectors import ColumnInfo, Sample, VectorSet, samples

__all__ = ["STORED_HALF", "TOLERANCES", "Deep", "reembed"]

TOLERANCES: Mapping[str, tuple[float, float]] = {
    "fp32": (1 - 1e-5, 1e-4),
    "fp16": (1 - 1e-4, 5e-3),
    "bf16": (1 - 1e-3, 4e-2),
}
"""Smallest cosine and largest relative L2 of a vector that came out again, by the precision of its forward.

For the halves about ten units of their rounding (2^-11 and 2^-8), since the errors of many layers add up.
"""

STORED_HALF = 1e-3
"""Relative L2 that storing as float16 may cost alone: two units of rounding."""


@dataclass
class Deep:
    """What became of the vectors of a column that were drawn to be made again.

    ``agreeing`` came out as stored, and ``differing`` says per id how another did not. ``changed`` have an input of
    another content today; ``unread`` counts, by status and code, those whose input cannot be had. Neither was
    embedded.
    """

    column: str
    drawn: int
    agreeing: int = 0
    differing: dict[str, str] = field(default_factory=dict)
    changed: int = 0
    unread: Counter[str] = field(default_factory=Counter)
    smallest_cosine: float | None = None
    largest: float | None = None
    """The greatest relative L2, like the cosine of all that were embedded."""
    changes: tuple[str, ...] = ()
    """Where today's fingerprint differs from the one that is recorded."""
    problem: str | None = None
    """Why the embedder cannot be made, or not be used, any more."""

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


def reembed(vs: VectorSet, count: int = 20, seed: int = 0, device: str = "auto") -> list[Deep]:
    """Embed up to ``count`` inputs of every column again, one at a time, and hold them against what is stored.

    Each embedder is made as its fingerprint records it, and runs in the recorded precision on ``device``. An input
    is embedded only where it has the recorded SHA-256; nothing is fetched and no archive is opened. What is wrong
    with one column's embedder keeps no other from being looked at.

    Raises UsageError for ``count`` below 1 and for an unknown device, SetupError for one that is not there.
    """
    if count < 1:
        raise UsageError(f"{count} inputs per column are to be embedded again; it must be at least 1")
    Runtime.of(device)
    drawn: dict[str, list[Sample]] = {name: [] for name in vs}
    for sample in samples(vs, count, seed):
        drawn[sample.column].append(sample)
    inputs = _Inputs(vs, [sample.id for found in drawn.values() for sample in found])
    return [_column(vs[name].info, found, inputs, device) for name, found in drawn.items()]


def _column(info: ColumnInfo, drawn: Sequence[Sample], inputs: _Inputs, device: str) -> Deep:
    deep = Deep(info.name, len(drawn))
    if not drawn:
        return deep
    try:
        embedder, recorded = rebuilt(info.fingerprint), info.fingerprint["runtime"]
        runtime = replace(Runtime.of(device, recorded["precision"]), accel=recorded["accel"])
        deep.changes = changes_of(info, _today(info, embedder, runtime))
        for sample in drawn:
            try:
                content = inputs.content(sample)
            except BadInput as problem:
                if problem.status is Status.CHANGED:
                    deep.changed += 1
                else:
                    deep.unread[f"{problem.status} ({problem.code})"] += 1
                continue
            try:
                vectors = _embedded(embedder, content, runtime, inputs.limits)
            except BadInput as problem:
                deep.differing[sample.id] = f"now {problem.status} ({problem.code})"
            else:
                _hold_against(deep, sample, vectors, *_limits(info, runtime))
    except Exception as error:  # a stranger's embedder, or what is left of it, may raise anything
        deep.problem = f"{type(error).__name__}: {error}"
    return deep


def _today(info: ColumnInfo, embedder: BaseEmbedder, runtime: Runtime) -> ColumnInfo:
    """What would be recorded of the column if it were made now."""
    decoding = embedder.decoding(registry.modality(info.modality), runtime)
    fingerprint = {**embedder.fingerprint(runtime), "decoding": decoding}
    return replace(info, fingerprint=json.loads(json.dumps(fingerprint)))


def _embedded(
    embedder: BaseEmbedder, content: str | bytes, runtime: Runtime, limits: Limits
) -> npt.NDArray[np.float32]:
    """Shape ``(1, dim)``."""
    device, precision, accel = runtime.device, runtime.precision, runtime.accel
    try:
        return embedder.embed([content], device=device, precision=precision, accel=accel, limits=limits)
    except BadInput:
        if precision == "fp32":
            raise
        # a run, too, makes in full precision what leaves the range of a half
        return embedder.embed([content], device=device, limits=limits)


def _limits(info: ColumnInfo, runtime: Runtime) -> tuple[float, float]:
    cosine, distance = TOLERANCES[runtime.precision]
    return cosine, max(distance, STORED_HALF) if info.dtype == "float16" else distance


def _hold_against(
    deep: Deep, sample: Sample, vectors: npt.NDArray[np.float32], least_cosine: float, most: float
) -> None:
    stored = sample.vector[np.newaxis]
    if vectors.shape != stored.shape:
        deep.differing[sample.id] = f"{stored.shape[1]} dimensions are stored, and {vectors.shape[1]} come out"
        return
    distance, cosine = (float(found[0]) for found in deviations(stored, vectors))
    deep.largest = max(distance, deep.largest or 0.0)
    deep.smallest_cosine = min(cosine, 1.0 if deep.smallest_cosine is None else deep.smallest_cosine)
    if cosine >= least_cosine and distance <= most:
        deep.agreeing += 1
    else:
        deep.differing[sample.id] = f"cosine {cosine:.6f}, relative L2 {distance:.1e}"


class _Inputs:
    """What drawn rows were made of, read from where the set says it lies and held against its SHA-256.

    ``limits`` are those of the run.
    """

    def __init__(self, vs: VectorSet, ids: Sequence[str]) -> None:
        import pyarrow as pa
        import pyarrow.compute as pc

        self._originals = Originals(vs)
        run = vs.storage.read_json("run.json") if vs.storage.exists("run.json") else {}
        self.limits = Limits.of(run.get("limits", {}))
        self._archived = run.get("circumstances", {}).get("source", {}).get("kind") == "shards"
        self._recorded: dict[tuple[str, str], str | None] = {}
        wanted = pa.array(set(ids), pa.string())
        for _, table in tables(vs, ["id", *(f"{name}_sha256" for name in vs.fields)]):
            for row in table.filter(pc.is_in(table.column("id"), wanted)).to_pylist():
                self._recorded |= {(row["id"], name): row[f"{name}_sha256"] for name in vs.fields}

    def content(self, sample: Sample) -> str | bytes:
        """The very input that was embedded.

        Raises BadInput: ``changed`` for another, and ``unreadable`` or what :func:`read_file` says for none.
        """
        recorded = self._recorded[sample.id, sample.field]
        if recorded is None or sample.stored is None:
            raise BadInput(Status.UNREADABLE, "NOT_KEPT", "the input was given in memory, and is not in the set")
        if self._archived:
            raise BadInput(Status.UNREADABLE, "IN_ARCHIVE", "archives are read in order, not opened for one member")
        if self._originals.inline(sample.field):
            if _sha256(sample.stored.encode()) != recorded:
                raise BadInput(Status.UNREADABLE, "NOT_KEPT", "the set does not hold it as it was embedded")
            return sample.stored
        if is_url(sample.stored):
            raise BadInput(Status.UNREADABLE, "BY_URL", "nothing is fetched")
        root = self._originals.root
        content = read_file(Path(sample.stored) if root is None else root / sample.stored, self.limits, root)
        if _sha256(content) != recorded:
            raise BadInput(Status.CHANGED, "CHANGED", "the file holds something else than what was embedded")
        return content


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()

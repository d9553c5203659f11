"""The contract of an embedder: a few hooks to write, and a finished ``embed``.

An embedder turns media of one modality into vectors of one space. An author writes :meth:`BaseEmbedder.prepare`
(one input, any thread), :meth:`BaseEmbedder.collate` (one batch) and :meth:`BaseEmbedder.load` (weights onto a
device); the base class checks what comes back, so that no embedder can misalign rows or pass off a broken
vector as a good one.
"""

from __future__ import annotations

import inspect
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeAlias

import numpy as np
import numpy.typing as npt

from embedders.batching import Pool
from embedders.errors import BadInput, ContractError, Status, UsageError, nearest
from embedders.modality import Limits

if TYPE_CHECKING:
    from embedders.runtime import Runtime

__all__ = [
    "HEAD",
    "BaseEmbedder",
    "EmbedderSpec",
    "Forward",
    "Vectors",
    "anchor_space",
    "check_rows",
    "row_failures",
]

Vectors: TypeAlias = npt.NDArray[np.float32]
"""Shape ``(n, dim)``, float32, C-contiguous."""

Forward: TypeAlias = Callable[[Any], Any]
"""A loaded model: collated batch in, ``(n, dim)`` array or tensor out, on any device, of any float type."""

UNIT_TOLERANCE = 1e-3
"""How far from 1 the length of a vector promised as unit length may lie: half-precision models round."""


@dataclass(frozen=True)
class EmbedderSpec:
    """What can be known about an embedder before its weights are there.

    ``space`` decides what may be compared: two vectors are comparable if and only if :func:`anchor_space` of both
    is equal.
    ``details`` holds everything else that decides a vector's value (preprocessing, pooling, windows), as plain
    JSON values; it goes into the fingerprint.
    """

    modality: str
    space: str
    dim: int
    normalized: bool
    details: Mapping[str, Any] = field(default_factory=dict)


HEAD = "+head:"
"""Stands in the space of a head's vectors between the anchor's space and the hash of the head."""


def anchor_space(space: str) -> str:
    """The space that vectors are compared in: a head brings its vectors into its anchor's.

    Vectors of ``clip+head:1f3a`` were made by another encoder than those of ``clip``, so that they are not mixed
    into one column, but they were taught to lie among them.
    """
    return space.partition(HEAD)[0]


class BaseEmbedder(ABC):
    """One modality in, vectors of one space out.

    Subclasses follow these rules:

    * ``__init__`` takes options as keyword arguments with plain JSON values and stores them; it loads nothing.
      The options are recorded and rebuild the embedder in another process.
    * weights live in what :meth:`load` returns, never on the instance.
    * row *i* of a batch's vectors depends on input *i* alone.
    """

    libraries: ClassVar[tuple[str, ...]] = ()
    """Distributions whose version can change a vector; recorded in the fingerprint."""
    batch_cost: ClassVar[int] = 32
    """Padded cost of a batch, samples times the dearest: bounds memory, whatever the inputs' lengths."""

    options: Mapping[str, Any]
    """What the instance was made with, defaults filled in."""
    _loaded: dict[Runtime, Forward]

    def __new__(cls, *args: Any, **options: Any) -> Self:
        """Record the options before ``__init__`` sees them, so that no author can forget to."""
        self = super().__new__(cls)
        if args:
            raise UsageError(f"{cls.__name__} takes its options by name")
        signature = inspect.signature(cls.__init__)
        known = [name for name in signature.parameters if name != "self"]
        for name, value in options.items():
            if name not in known:
                raise UsageError(f"{cls.__name__} has no option {name!r}", nearest(name, known))
            if isinstance(value, Path):
                options[name] = str(value)
        bound = signature.bind(self, **options)
        bound.apply_defaults()
        recorded = {name: value for name, value in bound.arguments.items() if name != "self"}
        try:
            json.dumps(recorded, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise UsageError(f"Options of {cls.__name__} must be plain JSON values ({error})") from error
        self.options = recorded
        self._loaded = {}
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle by class and options alone, at any time: a loaded embedder is as small as a fresh one."""
        return (_rebuild, (type(self), dict(self.options)))

    def __repr__(self) -> str:
        options = ", ".join(f"{name}={value!r}" for name, value in self.options.items())
        return f"{type(self).__name__}({options})"

    # ---- what an author writes -------------------------------------------------------------------------------

    @property
    @abstractmethod
    def spec(self) -> EmbedderSpec:
        """Facts about the vectors, readable on a fresh instance without weights.

        Reads no network for named, local and random weights; a model that is known only by its id on a hub may
        need its configuration file once.
        """

    @property
    def weights_identity(self) -> Mapping[str, Any]:
        """Which parameters :meth:`load` uses: a pinned revision, a file's SHA-256 or a seed.

        A ``seed`` entry marks vectors without meaning. The default is for embedders that have no weights.
        """
        return {}

    @abstractmethod
    def prepare(self, media: Any) -> Any:
        """Turn one decoded input into a sample, once per input, on the CPU, in any thread.

        Deterministic and without shared state. Raises BadInput for media that the model cannot take.
        """

    def cost(self, sample: Any) -> int:
        """Relative size of a sample (tokens, frames): steers grouping into batches, never the result."""
        return 1

    def flags(self, sample: Any) -> tuple[str, ...]:
        """What the user should know about a sample (``truncated_text``); kept in its row."""
        return ()

    @abstractmethod
    def collate(self, samples: Sequence[Any]) -> Any:
        """Join samples into one batch on the CPU: row *i* is sample *i*; pads and masks."""

    @abstractmethod
    def load(self, runtime: Runtime) -> Forward:
        """Put the weights on ``runtime.device`` and return the callable that embeds a collated batch.

        Called once per device in the process that embeds. Raises SetupError where weights are missing.
        """

    @abstractmethod
    def examples(self) -> Sequence[Any]:
        """At least three tiny inputs made in code, of different size and meaning, for the conformance kit."""

    # ---- what everyone gets ----------------------------------------------------------------------------------

    def forward(self, runtime: Runtime) -> Forward:
        """The loaded model on this runtime; loaded at the first call, freed with the embedder."""
        if runtime not in self._loaded:
            self._loaded[runtime] = self.load(runtime)
        return self._loaded[runtime]

    def fingerprint(self, runtime: Runtime) -> dict[str, Any]:
        """Everything that decides a vector's value, as plain JSON: what may be mixed within one column."""
        spec = self.spec
        return {
            "class": f"{type(self).__module__}:{type(self).__qualname__}",
            "options": dict(self.options),
            "space": spec.space,
            "dim": spec.dim,
            "normalized": spec.normalized,
            "details": dict(spec.details),
            "weights": dict(self.weights_identity),
            "runtime": runtime.describe(),
            "versions": {name: _version(name) for name in ("multimodal-embedders", *self.libraries)},
        }

    def embed(
        self,
        inputs: Iterable[Any],
        *,
        device: str = "auto",
        batch_size: int | None = None,
        precision: str = "auto",
        limits: Limits | None = None,
    ) -> Vectors:
        """Embed raw inputs or media: ``(n, dim)`` float32 in input order, ``(0, dim)`` for no inputs.

        Inputs are what the modality decodes: text as ``str``; media as encoded ``bytes``, a ``Path``, or decoded
        already. Raises BadInput at the first input that cannot be embedded; for inputs that may be bad, and for
        more than fit into memory, use a pipeline, which gives every one of them a row.
        """
        from embedders.registry import modality  # the registry imports this module
        from embedders.runtime import Runtime

        if isinstance(inputs, str | bytes | Path):
            raise UsageError("embed takes a list of inputs", f"For one input: embed([{type(inputs).__name__}])")
        if batch_size is not None and batch_size < 1:
            raise UsageError(f"The batch size is {batch_size!r}; it must be 1 or more")
        spec = self.spec  # read once: it may look at files
        decoder = modality(spec.modality)
        bounds = limits or Limits()

        runtime = Runtime.of(device=device, precision=precision)
        pool: Pool[tuple[int, Any]] = Pool(self.batch_cost, batch_size)
        rows: dict[int, Vectors] = {}

        def empty_pool() -> None:
            for batch in pool.batches():
                found = self.forward(runtime)(self.collate([sample for _, sample in batch]))
                checked = check_rows(found, len(batch), spec)
                rows.update(zip((position for position, _ in batch), checked, strict=True))

        for position, raw in enumerate(inputs):
            sample = self.prepare(decoder.decode(raw, bounds).media)
            if pool.add((position, sample), self.cost(sample)):
                empty_pool()
        empty_pool()
        vectors = np.stack([rows[i] for i in range(len(rows))]) if rows else np.empty((0, spec.dim), np.float32)
        for position, failure in row_failures(vectors, spec).items():
            raise BadInput(failure.status, failure.code, f"input {position}: {failure}")
        return vectors


def check_rows(found: Any, rows: int, spec: EmbedderSpec) -> Vectors:
    """What a forward returned, as ``(rows, dim)`` float32; raises ContractError where the contract is broken.

    Rows that are not finite pass: they are facts about an input, which :func:`row_failures` reports.
    """
    if hasattr(found, "detach"):
        found = found.detach().float().cpu().numpy()
    vectors = np.asarray(found)
    if vectors.shape != (rows, spec.dim):
        raise ContractError(
            f"The embedder of space {spec.space!r} returned shape {vectors.shape} for a batch of {rows}; "
            f"its spec promises {(rows, spec.dim)}"
        )
    if vectors.dtype.kind not in "fiu":
        raise ContractError(f"The embedder of space {spec.space!r} returned {vectors.dtype}, not numbers")
    with np.errstate(over="ignore"):  # beyond float32 becomes inf, which row_failures reports
        vectors = np.ascontiguousarray(vectors, dtype=np.float32)
    if spec.normalized:
        lengths = np.linalg.norm(vectors, axis=1)
        wrong = np.isfinite(lengths) & (lengths != 0) & (np.abs(lengths - 1) > UNIT_TOLERANCE)
        if wrong.any():
            length = lengths[wrong][0]
            raise ContractError(
                f"The embedder of space {spec.space!r} promises unit length and returned length {length:.4g}"
            )
    return vectors


def row_failures(vectors: Vectors, spec: EmbedderSpec) -> dict[int, BadInput]:
    """Rows that must not be stored as ok, by position: NaN or infinite, or of no length where length is 1."""
    failures = {}
    finite = np.isfinite(vectors).all(axis=1)
    for position in np.flatnonzero(~finite):
        failures[int(position)] = BadInput(Status.NONFINITE, "NONFINITE", "the vector has NaN or infinite values")
    if spec.normalized:
        for position in np.flatnonzero(finite & ~vectors.any(axis=1)):
            failures[int(position)] = BadInput(Status.NONFINITE, "ZERO_NORM", "the vector has no direction")
    return failures


def _rebuild(cls: type[BaseEmbedder], options: Mapping[str, Any]) -> BaseEmbedder:
    return cls(**options)


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return "unknown"

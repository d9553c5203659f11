"""The contract of an embedder: a few hooks to write, and a finished ``embed``.

An embedder turns media of one modality into vectors of one space. An author writes :meth:`BaseEmbedder.prepare`
(one input, any thread), :meth:`BaseEmbedder.collate` (one batch) and :meth:`BaseEmbedder.load` (weights onto a
device); the base class checks what comes back, so that no embedder can misalign rows or pass off a broken
vector as a good one.
"""

from __future__ import annotations

import inspect
import json
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeAlias

import numpy as np

from embedders.batching import Pool
from embedders.errors import BadInput, UsageError, nearest
from embedders.modality import Limits, Modality
from embedders.spec import HEAD, EmbedderSpec, Vectors, anchor_space, check_rows, row_failures

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

Forward: TypeAlias = Callable[[Any], Any]
"""A loaded model: collated batch in, ``(n, dim)`` array or tensor out, on any device, of any float type."""


OURS = ("multimodal-embedders",)

LOADING = threading.RLock()
"""One load at a time in a process: seeded weights come from a state that all threads share."""


class BaseEmbedder(ABC):
    """One modality in, vectors of one space out.

    Subclasses follow these rules:

    * ``__init__`` takes options as keyword arguments with plain JSON values and stores them; it loads nothing.
      The options are recorded and rebuild the embedder in another process.
    * weights live in what :meth:`load` returns, never on the instance.
    * row *i* of a batch's vectors depends on input *i* alone.
    """

    kind: ClassVar[str] = "embedder"
    """``embedder``, or ``encoding`` where the vector is a plain account of the input and nothing was learnt."""
    libraries: ClassVar[tuple[str, ...]] = ()
    """Distributions whose version can change a vector; recorded in the fingerprint."""
    batch_cost: ClassVar[int] = 32
    """Padded cost of a batch, samples times the dearest: what keeps a core busy, and bounds memory whatever the
    inputs' lengths. An accelerator gets many times as much (:meth:`~embedders.runtime.Runtime.budget`)."""
    accelerators: ClassVar[tuple[str, ...]] = ()
    """What may run this embedder besides plain torch: ``compile``, ``openvino``, where :meth:`load` makes its
    networks by ``runtime.network``. Any entry also allows half precision to be chosen for it."""
    worth_trying: ClassVar[int] = 256
    """Rows from which looking for a faster runtime pays: a trial takes some seconds, and gains that many."""

    options: Mapping[str, Any]
    """What the instance was made with, defaults filled in."""
    _loaded: dict[Runtime, Forward]

    def __new__(cls, *args: Any, **options: Any) -> Self:
        """Record the options before ``__init__`` sees them, so that no author can forget to."""
        self = super().__new__(cls)
        if args:
            raise UsageError(f"{cls.__name__} takes its options by name")
        signature = inspect.signature(cls.__init__)
        various = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
        known = [
            name for name, given in signature.parameters.items() if name != "self" and given.kind not in various
        ]
        for name, value in options.items():
            if name not in known:
                raise UsageError(f"{cls.__name__} has no option {name!r}", nearest(name, known))
            if isinstance(value, Path):
                options[name] = str(value)
        bound = signature.bind(self, **options)
        bound.apply_defaults()
        recorded = {name: value for name, value in bound.arguments.items() if name in known}
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

    @property
    def identity(self) -> dict[str, Any]:
        """What decides the vectors whatever computes them: parameters, preprocessing, versions of libraries."""
        from embedders.registry import registry  # the registry imports this module

        spec, own = self.spec, registry.distributions(self)
        return {
            "class": f"{type(self).__module__}:{type(self).__qualname__}",
            "space": spec.space,
            "details": dict(spec.details),
            "weights": dict(self.weights_identity),
            "versions": {name: _version(name) for name in dict.fromkeys((*OURS, *own, *self.libraries))},
        }

    @property
    def media_side(self) -> int | None:
        """The shorter side in pixels that :meth:`prepare` brings media to; None where it wants them as they are.

        Where speed is preferred to the last bit, a decoder may then give media reduced to a good deal more.
        """
        return None

    @abstractmethod
    def prepare(self, media: Any) -> Any:
        """Turn one decoded input into a sample, once per input, on the CPU, in any thread.

        Deterministic and without shared state. Raises BadInput for media that the model cannot take.
        """

    def prepare_fast(self, media: Any) -> Any:
        """The same where speed is preferred to the last bit; by default no different."""
        return self.prepare(media)

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
            with LOADING:
                if runtime not in self._loaded:
                    self._loaded[runtime] = self.load(runtime)
        return self._loaded[runtime]

    def at_least(self, decoder: Modality, runtime: Runtime) -> int | None:
        """What its modality's decoder must leave of an input's shorter side; None: everything."""
        return None if runtime.exact else decoder.kept(self.media_side)

    def decoding(self, decoder: Modality, runtime: Runtime) -> dict[str, Any]:
        """How inputs are decoded and prepared for it on this runtime; part of a column's fingerprint."""
        found = dict(decoder.policy_at(self.at_least(decoder, runtime)))
        if not runtime.exact and type(self).prepare_fast is not BaseEmbedder.prepare_fast:
            found["prepared"] = "fast"
        return found

    @property
    def usage(self) -> Mapping[str, int]:
        """What this instance has spent that somebody pays for (``tokens``, ``requests``); a run sums it up."""
        return {}

    def fingerprint(self, runtime: Runtime) -> dict[str, Any]:
        """Everything that decides a vector's value, as plain JSON: what may be mixed within one column."""
        spec, identity = self.spec, self.identity
        engine = {"openvino": _version("openvino")} if runtime.accel == "openvino" else {}
        return {
            "class": identity["class"],
            "options": dict(self.options),
            "space": spec.space,
            "dim": spec.dim,
            "normalized": spec.normalized,
            "details": identity["details"],
            "weights": identity["weights"],
            "runtime": runtime.describe(),
            "versions": {**identity["versions"], **engine},
        }

    def embed(
        self,
        inputs: Iterable[Any],
        *,
        device: str = "auto",
        batch_size: int | None = None,
        precision: str = "fp32",
        accel: str = "none",
        limits: Limits | None = None,
    ) -> Vectors:
        """Embed raw inputs or media: ``(n, dim)`` float32 in input order, ``(0, dim)`` for no inputs.

        Inputs are what the modality decodes: text as ``str``; media as encoded ``bytes``, a ``Path``, or decoded
        already. Everything is computed as the model's own library would, unless another ``precision`` or ``accel``
        is named.
        Raises BadInput at the first input that cannot be embedded; for inputs that may be bad, for more than fit
        into memory, and for speed, use a pipeline, which gives every one of them a row.
        """
        from embedders.registry import modality  # the registry imports this module
        from embedders.runtime import ACCELERATORS, Runtime, known

        if isinstance(inputs, str | bytes | Path):
            raise UsageError("embed takes a list of inputs", f"For one input: embed([{type(inputs).__name__}])")
        if batch_size is not None and batch_size < 1:
            raise UsageError(f"The batch size is {batch_size!r}; it must be 1 or more")
        spec = self.spec  # read once: it may look at files
        decoder = modality(spec.modality)
        bounds = limits or Limits()

        runtime = replace(Runtime.of(device=device, precision=precision), accel=accel)
        known("accel", accel, ACCELERATORS)
        at_least, prepare = self.at_least(decoder, runtime), self.prepare if runtime.exact else self.prepare_fast
        pool: Pool[tuple[int, Any]] = Pool(runtime.budget(self.batch_cost), batch_size)
        rows: dict[int, Vectors] = {}

        def empty_pool() -> None:
            for batch in pool.batches():
                found = self.forward(runtime)(self.collate([sample for _, sample in batch]))
                checked = check_rows(found, len(batch), spec)
                rows.update(zip((position for position, _ in batch), checked, strict=True))

        for position, raw in enumerate(inputs):
            sample = prepare(decoder.decode(raw, bounds, at_least).media)
            if pool.add((position, sample), self.cost(sample)):
                empty_pool()
        empty_pool()
        vectors = np.stack([rows[i] for i in range(len(rows))]) if rows else np.empty((0, spec.dim), np.float32)
        for position, failure in row_failures(vectors, spec).items():
            raise BadInput(failure.status, failure.code, f"input {position}: {failure}")
        return vectors


def _rebuild(cls: type[BaseEmbedder], options: Mapping[str, Any]) -> BaseEmbedder:
    return cls(**options)


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return "unknown"

"""The checks that every embedder must pass, for plugin authors as for the embedders in this package.

A test file of a plugin needs three statements::

    import pytest
    from embedders.conformance import CHECKS
    from birds import SongEmbedder

    @pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
    def test_contract(check):
        check(SongEmbedder(weights="random:0"))

A check raises ContractError, naming what it found and what the contract says. Checks whose names begin with
``vectors`` load the weights.
"""

from __future__ import annotations

import copy
import json
import pickle
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from embedders.base import BaseEmbedder, EmbedderSpec, Vectors
from embedders.errors import BadInput, ContractError, EmbedError
from embedders.registry import registry

__all__ = ["CHECKS", "TOLERANCE"]

TOLERANCE = 1e-5
"""How far a vector may move, relative to its length, with its neighbours, its batch or its place: the noise of
fp32 sums that are added in another order. A missing mask or a batch statistic moves it by a hundred times more."""

HEAVY = ("torch", "transformers", "open_clip", "torchvision", "torchaudio", "PIL", "tensorflow", "jax")


def spec_is_sound(embedder: BaseEmbedder) -> None:
    """The spec is readable without weights, names a registered modality, and holds plain JSON values."""
    spec = embedder.spec
    registry.modality(spec.modality)
    if not isinstance(spec.dim, int) or spec.dim < 1:
        raise ContractError(f"spec.dim is {spec.dim!r}; it must be a positive whole number")
    if not spec.space.strip():
        raise ContractError("spec.space is empty; it says which vectors may be compared")
    for name, values in (("spec.details", spec.details), ("weights_identity", embedder.weights_identity)):
        try:
            json.dumps(dict(values), allow_nan=False)
        except (TypeError, ValueError) as error:
            raise ContractError(f"{name} must hold plain JSON values ({error})") from error
    _require(embedder.spec == spec, "spec differs between two readings")


def options_rebuild_the_embedder(embedder: BaseEmbedder) -> None:
    """Pickled and unpickled, as on the way to a worker, it has the same options and the same spec."""
    twin = pickle.loads(pickle.dumps(embedder))
    _require(dict(twin.options) == dict(embedder.options), "pickling changed the options")
    _require(_same_spec(twin.spec, embedder.spec), "pickling changed the spec")


def importing_is_cheap(embedder: BaseEmbedder) -> None:
    """Importing its module loads no heavy library: a registry with a hundred embedders must still list at once."""
    module = type(embedder).__module__
    code = f"import sys, importlib; importlib.import_module({module!r}); print(*sys.modules)"
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, env=_environment()
    )
    if found.returncode:
        raise ContractError(f"{module!r} cannot be imported alone: {found.stderr.strip().splitlines()[-1]}")
    heavy = sorted(set(HEAVY) & set(found.stdout.split()))
    _require(not heavy, f"importing {module!r} loads {', '.join(heavy)}; import them inside of the methods")


def prepare_is_a_pure_function(embedder: BaseEmbedder) -> None:
    """Twice the same media give equal samples and equal costs, and the media stay as they were."""
    for media in _media(embedder):
        before = copy.deepcopy(media)
        first, second = embedder.prepare(media), embedder.prepare(media)
        _require(_equal(first, second), "prepare gave two different samples for one input")
        _require(_equal(media, before), "prepare changed its input")
        cost = embedder.cost(first)
        if not isinstance(cost, int) or cost < 1:
            raise ContractError(f"cost is {cost!r}; it must be a whole number of at least 1")
        if not all(isinstance(flag, str) for flag in embedder.flags(first)):
            raise ContractError("flags must be a tuple of str")


def damaged_input_is_refused(embedder: BaseEmbedder) -> None:
    """What cannot be decoded raises BadInput with a status, so that it becomes a row."""
    modality = registry.modality(embedder.spec.modality)
    for damaged in (b"", b"\xff\xfe\x00damaged"):
        try:
            embedder.prepare(modality.decode(damaged).media)
        except BadInput:
            continue
        except EmbedError as error:
            raise ContractError(f"{damaged!r} raises {type(error).__name__}, not BadInput: {error}") from error
        raise ContractError(f"{damaged!r} was taken for an input of modality {modality.name!r}")


def vectors_have_the_promised_shape(embedder: BaseEmbedder) -> None:
    """``(n, dim)`` float32, contiguous, finite, of unit length where promised; ``(0, dim)`` for no inputs."""
    spec, vectors = embedder.spec, _embed(embedder)
    _require(vectors.shape[1] == spec.dim, f"vectors have {vectors.shape[1]} dimensions; spec.dim is {spec.dim}")
    _require(vectors.dtype == np.float32 and vectors.flags.c_contiguous, "vectors are not contiguous float32")
    _require(bool(np.isfinite(vectors).all()), "vectors are not finite")
    none = embedder.embed([], device="cpu")
    _require(none.shape == (0, spec.dim), f"no inputs give shape {none.shape}, not {(0, spec.dim)}")
    if spec.normalized:
        off = float(np.abs(np.linalg.norm(vectors, axis=1) - 1).max())
        _require(off < TOLERANCE, f"vectors promised as unit length are off by {off:.1e}")


def vectors_differ_between_inputs(embedder: BaseEmbedder) -> None:
    """Different examples have different vectors: a tower without its weights often gives one for all."""
    vectors = _embed(embedder)
    for i in range(len(vectors)):
        for j in range(i):
            _require(not np.array_equal(vectors[i], vectors[j]), f"examples {j} and {i} have the same vector")


def vectors_are_repeatable(embedder: BaseEmbedder) -> None:
    """Twice the same call gives the same bits: dropout and random crops are off."""
    _require(np.array_equal(_embed(embedder), _embed(embedder)), "two equal calls gave different vectors")


def vectors_keep_the_order(embedder: BaseEmbedder) -> None:
    """Reversed inputs give the reversed vectors, within the tolerance."""
    forward, backward = _embed(embedder), _embed(embedder, list(embedder.examples())[::-1])
    _close(forward, backward[::-1], "in reverse order")


def vectors_ignore_their_neighbours(embedder: BaseEmbedder) -> None:
    """Each example alone, and all in one batch, give the same vectors: padding and batch statistics are out."""
    examples = list(embedder.examples())
    alone = np.concatenate([_embed(embedder, [example]) for example in examples])
    _close(_embed(embedder), alone, "alone")
    _close(_embed(embedder, batch_size=2), alone, "in batches of two")
    _close(_embed(embedder, [*examples, *examples])[len(examples) :], alone, "in a batch twice as large")


def vectors_leave_the_embedder_small(embedder: BaseEmbedder) -> None:
    """After embedding it pickles as before: weights on the instance would travel to every worker."""
    before = len(pickle.dumps(type(embedder)(**embedder.options)))
    _embed(embedder)
    after = len(pickle.dumps(embedder))
    _require(after == before, f"a used embedder pickles to {after} bytes, a fresh one to {before}")


CHECKS: tuple[Callable[[BaseEmbedder], None], ...] = (
    spec_is_sound,
    options_rebuild_the_embedder,
    importing_is_cheap,
    prepare_is_a_pure_function,
    damaged_input_is_refused,
    vectors_have_the_promised_shape,
    vectors_differ_between_inputs,
    vectors_are_repeatable,
    vectors_keep_the_order,
    vectors_ignore_their_neighbours,
    vectors_leave_the_embedder_small,
)
"""All checks, cheapest first."""


def _media(embedder: BaseEmbedder) -> list[Any]:
    modality = registry.modality(embedder.spec.modality)
    examples = list(embedder.examples())
    _require(len(examples) >= 3, f"examples() gives {len(examples)} inputs; the checks need at least 3")
    return [modality.decode(example).media for example in examples]


def _embed(embedder: BaseEmbedder, inputs: Sequence[Any] | None = None, batch_size: int | None = None) -> Vectors:
    inputs = list(embedder.examples()) if inputs is None else inputs
    try:
        return embedder.embed(inputs, device="cpu", precision="fp32", batch_size=batch_size)
    except BadInput as error:
        raise ContractError(f"an example cannot be embedded: {error.status}: {error}") from error


def _close(found: Vectors, expected: Vectors, where: str) -> None:
    lengths = np.maximum(np.linalg.norm(expected, axis=1), np.finfo(np.float32).tiny)
    moved = np.linalg.norm(found - expected, axis=1) / lengths
    worst = int(moved.argmax())
    _require(
        bool(moved[worst] <= TOLERANCE),
        f"example {worst} moves by {moved[worst]:.1e} of its length when embedded {where}; allowed {TOLERANCE:.0e}",
    )


def _require(holds: bool, message: str) -> None:
    if not holds:
        raise ContractError(message)


def _same_spec(first: EmbedderSpec, second: EmbedderSpec) -> bool:
    return _equal(first.__dict__, second.__dict__)


def _equal(first: Any, second: Any) -> bool:
    """Equality that looks into containers, arrays, tensors and plain objects."""
    if type(first) is not type(second):
        return False
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(_equal(first[key], second[key]) for key in first)
    if isinstance(first, list | tuple):
        return len(first) == len(second) and all(map(_equal, first, second))
    if hasattr(first, "shape"):
        return bool(first.shape == second.shape and (first == second).all())
    if hasattr(first, "__dict__"):
        return _equal(vars(first), vars(second))
    return bool(first == second)


def _environment() -> dict[str, str]:
    import os

    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}

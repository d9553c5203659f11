"""What can be checked before there are weights: facts, names, options, decoding, preparing."""

from __future__ import annotations

import copy
import json
import pickle
import re
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from embedders.base import BaseEmbedder
from embedders.conformance.elsewhere import cost_of_making
from embedders.conformance.equality import equal
from embedders.conformance.trial import decoded, require
from embedders.errors import BadInput, ContractError, EmbedError
from embedders.registry import registry

__all__ = [
    "damaged_input_is_refused",
    "importing_is_cheap",
    "modality_is_sound",
    "names_are_its_own",
    "options_rebuild_the_embedder",
    "prepare_holds_in_threads",
    "prepare_is_a_pure_function",
    "spec_is_sound",
]

SUFFIX = re.compile(r"\.[a-z0-9][a-z0-9._+-]*")

THREADS = 8
ROUNDS = 4
"""How often every thread takes each example: with threads changed at every step, one round finds most races."""


def spec_is_sound(embedder: BaseEmbedder) -> str:
    """The spec is readable without weights, names a registered modality, and holds plain JSON values."""
    spec = embedder.spec
    registry.modality(spec.modality)
    if not isinstance(spec.dim, int) or spec.dim < 1:
        raise ContractError(f"spec.dim is {spec.dim!r}; it must be a positive whole number")
    if not spec.space.strip():
        raise ContractError("spec.space is empty; it says which vectors may be compared")
    for name, values in (("spec.details", spec.details), ("weights_identity", embedder.weights_identity)):
        _require_plain(name, dict(values))
    require(equal(embedder.spec, spec), "spec differs between two readings")
    return f"{spec.modality}, {spec.dim} dimensions"


def names_are_its_own(embedder: BaseEmbedder) -> str:
    """Names that lead to its class begin with its modality, say its kind, and belong to one package.

    A class that is registered for several modalities may turn out to be of another.
    """
    target = f"{type(embedder).__module__}:{type(embedder).__qualname__}"
    mine = [entry for entry in registry.entries().values() if entry.target == target]
    for entry in mine:
        require(not entry.problem, entry.problem)
        if entry.kind != embedder.kind:
            raise ContractError(
                f"{entry.name!r} is registered as an {entry.kind}, and its class says kind = {embedder.kind!r}",
                "Encodings are registered in the group multimodal_embedders.encodings, and no others",
            )
    modality = embedder.spec.modality
    names = [entry.name for entry in mine if entry.name.partition(".")[0] == modality]
    if len(mine) == 1 and not names:
        raise ContractError(f"it is registered as {mine[0].name!r}, and embeds inputs of modality {modality!r}")
    return ", ".join(names) or "not registered"


def options_rebuild_the_embedder(embedder: BaseEmbedder) -> str:
    """Pickled and unpickled, as on the way to a worker, it has the same options and the same spec."""
    try:
        packed = pickle.dumps(embedder)
        twin = pickle.loads(packed)
    except EmbedError:
        raise
    except Exception as error:
        raise ContractError(f"it cannot be pickled: {type(error).__name__}: {error}") from error
    require(equal(dict(twin.options), dict(embedder.options)), "pickling changed the options")
    require(equal(twin.spec, embedder.spec), "pickling changed the spec")
    return f"{len(packed)} bytes"


def importing_is_cheap(embedder: BaseEmbedder) -> str:
    """Importing its module, its modality's and making it loads no heavy library.

    A registry with a hundred embedders must still list at once.
    """
    seconds, heavy = cost_of_making(embedder)
    module = type(embedder).__module__
    require(not heavy, f"importing {module!r} loads {', '.join(sorted(heavy))}; import them inside of the methods")
    return f"{seconds:.2f} s"


def modality_is_sound(embedder: BaseEmbedder) -> str:
    """Its modality has proper suffixes, names a policy in JSON, and decodes an input twice to the same media."""
    modality = registry.modality(embedder.spec.modality)
    for suffix in modality.suffixes:
        require(
            bool(SUFFIX.fullmatch(suffix)),
            f"{modality.name!r} claims the suffix {suffix!r}; it must be lower-case and begin with a dot",
        )
    _require_plain(f"the policy of modality {modality.name!r}", dict(modality.policy))
    for example in embedder.examples():
        first, second = modality.decode(example), modality.decode(example)
        require(equal(first, second), f"modality {modality.name!r} decodes one input to two different media")
    named = ", ".join(sorted(modality.suffixes))
    return named if len(modality.suffixes) in range(1, 4) else f"{len(modality.suffixes)} suffixes"


def damaged_input_is_refused(embedder: BaseEmbedder) -> str:
    """What cannot be decoded raises BadInput with a status, so that it becomes a row."""
    modality = registry.modality(embedder.spec.modality)
    statuses = []
    for damaged in (b"", b"\xff\xfe\x00damaged"):
        try:
            embedder.prepare(modality.decode(damaged).media)
        except BadInput as refused:
            statuses.append(str(refused.status))
            continue
        except Exception as error:
            raise ContractError(f"{damaged!r} raises {type(error).__name__}, not BadInput: {error}") from error
        raise ContractError(f"{damaged!r} was taken for an input of modality {modality.name!r}")
    return ", ".join(statuses)


def prepare_is_a_pure_function(embedder: BaseEmbedder) -> str:
    """Twice the same media give equal samples and equal costs, and the media stay as they were."""
    costs = []
    for media in decoded(embedder):
        before = copy.deepcopy(media)
        first, second = embedder.prepare(media), embedder.prepare(media)
        kept = equal(media, before)
        if not equal(first, second):
            why = "" if kept else ": it changes its input"
            raise ContractError(f"prepare gave two different samples for one input{why}")
        require(kept, "prepare changes its input")
        cost = embedder.cost(first)
        if not isinstance(cost, int) or cost < 1:
            raise ContractError(f"cost is {cost!r}; it must be a whole number of at least 1")
        if not all(isinstance(flag, str) for flag in embedder.flags(first)):
            raise ContractError("flags must be a tuple of str")
        costs.append(cost)
    return f"{len(costs)} examples, cost {min(costs)} to {max(costs)}"


def prepare_holds_in_threads(embedder: BaseEmbedder) -> str:
    """Decoded and prepared in eight threads at once, every input gives the sample that it gives alone."""
    modality = registry.modality(embedder.spec.modality)
    examples = list(embedder.examples())
    alone = [embedder.prepare(media) for media in decoded(embedder)]

    def prepared(position: int) -> Any:
        return embedder.prepare(modality.decode(examples[position]).media)

    turns = list(range(len(examples))) * THREADS * ROUNDS
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(THREADS) as pool:
            found = list(pool.map(prepared, turns))
    finally:
        sys.setswitchinterval(interval)
    wrong = sum(not equal(sample, alone[turn]) for sample, turn in zip(found, turns, strict=True))
    require(not wrong, f"{wrong} of {len(turns)} samples made in {THREADS} threads differ from those made alone")
    return f"{len(turns)} samples in {THREADS} threads"


def _require_plain(name: str, values: Any) -> None:
    try:
        json.dumps(values, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ContractError(f"{name} must hold plain JSON values ({error})") from error

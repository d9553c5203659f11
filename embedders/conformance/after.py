"""What is checked with weights: the vectors, and what making them leaves behind."""

from __future__ import annotations

import pickle
import random

import numpy as np

from embedders.base import BaseEmbedder, Vectors
from embedders.conformance.elsewhere import vectors_elsewhere
from embedders.conformance.equality import array_bytes
from embedders.conformance.surroundings import DRAWN
from embedders.conformance.trial import TOLERANCE, decoded, embedded, farthest, observed, require

__all__ = [
    "AGREEMENT",
    "vectors_agree_in_half_precision",
    "vectors_are_repeatable",
    "vectors_are_the_same_in_another_process",
    "vectors_differ_between_inputs",
    "vectors_have_the_promised_shape",
    "vectors_ignore_their_neighbours",
    "vectors_keep_the_order",
    "vectors_leave_no_traces",
    "vectors_leave_the_embedder_small",
]

AGREEMENT = 0.999
"""Smallest cosine of a vector in half precision to that in full; what a run asks for before it chooses half."""


def vectors_leave_no_traces(embedder: BaseEmbedder) -> str:
    """Loading and embedding print nothing and change nothing that belongs to the whole process.

    What libraries change when they are first imported is put back and forgiven.
    """
    importing = observed(_fresh(embedder))[1]
    fresh = _fresh(embedder)
    loading, working = observed(fresh)[1], observed(fresh)[1]
    first = ((importing.printed + loading.printed + working.printed).strip().splitlines() or [""])[0]
    require(not first, f"it prints while it embeds: {first[:100]!r}")
    # a network that is built draws its first weights, before those of its file replace them
    changed = {words: None for words in loading.changed if words != DRAWN} | dict.fromkeys(working.changed)
    require(not changed, f"it changes {', '.join(changed)}")
    return "silent"


def vectors_have_the_promised_shape(embedder: BaseEmbedder) -> str:
    """``(n, dim)`` float32, contiguous, finite, of unit length where promised; ``(0, dim)`` for no inputs.

    What the forward returns carries no gradients, which would keep every batch in memory.
    """
    spec, vectors = embedder.spec, embedded(embedder)
    require(vectors.shape[1] == spec.dim, f"vectors have {vectors.shape[1]} dimensions; spec.dim is {spec.dim}")
    require(vectors.dtype == np.float32 and vectors.flags.c_contiguous, "vectors are not contiguous float32")
    require(bool(np.isfinite(vectors).all()), "vectors are not finite")
    none = embedded(embedder, [])
    require(none.shape == (0, spec.dim), f"no inputs give shape {none.shape}, not {(0, spec.dim)}")
    forward = next(iter(embedder._loaded.values()), None)
    if forward is not None:
        found = forward(embedder.collate([embedder.prepare(decoded(embedder)[0])]))
        require(not getattr(found, "requires_grad", False), "its vectors carry gradients; use runtime.inference()")
    if not spec.normalized:
        return f"{vectors.shape}"
    off = float(np.abs(np.linalg.norm(vectors, axis=1) - 1).max())
    require(off < TOLERANCE, f"vectors promised as unit length are off by {off:.1e}")
    return f"{vectors.shape}, length 1 within {off:.0e}"


def vectors_differ_between_inputs(embedder: BaseEmbedder) -> str:
    """Different examples have different vectors: a tower without its weights often gives one for all."""
    vectors = embedded(embedder).astype(np.float64)
    nearest = np.inf
    for i in range(len(vectors)):
        for j in range(i):
            longest = max(np.linalg.norm(vectors[i]), np.linalg.norm(vectors[j]), np.finfo(np.float32).tiny)
            apart = float(np.linalg.norm(vectors[i] - vectors[j]) / longest)
            require(apart > TOLERANCE, f"examples {j} and {i} have the same vector")
            nearest = min(nearest, apart)
    return f"nearest two {nearest:.1e} apart"


def vectors_are_repeatable(embedder: BaseEmbedder) -> str:
    """The same call gives the same bits, whatever was embedded in between: no dropout, random crops or memory."""
    first = embedded(embedder)
    embedded(embedder, list(embedder.examples())[:0:-1])
    require(np.array_equal(first, embedded(embedder)), "two equal calls gave different vectors")
    return "equal bits"


def vectors_are_the_same_in_another_process(embedder: BaseEmbedder) -> str:
    """Made anew from its options elsewhere, it gives the same vectors: a resumed run continues its column."""
    here, there = embedded(embedder), vectors_elsewhere(embedder)
    require(here.shape == there.shape, f"another process makes vectors of shape {there.shape}, not {here.shape}")
    if np.array_equal(here, there):
        return "equal bits"
    return _moved(farthest(there, here, "in another process"))


def vectors_keep_the_order(embedder: BaseEmbedder) -> str:
    """Reversed and shuffled inputs give the reversed and shuffled vectors, within the tolerance."""
    examples, vectors = list(embedder.examples()), embedded(embedder)
    backward = farthest(embedded(embedder, examples[::-1])[::-1], vectors, "in reverse order")
    order = list(range(len(examples))) * 2
    random.Random(0).shuffle(order)
    shuffled = embedded(embedder, [examples[i] for i in order])
    return _moved(max(backward, farthest(shuffled, vectors[order], "in another order")))


def vectors_ignore_their_neighbours(embedder: BaseEmbedder) -> str:
    """Each example alone, and all in one batch, give the same vectors: padding and batch statistics are out."""
    examples = list(embedder.examples())
    alone = np.concatenate([embedded(embedder, [example]) for example in examples])
    twice = embedded(embedder, [*examples, *examples])
    return _moved(
        farthest(embedded(embedder), alone, "alone"),
        farthest(embedded(embedder, batch_size=2), alone, "alone and in batches of two"),
        farthest(twice[: len(examples)], alone, "alone and in a batch twice as large"),
        farthest(twice[len(examples) :], alone, "alone and twice, far apart"),
    )


def vectors_agree_in_half_precision(embedder: BaseEmbedder) -> str:
    """Where half precision may be chosen for it, bfloat16 points where fp32 does."""
    if not embedder.accelerators:
        return "not offered"
    full, half = embedded(embedder), embedded(embedder, precision="bf16")
    cosines = _cosines(full, half)
    worst = int(cosines.argmin())
    require(
        bool(cosines[worst] >= AGREEMENT),
        f"example {worst} in half precision has cosine {cosines[worst]:.4f} to full; at least {AGREEMENT} is asked",
    )
    return f"smallest cosine {cosines[worst]:.5f}"


def vectors_leave_the_embedder_small(embedder: BaseEmbedder) -> str:
    """After embedding it pickles as before and holds no more arrays: weights live in what ``load`` returns."""
    fresh = _fresh(embedder)
    before = len(pickle.dumps(fresh))
    for media in decoded(fresh):
        fresh.prepare(media)  # tables that prepare keeps are no weights
    leave = frozenset({"_loaded", "options"})
    arrays = array_bytes(fresh, leave)
    embedded(fresh)
    after = len(pickle.dumps(fresh))
    require(after == before, f"a used embedder pickles to {after} bytes, a fresh one to {before}")
    kept = array_bytes(fresh, leave) - arrays
    require(kept <= 0, f"embedding leaves {kept} bytes of arrays on the embedder; load returns what holds weights")
    return f"{after} bytes"


def _fresh(embedder: BaseEmbedder) -> BaseEmbedder:
    return type(embedder)(**embedder.options)


def _moved(*distances: float) -> str:
    return f"worst {max(distances):.0e} of {TOLERANCE:.0e}"


def _cosines(first: Vectors, second: Vectors) -> Vectors:
    a, b = first.astype(np.float64), second.astype(np.float64)
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return np.asarray((a * b).sum(axis=1) / np.maximum(lengths, np.finfo(np.float64).tiny), dtype=np.float32)

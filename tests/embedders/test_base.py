from __future__ import annotations

import copy
import gc
import pickle
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from embedders import BadInput, BaseEmbedder, ContractError, EmbedderSpec, Limits, Runtime, Status, UsageError
from embedders.base import Forward, check_rows, row_failures
from tests.toy import Letters, Unit

SPEC = EmbedderSpec("toy", "toy:made", 3, False)
UNIT = EmbedderSpec("toy", "toy:made", 3, True)
WORDS = ["bell", "a", "wonderful", "eau", "zz"]
VECTORS = [[4, 1, 2], [1, 1, 1], [9, 3, 23], [3, 3, 5], [2, 0, 26]]


def test_vectors_come_in_input_order_whatever_the_batches() -> None:
    for batch_size in (None, 1, 2, 3, 100):
        embedder = Letters()
        found = embedder.embed(WORDS, device="cpu", batch_size=batch_size)
        assert found.tolist() == VECTORS
        assert (found.dtype.name, found.flags.c_contiguous) == ("float32", True)
        assert max(len(batch) for batch in embedder.batches) <= (batch_size or 24)


@given(st.lists(st.text("abcdefgh", min_size=1, max_size=30), max_size=80), st.integers(1, 9))
def test_batching_never_moves_a_row(words: list[str], batch_size: int) -> None:
    found = Letters().embed(words, device="cpu", batch_size=batch_size)
    assert found[:, 0].tolist() == [len(word) for word in words]
    assert found[:, 2].tolist() == [ord(word[0]) - ord("a") + 1 for word in words]


def test_a_batch_stays_within_its_cost() -> None:
    embedder = Letters()
    embedder.embed(["a" * (1 + n % 12) for n in range(500)], device="cpu")
    assert all(len(batch) * max(map(len, batch)) <= Letters.batch_cost for batch in embedder.batches)
    assert len(embedder.batches) < 250


def test_inputs_are_read_as_they_are_embedded() -> None:
    read = []

    def words() -> Iterator[str]:
        for n in range(1000):
            read.append(n)
            yield "!prepare" if n == 900 else "bell"

    embedder = Letters()
    with pytest.raises(ValueError, match="cannot be prepared"):
        embedder.embed(words(), device="cpu", batch_size=2)
    assert len(read) == 901
    assert sum(map(len, embedder.batches)) > 850


def test_nothing_gives_no_rows() -> None:
    found = Letters().embed([], device="cpu")
    assert (found.shape, found.dtype.name) == ((0, 3), "float32")


def test_raw_inputs_are_decoded_by_the_modality(tmp_path: Path) -> None:
    (tmp_path / "a.toy").write_bytes(b"Bell")
    assert Letters().embed([tmp_path / "a.toy", b"Bell", "Bell"], device="cpu").tolist() == [[4, 1, 2]] * 3


@pytest.mark.parametrize("inputs", ["bell", b"bell", Path("bell")])
def test_one_input_instead_of_a_list_is_refused(inputs: Any) -> None:
    with pytest.raises(UsageError, match="takes a list of inputs"):
        Letters().embed(inputs)


@pytest.mark.parametrize("batch_size", [0, -1])
def test_a_batch_has_at_least_one_row(batch_size: int) -> None:
    with pytest.raises(UsageError, match=f"batch size is {batch_size}"):
        Letters().embed(WORDS, device="cpu", batch_size=batch_size)


@pytest.mark.parametrize(
    ("word", "status", "code"),
    [
        (" ", Status.EMPTY, "TOY_EMPTY"),
        (3, Status.INVALID, "TOY_TYPE"),
        ("!bad", Status.INVALID, "TOY_BAD"),
        ("!nan", Status.NONFINITE, "NONFINITE"),
        ("abcdefghijkl", Status.LIMIT, "TOY_CHARACTERS"),
    ],
)
def test_the_first_bad_input_is_raised(word: Any, status: Status, code: str) -> None:
    with pytest.raises(BadInput) as caught:
        Letters().embed(["bell", word], device="cpu", limits=Limits(characters=10))
    assert (caught.value.status, caught.value.code) == (status, code)


def test_a_bad_vector_is_raised_with_its_place() -> None:
    with pytest.raises(BadInput, match="input 2: the vector has NaN"):
        Letters().embed(["bell", "a", "!nan", "eau"], device="cpu")


def test_options_are_recorded_with_their_defaults() -> None:
    assert Letters().options == {"scale": 1.0, "weights": "none"}
    assert Letters(scale=2).options == {"scale": 2, "weights": "none"}
    assert Letters(weights=Path("a/b")).options["weights"] == "a/b"  # type: ignore[arg-type]
    assert repr(Letters(scale=2)) == "Letters(scale=2, weights='none')"


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"scal": 2}, r"Letters has no option 'scal'. Did you mean 'scale'\?"),
        ({"scale": float("nan")}, "plain JSON values"),
        ({"scale": object()}, "plain JSON values"),
    ],
)
def test_options_that_cannot_be_recorded_are_refused(options: dict[str, Any], complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        Letters(**options)


def test_options_are_given_by_name() -> None:
    with pytest.raises(UsageError, match="takes its options by name"):
        Letters(2)  # type: ignore[call-arg]


def test_an_embedder_travels_by_its_options_even_when_loaded() -> None:
    embedder = Letters(scale=2.0)
    embedder.embed(WORDS, device="cpu")
    for other in (pickle.loads(pickle.dumps(embedder)), copy.deepcopy(embedder)):
        assert (type(other), other.options, other.batches) == (Letters, embedder.options, [])
        assert other.embed(["bell"], device="cpu").tolist() == [[8, 2, 4]]


class Counting(Letters):
    """Counts how often it is loaded; its forward refers to it, as an author's well may."""

    loads = 0

    def load(self, runtime: Runtime) -> Forward:
        type(self).loads += 1
        return super().load(runtime)


def test_an_embedder_is_loaded_once_per_runtime() -> None:
    embedder, before = Counting(), Counting.loads
    for runtime in (Runtime(), Runtime(), Runtime("cpu", "bf16"), Runtime()):
        embedder.forward(runtime)
    assert Counting.loads == before + 2


def test_what_was_loaded_is_freed_with_the_embedder() -> None:
    embedder = Counting()
    loaded = weakref.ref(embedder.forward(Runtime()))
    assert loaded() is not None
    del embedder
    gc.collect()
    assert loaded() is None


def test_a_class_without_its_hooks_cannot_be_made() -> None:
    class Half(BaseEmbedder):
        """Lacks everything but a spec."""

        @property
        def spec(self) -> EmbedderSpec:
            return SPEC

    with pytest.raises(TypeError, match=r"abstract methods? .*collate"):
        Half()  # type: ignore[abstract]


def test_the_fingerprint_holds_what_decides_a_vector() -> None:
    found = Letters(scale=2.0, weights="random:5").fingerprint(Runtime("cuda:1", "bf16"))
    assert found.pop("versions").keys() == {"multimodal-embedders"}
    assert found == {
        "class": "tests.toy:Letters",
        "options": {"scale": 2.0, "weights": "random:5"},
        "space": "toy:2.0",
        "dim": 3,
        "normalized": False,
        "details": {"vowels": "aeiou"},
        "weights": {"seed": 5},
        "runtime": {"device": "cuda", "precision": "bf16", "accel": "none"},
    }


@pytest.mark.parametrize(
    "found",
    [
        [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]],
        np.array([[1, 2, 3], [4, 5, 6]], np.int64),
        np.array([[1, 2, 3], [4, 5, 6]], np.float16),
        np.asfortranarray([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]),
        torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], dtype=torch.bfloat16, requires_grad=True),
    ],
)
def test_rows_of_any_number_type_become_float32(found: Any) -> None:
    rows = check_rows(found, 2, SPEC)
    assert rows.tolist() == [[1, 2, 3], [4, 5, 6]]
    assert (rows.dtype.name, rows.flags.c_contiguous) == ("float32", True)


@pytest.mark.parametrize(
    ("found", "complaint"),
    [
        (np.zeros((3, 3)), r"returned shape \(3, 3\) for a batch of 2; its spec promises \(2, 3\)"),
        (np.zeros((2, 4)), r"shape \(2, 4\)"),
        (np.zeros((1, 3)), r"shape \(1, 3\)"),
        (np.zeros(6), r"shape \(6,\)"),
        (np.zeros((2, 3, 1)), r"shape \(2, 3, 1\)"),
        (np.zeros((2, 3), complex), "complex128, not numbers"),
        (np.full((2, 3), "a"), "not numbers"),
        (None, r"shape \(\)"),
    ],
)
def test_rows_that_break_the_contract_are_refused(found: Any, complaint: str) -> None:
    with pytest.raises(ContractError, match=complaint):
        check_rows(found, 2, SPEC)


def test_a_length_that_was_promised_is_checked() -> None:
    assert check_rows([[0.6, 0.8, 0.0], [0.0, 1.0005, 0.0]], 2, UNIT).shape == (2, 3)
    with pytest.raises(ContractError, match=r"promises unit length and returned length 1\.01"):
        check_rows([[0.6, 0.8, 0.0], [0.0, 1.01, 0.0]], 2, UNIT)
    with pytest.raises(ContractError, match=r"returned length 0\.5"):
        check_rows([[np.nan, 0.0, 0.0], [0.0, 0.5, 0.0]], 2, UNIT)


def test_what_does_not_fit_float32_is_a_failed_row() -> None:
    rows = check_rows(np.array([[1e300, 0, 0], [1, 0, 0]]), 2, SPEC)
    assert list(row_failures(rows, SPEC)) == [0]


def test_failed_rows_are_named_by_place_and_kind() -> None:
    rows = np.array([[1, 0, 0], [np.nan, 0, 0], [0, 0, 0], [0, np.inf, 0]], np.float32)
    assert {n: f.code for n, f in row_failures(rows, UNIT).items()} == {
        1: "NONFINITE",
        2: "ZERO_NORM",
        3: "NONFINITE",
    }
    assert sorted(row_failures(rows, SPEC)) == [1, 3]


def test_a_unit_embedder_keeps_its_promise() -> None:
    assert np.allclose(np.linalg.norm(Unit().embed(WORDS, device="cpu"), axis=1), 1)

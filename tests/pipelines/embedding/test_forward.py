"""What a batch may do to a run: memory, numbers that are none, and embedders that break their contract."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embedders import BadInput, ContractError, EmbedderSpec, Runtime, Status
from embedders.base import Forward
from pipelines.embedding import Column, forward
from pipelines.embedding.failing import DeviceLost, is_out_of_memory
from pipelines.embedding.forward import ColumnForward
from tests.toy import Letters, Unit


class OutOfMemoryError(RuntimeError):
    """Stands for torch's, which is known by its name."""


class Batch(list[str]):
    """A collated batch that can be watched."""


class Device(Letters):
    """A device that takes ``fits`` words at once, and half precision that cannot hold words with an x."""

    fits = 10**9
    error: BaseException = OutOfMemoryError("no more")

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[int] = []
        self.given: list[weakref.ref[Batch]] = []
        self.left: list[int] = []

    def collate(self, samples: Sequence[str]) -> Batch:
        self.left.append(sum(ref() is not None for ref in self.given))
        batch = Batch(samples)
        self.given.append(weakref.ref(batch))
        return batch

    def load(self, runtime: Runtime) -> Forward:
        def embed(batch: Batch) -> Any:
            self.sizes.append(len(batch))
            if len(batch) > self.fits:
                raise type(self.error)(*self.error.args)
            vectors = np.array([self._vector(word) for word in batch])
            if runtime.precision != "fp32":
                vectors[["x" in word for word in batch]] = np.inf
            return vectors

        return embed


WORDS = ["bell", "drum", "siren", "wave", "engine", "ball", "star", "bird"]


def made(cls: type[Letters] = Device, precision: str = "fp32") -> tuple[Any, ColumnForward]:
    embedder = cls()
    return embedder, ColumnForward(Column("w", "word", "toy.device", embedder, Runtime("cpu", precision)))


def told(rows: Sequence[Any]) -> list[str]:
    return [str(r.found.status) + "/" + r.found.code if isinstance(r.found, BadInput) else "ok" for r in rows]


@pytest.mark.parametrize(
    ("fits", "sizes"),
    [(8, [8]), (7, [8, 4, 4]), (3, [8, 4, 2, 2, 2, 2]), (1, [8, 4, 2, 1, 1, 1, 1, 1, 1, 1, 1])],
    ids=["fits", "RES-01 k=7", "RES-01 k=3", "RES-01 k=1"],
)
def test_res_01_a_batch_that_does_not_fit_is_halved_in_order(fits: int, sizes: list[int]) -> None:
    device, embed = made()
    device.fits = fits
    rows = embed(WORDS, 6)
    np.testing.assert_array_equal([row.found for row in rows], [device._vector(word) for word in WORDS])
    assert device.sizes == sizes


def test_res_01_an_input_that_does_not_fit_alone_is_a_row() -> None:
    device, embed = made()
    device.fits = 0
    assert told(embed(WORDS, 6)) == ["limit/OOM"] * 8


@settings(max_examples=25, deadline=None)
@given(st.lists(st.sampled_from(WORDS), min_size=1, max_size=20), st.integers(1, 8), st.integers(1, 30))
def test_rows_are_in_order_whatever_fits(words: list[str], fits: int, dearest: int) -> None:
    device, embed = made()
    device.fits = fits
    for _ in range(2):
        rows = embed(words, dearest)
        np.testing.assert_array_equal([row.found for row in rows], [device._vector(word) for word in words])


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError("CUDA out of memory. Tried to allocate 20.00 MiB (GPU 0; 10.76 GiB total capacity)"),
        RuntimeError("CUDA error: out of memory"),
        RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("MPS backend out of memory (MPS allocated: 18.10 GB, other allocations: 64.00 KB)"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory"),
    ],
    ids=lambda error: f"RES-02 {type(error).__name__} {str(error)[:24]}",
)
def test_res_02_out_of_memory_is_recognised(error: BaseException) -> None:
    device, embed = made()
    device.fits, device.error = 4, error
    assert told(embed(WORDS, 6)) == ["ok"] * 8
    assert device.sizes == [8, 4, 4]


@pytest.mark.parametrize(
    "error", [ValueError("out of memory"), RuntimeError("mat1 and mat2 shapes"), KeyError("x")]
)
def test_other_errors_are_not_taken_for_it(error: BaseException) -> None:
    assert not is_out_of_memory(error)


def test_res_03_what_fits_is_remembered_and_the_full_size_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forward, "TRY_AGAIN_AFTER", 3)
    device, embed = made()
    device.fits = 4
    embed(WORDS, 6)
    device.fits = 8
    device.sizes.clear()
    for _ in range(5):
        embed(WORDS, 6)
    assert device.sizes == [4, 4] * 3 + [8, 8]
    assert embed.notes == ["w: 8 inputs at once did not fit into memory"]


def test_what_fits_is_remembered_as_cost_and_not_as_a_count() -> None:
    device, embed = made()
    device.fits = 1
    embed(WORDS[:2], 40)  # two dear ones do not fit
    device.fits, device.sizes = 8, []
    embed(WORDS, 5)  # eight cheap ones cost as much as one dear one
    assert device.sizes == [8]


def test_res_04_what_failed_is_freed_before_anything_is_tried_again() -> None:
    device, embed = made()
    device.fits = 1
    embed(WORDS, 6)
    assert device.left == [0] * len(device.sizes)


def test_num_01_a_row_beyond_half_precision_is_computed_again_in_full() -> None:
    device, embed = made(precision="bf16")
    rows = embed(["bell", "xylophone", "drum"], 9)
    assert told(rows) == ["ok"] * 3
    assert [row.flags for row in rows] == [(), ("recomputed_fp32",), ()]
    np.testing.assert_array_equal(rows[1].found, device._vector("xylophone"))
    assert device.sizes == [3, 1]


def test_num_01_a_row_that_is_no_number_either_way_says_so() -> None:
    _, embed = made(precision="fp16")
    rows = embed(["bell", "!nan"], 9)
    assert told(rows) == ["ok", "nonfinite/NONFINITE"]
    assert str(rows[1].found) == "the vector has NaN or infinite values, in fp16 and in fp32"


def test_num_01_in_full_precision_nothing_is_computed_again() -> None:
    device, embed = made()
    assert told(embed(["bell", "!nan"], 9)) == ["ok", "nonfinite/NONFINITE"]
    assert device.sizes == [2]


def test_num_03_a_vector_without_direction_is_a_row() -> None:
    class Zero(Unit):
        def _vector(self, word: str) -> list[float]:
            return [0.0] * 3 if word == "zero" else super()._vector(word)

    assert told(made(Zero)[1](["bell", "zero"], 4)) == ["ok", "nonfinite/ZERO_NORM"]


def returning(change: Callable[[Any], Any], normalized: bool = False) -> ColumnForward:
    class Changed(Unit):
        @property
        def spec(self) -> EmbedderSpec:
            return EmbedderSpec("toy", "toy:changed", 3, normalized)

        def load(self, runtime: Runtime) -> Forward:
            loaded = super().load(runtime)
            return lambda words: change(loaded(words))

    return made(Changed)[1]


class Tensor:
    """As much of a tensor on another device, with gradients, as is asked for."""

    def __init__(self, values: Any, on: str = "detach float cpu numpy") -> None:
        self.values, self.on = values, on.split()

    def __getattr__(self, name: str) -> Callable[[], Any]:
        if name.startswith("_") or name != self.on[0]:
            raise AttributeError(name)
        rest = " ".join(self.on[1:])
        return lambda: Tensor(self.values, rest) if rest else self.values


@pytest.mark.parametrize(
    "change",
    [
        lambda v: v[:-1],
        lambda v: np.concatenate([v, v[:1]]),
        lambda v: v[:0],
        lambda v: v[:, :2],
        lambda v: v.reshape(-1),
        lambda v: v[None],
        lambda v: v.astype(object),
        lambda v: v.astype(complex),
        lambda v: None,
        lambda v: v * 2,
    ],
    ids=[
        "NUM-05 n-1",
        "NUM-05 n+1",
        "NUM-05 none",
        "NUM-06 dim",
        "NUM-06 flat",
        "NUM-06 deep",
        "NUM-07 objects",
        "NUM-07 complex",
        "NUM-07 nothing",
        "not of unit length",
    ],
)
def test_a_broken_contract_is_no_fault_of_the_input(change: Callable[[Any], Any]) -> None:
    with pytest.raises(ContractError, match="toy:changed"):
        returning(change, normalized=True)(["bell", "drum"], 4)


@pytest.mark.parametrize(
    "change",
    [
        lambda v: v.astype(np.float16),
        lambda v: v.astype(np.float64),
        lambda v: np.asfortranarray(v),
        lambda v: np.repeat(v, 2, axis=1)[:, ::2],
        lambda v: v.tolist(),
        Tensor,
    ],
    ids=["half", "double", "fortran", "strided", "lists", "tensor"],
)
def test_num_07_what_can_be_converted_is(change: Callable[[Any], Any]) -> None:
    rows = returning(change)(["bell", "drum"], 4)
    expected = [Unit()._vector(word) for word in ("bell", "drum")]
    np.testing.assert_allclose([row.found for row in rows], expected, atol=1e-3)
    assert all(row.found.dtype == np.float32 for row in rows)


def test_num_12_a_batch_is_bisected_to_the_one_that_raises() -> None:
    letters, embed = made(Letters)
    assert told(embed([*WORDS[:5], "!forward", *WORDS[5:]], 6)) == ["ok"] * 5 + ["model_error/FORWARD"] + ["ok"] * 3
    assert len(letters.batches) <= 2 * 4 + 1


def test_a_bad_input_that_only_the_forward_can_see_is_its_row() -> None:
    class Picky(Letters):
        def collate(self, samples: Sequence[str]) -> list[str]:
            if "!" in samples:
                raise BadInput(Status.INVALID, "TOY_PICKY", "no exclamations")
            return list(samples)

    assert told(made(Picky)[1](["bell", "!", "drum"], 4)) == ["ok", "invalid/TOY_PICKY", "ok"]


@pytest.mark.parametrize(
    "error", ["CUDA error: device-side assert triggered", "HIP error: invalid device function"]
)
def test_num_20_a_lost_device_is_no_fault_of_the_input(error: str) -> None:
    device, embed = made()
    device.fits, device.error = 0, RuntimeError(error)
    with pytest.raises(DeviceLost, match=r"The device 'cpu' failed in toy\.device: RuntimeError: ") as caught:
        embed(WORDS, 6)
    assert caught.value.exit_code == 7


def test_an_interrupt_of_the_user_goes_through() -> None:
    device, embed = made()
    device.fits, device.error = 0, KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        embed(WORDS, 6)

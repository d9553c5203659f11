"""Numbers (NUM): embedders that return or raise what they must not; what the row, the run and the kit say."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from embedders import BaseEmbedder, ContractError, Runtime
from embedders.base import Forward
from embedders.conformance import CHECKS
from embedders.modality import Pixels
from pipelines import Pipeline
from tests.hostile.conftest import Contained
from tests.hostile.measures import PictureMeasures, TextMeasures

pytestmark = pytest.mark.usefixtures("torchless")

BAD = "!"
"""The text whose row is spoiled."""


def spoiled(batch: Any, value: float) -> Any:
    return np.where(batch[:, :1] == 0, value, batch)


def raising(batch: Any, error: BaseException) -> Any:
    if (batch[:, 0] == 0).any():
        raise error
    return batch


class Tensor:
    """As much of a tensor as a forward's result needs: one that wants gradients, on another device."""

    def __init__(self, values: Any) -> None:
        self.values = values

    def detach(self) -> Tensor:
        return self

    def float(self) -> Tensor:
        return Tensor(self.values.astype(np.float32))

    def cpu(self) -> Tensor:
        return self

    def numpy(self) -> Any:
        return self.values


WAYS: dict[str, Callable[[Any], Any]] = {
    "NaN": lambda batch: spoiled(batch, np.nan),
    "Inf": lambda batch: spoiled(batch, np.inf),
    "beyond float32": lambda batch: spoiled(batch, 1e39),
    "beyond float16": lambda batch: spoiled(batch, 70_000.0),
    "zero": lambda batch: spoiled(batch, 0.0),
    "one row less": lambda batch: batch[:-1],
    "one row more": lambda batch: np.concatenate([batch, batch[:1]]),
    "no rows": lambda batch: batch[:0],
    "one number less": lambda batch: batch[:, :-1],
    "flat": lambda batch: batch.reshape(-1),
    "no array": lambda batch: None,
    "float64": lambda batch: batch.astype(np.float64),
    "float16": lambda batch: batch.astype(np.float16).astype(np.float64),
    "whole numbers": lambda batch: batch.astype(np.int64),
    "lists": lambda batch: batch.tolist(),
    "not contiguous": lambda batch: np.asfortranarray(np.repeat(batch, 2, axis=0))[::2],
    "tensor": Tensor,
    "objects": lambda batch: batch.astype(object),
    "words": lambda batch: batch.astype(str),
    "complex": lambda batch: batch.astype(complex),
    "NameError": lambda batch: raising(batch, NameError("name 'x' is not defined")),
    "ImportError": lambda batch: raising(batch, ImportError("no module")),
    "AttributeError": lambda batch: raising(batch, AttributeError("no attribute")),
    "RuntimeError": lambda batch: raising(batch, RuntimeError("this row breaks the forward")),
    "KeyError": lambda batch: raising(batch, KeyError("token")),
}


class Odd(TextMeasures):
    """Whole numbers, so that they survive any type; the bad text's row is 0 and gets what ``way`` names."""

    def __init__(self, *, way: str = "float64", unit: bool = False) -> None:
        super().__init__(unit=unit)
        self.way = way

    def prepare(self, media: str) -> list[float]:
        return [0.0, 0.0] if media == BAD else [float(len(media)), float(media.count("e"))]

    def load(self, runtime: Runtime) -> Forward:
        usual = super().load(runtime)
        return lambda batch: WAYS[self.way](usual(batch))


# ---- one row -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("way", "unit", "status", "code"),
    [
        pytest.param("NaN", False, "nonfinite", "NONFINITE", id="NUM-01 NaN"),
        pytest.param("Inf", False, "nonfinite", "NONFINITE", id="NUM-01 Inf"),
        pytest.param("zero", True, "nonfinite", "ZERO_NORM", id="NUM-03 zero with unit length"),
        pytest.param("zero", False, "ok", "", id="NUM-03 zero without"),
        pytest.param("beyond float32", False, "nonfinite", "NONFINITE", id="NUM-04 beyond float32"),
        pytest.param("RuntimeError", False, "model_error", "FORWARD", id="NUM-12 RuntimeError"),
        pytest.param("KeyError", False, "model_error", "FORWARD", id="NUM-12 KeyError"),
    ],
)
def test_a_row_that_is_no_vector_says_so(
    contained: Contained, way: str, unit: bool, status: str, code: str
) -> None:
    contained({"words": BAD}, status, code, embedder=Odd(way=way, unit=unit))


def test_NUM_04_what_float16_cannot_hold_is_stored_exactly(contained: Contained) -> None:
    assert contained({"words": BAD}, "ok", embedder=Odd(way="beyond float16")).vector.tolist() == [70_000, 70_000]


@pytest.mark.parametrize(
    "way",
    ["float64", "float16", "whole numbers", "lists", "not contiguous", "tensor"],
    ids=lambda way: f"NUM-07 {way}",
)
def test_what_holds_the_same_numbers_is_taken(contained: Contained, way: str) -> None:
    assert contained({"words": "bells!"}, "ok", embedder=Odd(way=way)).vector.tolist() == [6, 1]


# ---- the whole run -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "way",
    [
        *(pytest.param(way, id=f"NUM-05 {way}") for way in ("one row less", "one row more", "no rows")),
        *(pytest.param(way, id=f"NUM-06 {way}") for way in ("one number less", "flat", "no array")),
        *(pytest.param(way, id=f"NUM-07 {way}") for way in ("objects", "words", "complex")),
        *(pytest.param(way, id=f"NUM-13 {way}") for way in ("NameError", "ImportError", "AttributeError")),
    ],
)
def test_a_broken_embedder_stops_the_run_and_nothing_is_committed(way: str, tmp_path: Path) -> None:
    records = [{"words": "two red bells"}, {"words": BAD}, {"words": "a blue drum"}]
    with pytest.raises(ContractError) as caught:
        Pipeline({"words": Odd(way=way)}).run(records, tmp_path / "set")
    assert caught.value.exit_code == 7
    assert not (tmp_path / "set" / "manifest.json").exists()
    assert list(tmp_path.glob("set/data/*")) == []


class Shrinks(Odd):
    """Vectors that are shorter from the second batch on."""

    def load(self, runtime: Runtime) -> Forward:
        calls: list[int] = []

        def forward(batch: Any) -> Any:
            calls.append(len(batch))
            return batch if len(calls) == 1 else batch[:, :1]

        return forward


def test_NUM_06_a_dimension_that_changes_on_the_way_leaves_what_was_committed(tmp_path: Path) -> None:
    records = [{"words": word} for word in ("bell", "drum", "horn", "harp")]
    with pytest.raises(ContractError, match=r"\(2, 1\)"):
        Pipeline({"words": Shrinks()}, part_rows=2).run(records, tmp_path / "set")
    assert not (tmp_path / "set" / "manifest.json").exists()
    assert [path.name for path in tmp_path.glob("set/data/*")] == ["part-000000.parquet"]


# ---- what only the conformance kit can see -----------------------------------------------------------------------


class Permutes(TextMeasures):
    def load(self, runtime: Runtime) -> Forward:
        return lambda batch: batch[::-1]


class IsRandom(TextMeasures):
    def load(self, runtime: Runtime) -> Forward:
        noise = np.random.default_rng(0)
        return lambda batch: batch + noise.normal(size=batch.shape)


class LooksAround(TextMeasures):
    def load(self, runtime: Runtime) -> Forward:
        return lambda batch: batch + batch.mean(axis=0)


class Mutates(PictureMeasures):
    def prepare(self, media: Pixels) -> list[float]:
        found = super().prepare(media)
        media[:] = 0
        return found


@pytest.mark.parametrize(
    ("embedder", "said"),
    [
        pytest.param(Permutes(), "when embedded alone", id="NUM-08 rows permuted"),
        pytest.param(IsRandom(), "two equal calls gave different vectors", id="NUM-09 not deterministic"),
        pytest.param(LooksAround(), "when embedded alone", id="NUM-10 depends on its batch"),
        pytest.param(Mutates(), "two different samples for one input", id="NUM-11 mutates its input"),
    ],
)
def test_the_conformance_kit_finds_what_no_run_can_see(embedder: BaseEmbedder, said: str) -> None:
    messages = []
    for check in CHECKS[3:]:  # those before say nothing of vectors
        try:
            check(embedder)
        except ContractError as error:
            messages.append(str(error))
    assert any(said in message for message in messages), messages


@pytest.mark.parametrize("embedder", [TextMeasures(), PictureMeasures()], ids=lambda made: type(made).__name__)
def test_the_kit_passes_the_same_embedders_unspoiled(embedder: BaseEmbedder) -> None:
    for check in CHECKS:
        check(embedder)

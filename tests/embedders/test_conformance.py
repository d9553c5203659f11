"""The conformance kit passes a good embedder and catches every kind of bad one, each by the right check."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from embedders import BaseEmbedder, ContractError, EmbedderSpec, Runtime
from embedders.base import Forward
from embedders.conformance import CHECKS
from tests.toy import Letters, Unit


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("cls", [Letters, Unit])
def test_a_good_embedder_passes(check: Callable[[BaseEmbedder], None], cls: type[BaseEmbedder]) -> None:
    check(cls())


class Wrapped(Letters):
    """Letters whose vectors are spoiled by ``change(vectors, calls)``."""

    calls = 0

    def load(self, runtime: Runtime) -> Forward:
        inner = super().load(runtime)

        def forward(batch: Any) -> Any:
            Wrapped.calls += 1
            return self.change(np.array(inner(batch), dtype=np.float32))

        return forward

    def change(self, vectors: Any) -> Any:
        raise AssertionError("subclasses say how")


class AddsTheBatchMean(Wrapped):
    def change(self, vectors: Any) -> Any:
        return vectors + vectors.mean(axis=0)


class IsRandom(Wrapped):
    def change(self, vectors: Any) -> Any:
        return vectors + np.float32(Wrapped.calls)


class ReversesRows(Wrapped):
    def change(self, vectors: Any) -> Any:
        return vectors[::-1]


class IsConstant(Wrapped):
    def change(self, vectors: Any) -> Any:
        return np.ones_like(vectors)


class IsNaN(Wrapped):
    def change(self, vectors: Any) -> Any:
        return vectors * np.float32("nan")


class LosesARow(Wrapped):
    def change(self, vectors: Any) -> Any:
        return vectors[:-1]


class KeepsWeights(Letters):
    def __reduce__(self) -> Any:
        return (type(self), (), {"weights": list(self.batches)})

    def __setstate__(self, state: Any) -> None:
        self.batches = state["weights"]


class ChangesItsSpec(Letters):
    @property
    def spec(self) -> EmbedderSpec:
        self.reads = getattr(self, "reads", 0) + 1
        return EmbedderSpec("toy", f"toy:{self.reads}", 3, False)


class HasNoSpace(Letters):
    @property
    def spec(self) -> EmbedderSpec:
        return EmbedderSpec("toy", " ", 3, False)


class PreparesAtRandom(Letters):
    def prepare(self, media: str) -> str:
        self.reads = getattr(self, "reads", 0) + 1
        return f"{media}{self.reads}"


class TakesAnything(Letters):
    def prepare(self, media: str) -> str:
        return media

    def examples(self) -> list[str]:
        return ["one", "two"]


@pytest.mark.parametrize(
    ("cls", "caught_by"),
    [
        (AddsTheBatchMean, "vectors_ignore_their_neighbours"),
        (IsRandom, "vectors_are_repeatable"),
        (ReversesRows, "vectors_ignore_their_neighbours"),
        (IsConstant, "vectors_differ_between_inputs"),
        (IsNaN, "vectors_have_the_promised_shape"),
        (LosesARow, "vectors_have_the_promised_shape"),
        (KeepsWeights, "vectors_leave_the_embedder_small"),
        (ChangesItsSpec, "spec_is_sound"),
        (HasNoSpace, "spec_is_sound"),
        (PreparesAtRandom, "prepare_is_a_pure_function"),
        (TakesAnything, "prepare_is_a_pure_function"),
    ],
)
def test_a_bad_embedder_is_caught(cls: type[BaseEmbedder], caught_by: str) -> None:
    check = next(check for check in CHECKS if check.__name__ == caught_by)
    with pytest.raises(ContractError):
        check(cls())


def test_a_heavy_import_is_caught(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "heavy_plugin.py").write_text(
        "import PIL\nfrom tests.toy import Letters\nclass Heavy(Letters): pass\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    from heavy_plugin import Heavy  # type: ignore[import-not-found]

    check = next(check for check in CHECKS if check.__name__ == "importing_is_cheap")
    with pytest.raises(ContractError, match="loads PIL"):
        check(Heavy())

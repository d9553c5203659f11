"""What the conformance kit is made of: watching a process, comparing whatever authors use, weighing arrays."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from embedders.conformance.after import vectors_leave_no_traces
from embedders.conformance.equality import array_bytes, equal
from embedders.conformance.surroundings import DRAWN, watched
from tests.toy import Letters


def test_what_torch_is_set_to_is_put_back_and_drawing_first_weights_is_allowed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    held = {"dtype": "float32", "device": "cpu", "threads": 2, "seed": 1, "state": 1, "grad": True}

    def kept(name: str) -> tuple[Any, Any]:
        return (lambda: held[name]), (lambda value: held.update({name: value}))

    torch = SimpleNamespace(float32="float32", device=lambda name: name)
    pairs = [
        ("dtype", "get_default_dtype", "set_default_dtype"),
        ("device", "get_default_device", "set_default_device"),
        ("threads", "get_num_threads", "set_num_threads"),
        ("seed", "initial_seed", "manual_seed"),
        ("state", "get_rng_state", "set_rng_state"),
        ("grad", "is_grad_enabled", "set_grad_enabled"),
    ]
    for name, read, write in pairs:
        for function, made in zip((read, write), kept(name), strict=True):
            setattr(torch, function, made)
    monkeypatch.setitem(sys.modules, "torch", torch)
    before = dict(held)
    with watched() as seen:
        held.update(dtype="float64", device="meta", threads=1, seed=0, state=0, grad=False)
    assert held == before
    assert len(seen.changed) == 6
    monkeypatch.delitem(sys.modules, "torch")
    with watched() as seen:  # an embedder is the first to load it
        monkeypatch.setitem(sys.modules, "torch", torch)
        held.update(dtype="float64", grad=False, state=3)
    assert seen.changed == ["torch's default dtype", "torch's gradients"]

    class Draws(Letters):
        def load(self, runtime: Any) -> Any:
            held["state"] += 1
            return super().load(runtime)

        def embed(self, *args: Any, **options: Any) -> Any:
            return self._loaded or self._loaded.update(x=self.load(None))

    held["state"] = 1
    assert vectors_leave_no_traces(Draws()) == "silent"
    assert DRAWN == "torch's random state"


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ([1, {"a": np.arange(3)}], [1, {"a": np.arange(3)}], True),
        ([1, {"a": np.arange(3)}], [1, {"a": np.arange(4)}], False),
        (SimpleNamespace(a=(1, 2)), SimpleNamespace(a=(1, 2)), True),
        (SimpleNamespace(a=(1, 2)), SimpleNamespace(a=[1, 2]), False),
        (np.arange(3), np.arange(3.0), True),
        ("a", b"a", False),
    ],
)
def test_equality_looks_inside(first: Any, second: Any, same: bool) -> None:
    assert equal(first, second) is same


def test_arrays_are_found_wherever_they_hang() -> None:
    weights = np.zeros(10, np.float32)
    held = SimpleNamespace(
        list=[{"deep": (np.zeros(3, np.uint8),)}],
        same=weights,
        again=weights,
        forward=lambda: weights,
        word="x",
    )
    assert array_bytes(held) == 3 + 40
    assert array_bytes(held, frozenset({"list"})) == 40
    held.itself = held
    assert array_bytes(held) == 43

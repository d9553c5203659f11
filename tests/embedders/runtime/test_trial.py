"""What a trial finds out: whether a runtime is right, and how large a batch fills a device."""

from __future__ import annotations

from typing import Any

import pytest

from embedders import Runtime
from embedders.runtime.network import built_once
from embedders.runtime.trial import FACTORS, Trial, filling
from tests.embedders.runtime.small import Small, network

PLAIN = Runtime()


def out_of_memory_from(limit: int, rate: float = 100.0) -> Any:
    def measured(factor: int) -> float:
        if factor >= limit:
            raise RuntimeError("CUDA out of memory")
        return rate * factor

    return measured


def test_a_batch_grows_while_that_brings_speed() -> None:
    rates = {16: 100.0, 32: 180.0, 64: 185.0, 128: 190.0}
    assert filling(rates.__getitem__) == 32


def test_a_device_that_always_gains_gets_the_largest() -> None:
    assert filling(float) == FACTORS[-1]


@pytest.mark.parametrize("limit", [32, 64, 128])
def test_a_batch_stays_within_memory(limit: int) -> None:
    assert filling(out_of_memory_from(limit)) == limit // 2


def test_where_not_even_the_first_fits_batches_are_made_smaller_as_they_come() -> None:
    assert filling(out_of_memory_from(1)) == FACTORS[0]


def test_the_budget_grows_with_what_was_found() -> None:
    runtimes = PLAIN, Runtime("cpu", "bf16", "openvino"), Runtime("cuda:0"), Runtime("cuda:0", batch_factor=32)
    assert [runtime.budget(32) for runtime in runtimes] == [32, 32, 512, 1024]


def test_what_was_found_is_recorded_and_nothing_where_nothing_was() -> None:
    assert Runtime("cuda:1", "bf16", batch_factor=16).describe() == {
        "device": "cuda",
        "precision": "bf16",
        "accel": "none",
        "batch_factor": 16,
    }
    assert "batch_factor" not in PLAIN.describe()


def test_a_trial_reads_weights_once_for_all_candidates(monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[str] = []
    monkeypatch.setattr("tests.embedders.runtime.small.network", lambda seed: counted(seed, built))
    trial = Trial(Small(), PLAIN)
    with built_once():
        verdicts = [trial.verdict(Runtime("cpu", "bf16", accel)) for accel in ("openvino", "none")]
    assert [verdict["right"] for verdict in verdicts] == [True, True]
    assert built == ["trunk"]


def counted(seed: int, built: list[str]) -> Any:
    from dataclasses import replace

    made = network(seed)

    def build() -> Any:
        built.append(made.name)
        return made.build()

    return replace(made, build=build)


def test_modules_are_shared_within_and_not_beyond() -> None:
    one = network()
    with built_once():
        shared = one.module()
        assert one.module() is shared
        assert network(seed=1).module() is not shared
    assert one.module() is not shared

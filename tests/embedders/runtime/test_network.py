"""A network gives the same numbers through every engine, and is converted once."""

from __future__ import annotations

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from embedders import Runtime, SetupError
from embedders.runtime import graph, machine
from tests.embedders.runtime.small import Small, network, vectors

WORDS = ["bell", "siren", "engine", "a", "drum"]
OPENVINO = Runtime("cpu", "fp32", "openvino")


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("EMBED_CACHE", str(tmp_path))
    return tmp_path


def given(rows: int = 5) -> torch.Tensor:
    return torch.linspace(-1, 1, rows * 3).reshape(rows, 3)


def test_plain_torch_computes_what_the_module_computes() -> None:
    module = network().build()
    with torch.inference_mode():
        expected = module(given())
    found = Runtime().network(network())(given())
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


@pytest.mark.parametrize("rows", [1, 2, 7])
def test_openvino_takes_any_number_of_rows_and_gives_every_output(rows: int) -> None:
    expected = Runtime().network(network())(given(rows))
    found = OPENVINO.network(network())(given(rows))
    assert [tuple(output.shape) for output in found] == [(rows, 4), (rows, 2)]
    for one, other in zip(found, expected, strict=True):
        assert torch.allclose(one, other, atol=1e-6)


def test_results_stay_when_the_next_batch_is_computed() -> None:
    run = OPENVINO.network(network())
    first = run(given())
    kept = [output.clone() for output in first]
    run(-given())
    assert all(torch.equal(a, b) for a, b in zip(first, kept, strict=True))


def test_an_exact_network_keeps_full_precision_in_a_half_runtime() -> None:
    expected = Runtime().network(network())(given())[1]
    for accel in ("none", "openvino"):
        found = Runtime("cpu", "bf16", accel).network(network(exact=True))(given())[1]
        assert found.dtype == torch.float32
        assert torch.allclose(found, expected, atol=1e-6)


def test_batches_in_several_threads_get_the_bytes_they_get_alone() -> None:
    run = OPENVINO.network(network())
    inputs = [given() * factor for factor in range(1, 25)]
    alone = [run(tensor)[1].numpy().tobytes() for tensor in inputs]
    with ThreadPoolExecutor(4) as threads:
        together = list(threads.map(lambda tensor: run(tensor)[1].numpy().tobytes(), inputs))
    assert together == alone


def test_what_was_converted_is_read_again_without_building(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = OPENVINO.network(network())(given())[1]

    def build() -> Any:
        raise AssertionError("there is a conversion")

    found = OPENVINO.network(replace(network(), build=build))(given())[1]
    assert torch.equal(found, expected)


def test_other_weights_and_other_names_are_converted_apart(cache: Path) -> None:
    for one in (network(0), network(1), network(0, name="head")):
        OPENVINO.network(one)
    assert len(list((cache / "networks").iterdir())) == 3
    assert not torch.equal(OPENVINO.network(network(0))(given())[1], OPENVINO.network(network(1))(given())[1])


@pytest.mark.parametrize("name", ["network.bin", "network.xml", "sizes.json"])
@pytest.mark.parametrize("damage", ["cut", "gone"])
def test_a_damaged_conversion_is_made_again(cache: Path, name: str, damage: str) -> None:
    expected = OPENVINO.network(network())(given())[1]
    (place,) = (cache / "networks").iterdir()
    if damage == "gone":
        (place / name).unlink()
    else:
        os.truncate(place / name, 5)
    assert not graph.is_converted(network())
    assert torch.equal(OPENVINO.network(network())(given())[1], expected)
    assert graph.is_converted(network())


def test_a_cache_that_cannot_be_written_stops_nothing(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (cache / "file").write_text("")
    monkeypatch.setenv("EMBED_CACHE", str(cache / "file" / "beneath"))
    assert OPENVINO.network(network())(given())[1].shape == (5, 2)


def test_openvino_that_is_not_installed_names_the_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graph, "has_openvino", lambda: False)
    with pytest.raises(SetupError, match="pip install openvino"):
        OPENVINO.network(network())


def test_openvino_is_refused_for_other_devices() -> None:
    with pytest.raises(SetupError, match="runs on the CPU here, not on 'cuda:0'"):
        Runtime("cuda:0", "fp32", "openvino").network(network())


def test_a_network_that_cannot_be_converted_is_named() -> None:
    class Odd(torch.nn.Module):
        def forward(self, tensor: torch.Tensor) -> torch.Tensor:
            return torch.linalg.svd(tensor).S

    with pytest.raises(SetupError, match="OpenVINO cannot run the network 'trunk'"):
        OPENVINO.network(replace(network(), build=Odd))


def test_an_embedder_agrees_with_itself_on_every_engine() -> None:
    exact = vectors(Small(), WORDS, Runtime())
    for runtime in (OPENVINO, Runtime("cpu", "bf16", "openvino"), Runtime("cpu", "bf16")):
        assert np.allclose(
            vectors(Small(), WORDS, runtime), exact, atol=1e-6 if runtime.precision == "fp32" else 2e-2
        )


def test_openvino_has_a_lane_per_core_and_plain_torch_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("embedders.runtime.runtime.cores", lambda: 6)
    assert [OPENVINO.lanes, Runtime().lanes, Runtime("cuda:0").lanes] == [6, 1, 2]


@pytest.mark.parametrize(("fast", "prefers"), [(2.0, True), (0.9, False), (0.01, False)])
def test_halves_are_preferred_by_their_measured_gain(
    monkeypatch: pytest.MonkeyPatch, fast: float, prefers: bool
) -> None:
    machine.prefers_half.cache_clear()
    monkeypatch.setattr(
        machine, "_product_seconds", lambda device, dtype: 1 if dtype == torch.float32 else 1 / fast
    )
    assert machine.prefers_half("cpu") is prefers
    machine.prefers_half.cache_clear()


def test_the_probe_measures_something_on_this_machine() -> None:
    assert 0 < machine._product_seconds("cpu", torch.float32) < 10


def test_the_cache_lies_where_the_user_keeps_such_things(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("EMBED_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "mine"))
    assert machine.cache_folder() == tmp_path / "mine" / "multimodal-embedders"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert machine.cache_folder() == tmp_path / ".cache" / "multimodal-embedders"


def test_choosing_among_plain_runtimes_loads_no_torch() -> None:
    import subprocess

    code = (
        "import sys; from embedders.runtime import Wish, choose; from tests.toy import Letters\n"
        "print(choose(Letters(), Wish('cpu')).exact, 'torch' in sys.modules, 'openvino' in sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["True", "False", "False"]

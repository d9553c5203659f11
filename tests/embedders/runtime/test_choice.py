"""What ``auto`` means: the fastest way that proved itself, the same again where a set was begun, else plain."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from embedders import Runtime, UsageError
from embedders.runtime import Wish, choice, choose, trial
from tests.embedders.runtime.small import Small
from tests.toy import Letters

BIG = 10_000


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("EMBED_CACHE", str(tmp_path))
    monkeypatch.setattr(choice, "prefers_half", lambda device: True)
    monkeypatch.setattr(choice, "has_openvino", lambda: True)
    monkeypatch.setattr(trial, "SLOWER", 0.0)  # what is timed on few numbers says nothing
    Small.loads.clear()


def chosen(embedder: Any, **wish: Any) -> tuple[Runtime, list[str]]:
    notes: list[str] = []
    return choose(embedder, Wish(**{"device": "cpu", **wish}), "c", notes.append), notes


def test_what_has_no_network_of_its_own_runs_as_it_is() -> None:
    assert chosen(Letters(), rows=BIG) == (Runtime(), [])


def test_a_large_job_gets_the_engine_that_agrees() -> None:
    assert chosen(Small(), rows=BIG) == (Runtime("cpu", "bf16", "openvino"), [])


def test_a_small_job_is_exact_where_nothing_was_tried_before() -> None:
    assert chosen(Small(), rows=10) == (Runtime(), [])
    assert Small.loads == []


def test_what_was_tried_once_serves_small_jobs_without_a_trial() -> None:
    chosen(Small(), rows=BIG)
    Small.loads.clear()
    assert chosen(Small(), rows=10)[0] == Runtime("cpu", "bf16", "openvino")
    assert Small.loads == []


def test_other_weights_are_tried_anew() -> None:
    chosen(Small(), rows=BIG)
    Small.loads.clear()
    chosen(Small(seed=1), rows=BIG)
    assert Runtime() in Small.loads


def test_without_units_for_halves_only_the_engine_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "prefers_half", lambda device: False)
    assert chosen(Small(), rows=BIG)[0] == Runtime("cpu", "fp32", "openvino")


def test_without_the_engine_plain_torch_computes_in_halves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "has_openvino", lambda: False)
    assert chosen(Small(), rows=BIG)[0] == Runtime("cpu", "bf16", "none")


def test_vectors_that_differ_are_not_accepted_and_that_is_said() -> None:
    runtime, notes = chosen(Small(drift=5.0), rows=BIG)
    assert runtime == Runtime()
    assert [note.split(" is not run by ")[1].split(":")[0] for note in notes] == ["bf16 openvino", "bf16 none"]
    assert all("0.999 is asked for" in note for note in notes)


def test_an_engine_that_fails_is_named_with_its_reason() -> None:
    runtime, notes = chosen(Small(fails=True), rows=BIG, precision="fp32")
    assert runtime == Runtime()
    says = "is not run by fp32 openvino: RuntimeError: this engine does not take it"
    assert notes == [f"Small(seed=0, drift=0.0, fails=True) {says}"]


def test_a_slow_engine_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "SLOWER", float("inf"))
    assert chosen(Small(), rows=BIG, precision="fp32") == (Runtime(), [])


@pytest.mark.parametrize(
    ("wish", "runtime"),
    [
        ({"precision": "fp32", "accel": "none"}, Runtime()),
        ({"precision": "bf16", "accel": "none"}, Runtime("cpu", "bf16", "none")),
        ({"precision": "fp32"}, Runtime("cpu", "fp32", "openvino")),
        ({"accel": "none"}, Runtime("cpu", "bf16", "none")),
        ({"accel": "openvino", "rows": 1}, Runtime("cpu", "bf16", "openvino")),
        ({"precision": "bf16", "accel": "openvino"}, Runtime("cpu", "bf16", "openvino")),
    ],
)
def test_what_is_named_is_done(wish: dict[str, Any], runtime: Runtime) -> None:
    assert chosen(Small(), **{"rows": BIG, **wish}) == (runtime, [])


def test_a_named_precision_holds_for_embedders_without_engines() -> None:
    assert chosen(Letters(), precision="bf16", accel="openvino")[0] == Runtime("cpu", "bf16", "none")


def test_a_set_that_was_begun_goes_on_as_it_was() -> None:
    held = {"c": {"device": "cpu", "precision": "fp32", "accel": "openvino"}}
    assert chosen(Small(drift=0.5), rows=BIG, held=held)[0] == Runtime("cpu", "fp32", "openvino")
    assert Small.loads == []


def test_what_the_user_names_stands_against_what_was_begun() -> None:
    held = {"c": {"device": "cpu", "precision": "bf16", "accel": "openvino"}}
    assert chosen(Small(), accel="none", held=held)[0] == Runtime("cpu", "bf16", "none")


def test_a_set_of_another_device_decides_nothing() -> None:
    held = {"c": {"device": "cuda", "precision": "fp16", "accel": "compile"}}
    assert chosen(Small(), rows=10, held=held)[0] == Runtime()


@pytest.mark.parametrize("option", ["precision", "accel", "device"])
def test_unknown_words_are_refused(option: str) -> None:
    with pytest.raises(UsageError, match=f"There is no {option} 'opemvino'"):
        chosen(Small(), **{option: "opemvino"})


@pytest.mark.parametrize("content", ["", "[]", '{"bf16 openvino": {"right": true}}', '{"bf16 openvino": 1}'])
def test_a_damaged_verdict_is_made_again(tmp_path: Path, content: str) -> None:
    expected = chosen(Small(), rows=BIG)
    (kept,) = (tmp_path / "verdicts").iterdir()
    kept.write_text(content)
    assert chosen(Small(), rows=BIG) == expected


def test_a_cache_that_cannot_be_written_stops_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("EMBED_CACHE", str(tmp_path / "file" / "beneath"))
    assert chosen(Small(), rows=BIG)[0] == Runtime("cpu", "bf16", "openvino")

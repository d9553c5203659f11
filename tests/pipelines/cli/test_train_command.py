"""The command around a training: what it prints, and how it ends."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from embedders import UsageError
from pipelines.cli import train as command
from pipelines.training.starter import Options
from pipelines.training.starter.loop import Progress

FOUND = {
    "manifest": {"seconds": 1.0},
    "eval": {
        "splits": {
            split: {"picture to sound": {"trained": {"256": {}, "1000": {"hit_rate@1": {"value": share}}}}}
            for split, share in (("iid", 0.875), ("comp-attr", 0.5))
        }
    },
}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What was asked of the training, which here takes no time."""
    calls: list[Any] = []

    def train(out: Path, options: Options, **more: Any) -> dict[str, Any]:
        calls.append((out, options))
        more["say"]("beginning")
        more["observe"](Progress(1, 2, 3.5, 100.0, None, 60.0))
        more["observe"](Progress(2, 2, 3.25, 100.0, 0.5, 0.0))
        return FOUND

    monkeypatch.setattr(command, "train", train)
    return calls


def test_figures_go_to_stdout_and_progress_to_stderr(
    asked: list[Any], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert command.train_command("scenes", tmp_path, minutes=2.0, seed=3, batch_size=64) == 0
    assert asked == [(tmp_path, Options(minutes=2.0, seed=3, batch=64))]
    found = capsys.readouterr()
    assert "picture to sound              87.5          50.0" in found.out
    assert max(map(len, found.out.splitlines()[:3])) <= 80
    assert "loss  3.250  mrr 0.500  100 examples/s" in found.err
    assert "beginning" in found.err


def test_json_is_all_there_is_on_stdout(
    asked: list[Any], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    command.train_command("scenes", tmp_path, as_json=True)
    assert json.loads(capsys.readouterr().out) == FOUND


def test_an_interrupt_says_how_to_go_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def train(*args: Any, **more: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "train", train)
    assert command.train_command("scenes", tmp_path) == 130
    found = capsys.readouterr()
    assert "The same command goes on" in found.err
    assert not found.out


def test_a_report_is_asked_beside_others(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    calls: list[Any] = []

    def report(*args: Any, **more: Any) -> dict[str, Any]:
        calls.append(args)
        return FOUND

    monkeypatch.setattr(command, "report", report)
    assert command.train_command("report", tmp_path, beside=[tmp_path / "other"]) == 0
    assert calls == [(tmp_path, [tmp_path / "other"])]
    assert "picture to sound              87.5          50.0" in capsys.readouterr().out


def test_a_training_has_nothing_beside_it(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--beside names what a report compares with"):
        command.train_command("scenes", tmp_path, beside=[tmp_path])


def test_only_scenes_can_be_trained_on(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="Did you mean 'scenes'"):
        command.train_command("scene", tmp_path)

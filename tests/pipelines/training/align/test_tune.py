"""A study tries, stops, goes on, and shows what it won beside the default."""

from __future__ import annotations

import builtins
import json
from pathlib import Path
from typing import Any

import pytest

from embedders.errors import RefusedError, SetupError, UsageError
from pipelines.training.align import Recipe, Study, tune
from pipelines.vectors import VectorSet
from tests.pipelines.training.align.worlds import aligned_set, bent

COLUMNS = ("sound_base", "photo_anchor")
BASE = Recipe(width=512, steps=12, looks=3, batch=64, rate=1e-3)


@pytest.fixture
def vs(tmp_path: Path) -> VectorSet:
    return aligned_set(tmp_path / "set", *bent(200))


def test_the_best_is_written_and_stands_beside_the_default(vs: VectorSet, tmp_path: Path) -> None:
    said: list[str] = []
    report = tune(vs, tmp_path / "study", Study(*COLUMNS, trials=4), base=BASE, say=said.append)
    assert list(report["methods"]) == ["best", "default", "ridge", "cca"]
    assert len(report["methods"]["default"]["seeds"]["there"]["hit_rate@10"]["values"]) == 3
    trials = json.loads((tmp_path / "study" / "trials.json").read_text())
    values = [trial["hit_rate@10"] for trial in trials["trials"]]
    assert len(values) == 4
    assert values[trials["best"]] == max(values)
    assert trials["trials"][0]["settings"]["width"] == BASE.width
    assert report["methods"]["best"]["validation_hit_rate@10"][0] == max(values)
    assert report["methods"]["default"]["validation_hit_rate@10"][0] == values[0]
    assert json.loads((tmp_path / "study" / "head" / "report.json").read_text()) == report
    assert sum(line.startswith("trial ") for line in said) == 4


def test_a_stopped_study_goes_on_where_it_stood(
    vs: VectorSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []

    def stop(line: str) -> None:
        if line.startswith("trial 1"):
            raise KeyboardInterrupt
        said.append(line)

    with pytest.raises(KeyboardInterrupt):
        tune(vs, tmp_path / "study", Study(*COLUMNS, trials=3), base=BASE, say=stop)
    assert not (tmp_path / "study" / "head").exists()
    report = tune(vs, tmp_path / "study", Study(*COLUMNS, trials=3), base=BASE, say=said.append)
    assert "Going on after 1 of 3 trials" in said
    assert [trial.split(":")[0] for trial in said if trial.startswith("trial ")] == [
        "trial 0",
        "trial 2",
        "trial 3",
    ]
    assert report["trials"] == 3


def test_two_studies_of_one_seed_try_the_same(vs: VectorSet, tmp_path: Path) -> None:
    for name in ("one", "two"):
        tune(vs, tmp_path / name, Study(*COLUMNS, trials=2), base=BASE)
    first, second = (json.loads((tmp_path / name / "trials.json").read_text()) for name in ("one", "two"))
    assert [t["settings"] for t in first["trials"]] == [t["settings"] for t in second["trials"]]


def test_a_finished_study_and_another_one_are_refused(vs: VectorSet, tmp_path: Path) -> None:
    tune(vs, tmp_path / "study", Study(*COLUMNS, trials=1), base=BASE)
    with pytest.raises(RefusedError, match="holds a finished study"):
        tune(vs, tmp_path / "study", Study(*COLUMNS, trials=1), base=BASE)
    (tmp_path / "study" / "trials.json").unlink()
    with pytest.raises(RefusedError, match="begun with another seed"):
        tune(vs, tmp_path / "study", Study(*COLUMNS, trials=1, seed=1), base=BASE)


def test_a_folder_of_something_else_is_refused(vs: VectorSet, tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="is not empty"):
        tune(vs, tmp_path / "set", Study(*COLUMNS, trials=1), base=BASE)


def test_without_optuna_the_install_line_is_said(
    vs: VectorSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name == "optuna":
            raise ModuleNotFoundError("No module named 'optuna'", name="optuna")
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(SetupError, match=r"pip install 'multimodal-embedders\[tune\]'"):
        tune(vs, tmp_path / "study", Study(*COLUMNS, trials=1), base=BASE)
    assert not (tmp_path / "study").exists()


def test_a_study_without_trials_is_refused() -> None:
    with pytest.raises(UsageError, match="number of trials is 0"):
        Study(*COLUMNS, trials=0)

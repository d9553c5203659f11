"""A finished training measured again, alone and beside others."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from embedders import RefusedError, UsageError
from pipelines.training.starter import report, reporting

Trained = tuple[Path, dict[str, Any], list[str]]


@pytest.fixture
def own(trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(reporting, "BASELINE_ROWS", 32)
    return Path(shutil.copytree(trained[0], tmp_path / "own"))


def other(own: Path, **changes: Any) -> Path:
    """The same weights, which say that they were trained otherwise."""
    found = Path(shutil.copytree(own, own.with_name("_".join(map(str, changes.values())))))
    manifest = json.loads((found / "manifest.json").read_text())
    manifest["plan"].update(changes)
    (found / "manifest.json").write_text(json.dumps(manifest))
    return found


def test_measured_again_it_says_the_same(own: Path) -> None:
    before = (own / "eval.json").read_text(), (own / "MODEL_CARD.md").read_text()
    (own / "eval.json").unlink()
    report(own, device="cpu", rows=24)
    # the regressions see more examples than the two steps of this training had
    found, known = json.loads((own / "eval.json").read_text()), json.loads(before[0])
    for split, directions in known["splits"].items():
        for name, rows in directions.items():
            assert found["splits"][split][name]["trained"] == rows["trained"]
    assert (found["swap"], found["zero_shot"]) == (known["swap"], known["zero_shot"])


def test_other_seeds_add_mean_and_deviation_and_other_pairs_their_own_column(own: Path) -> None:
    found = report(own, [other(own, seed=1), other(own, pairs="no-direct")], device="cpu", rows=24)["eval"]
    assert found["seeds"] == [0, 1]
    row = found["splits"]["iid"]["picture to sound"]
    value = row["trained"]["24"]["mrr"]["value"]
    assert row["seeds"]["24"]["mrr"] == {"values": [value, value], "mean": value, "deviation": 0.0}
    assert row["no-direct"]["24"]["mrr"]["value"] == value
    card = (own / "MODEL_CARD.md").read_text()
    assert "over trainings of the seeds 0, 1" in card
    assert "| no-direct |" in card


def test_a_folder_without_a_finished_training_is_refused(own: Path, tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match=r"holds no finished training.*embed train scenes"):
        report(own, [tmp_path])
    assert (own / "eval.json").is_file()


def test_one_training_does_not_deviate_from_itself(own: Path) -> None:
    with pytest.raises(UsageError, match="two have the same seed and pairs"):
        report(own, [own])

"""`embed align` as a person and a program meet it, and its head in a run of its own."""

from __future__ import annotations

import functools
import json
from pathlib import Path

import numpy as np
import pytest

from embedders.errors import UsageError
from embedders.models.aligned import Head
from pipelines import Pipeline, VectorSet
from pipelines.cli.align import Grouping, align_command, tune_command
from pipelines.training.align import Recipe
from pipelines.training.align.judge import applied
from tests.pipelines.training.align.worlds import aligned_set, linear

COLUMNS = ("sound_base", "photo_anchor")


@pytest.fixture
def vs(tmp_path: Path) -> VectorSet:
    return aligned_set(tmp_path / "set", *linear(120))


def test_the_table_goes_to_stdout_and_the_rest_to_stderr(
    vs: VectorSet, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    align_command(vs.storage.root, *COLUMNS, tmp_path / "head", device="cpu")
    found = capsys.readouterr()
    assert found.out.startswith("sound_base -> photo_anchor: 24 queries, gallery of 24")
    assert [line[:10].strip() for line in found.out.splitlines() if line.startswith("| c")] == [
        "| cca",
        "| chance",
    ] * 2
    assert "120 pairs in 120 groups: cca" in found.err
    assert "seed 2: validation hit_rate@10" in found.err
    assert "The space is anchor+head:" in found.err


def test_json_is_all_there_is_on_stdout(vs: VectorSet, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    align_command(vs.storage.root, *COLUMNS, tmp_path / "head", method="ridge", seed=5, as_json=True)
    found = json.loads(capsys.readouterr().out)
    assert found == json.loads((tmp_path / "head" / "report.json").read_text())
    assert (found["method"], found["seed"]) == ("ridge", 5)


def test_groups_come_from_the_table(vs: VectorSet, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "groups.csv"
    path.write_text("\n".join(["name,speaker", *(f"r{row},s{row % 80}" for row in range(110))]) + "\n")
    align_command(
        vs.storage.root, *COLUMNS, tmp_path / "head", grouping=Grouping(path, "speaker", "name"), as_json=True
    )
    found = capsys.readouterr()
    assert "110 pairs in 80 groups" in found.err
    assert json.loads(found.out)["rows"]["left_out"] == {"not in the labels": 10}


@pytest.mark.parametrize(
    ("grouping", "message"),
    [
        (Grouping(labels=Path("groups.csv")), "No column of 'groups.csv' is named.*--group"),
        (Grouping(group="speaker"), "--group speaker names a column of no table"),
    ],
)
def test_half_a_grouping_is_refused(vs: VectorSet, tmp_path: Path, grouping: Grouping, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        align_command(vs.storage.root, *COLUMNS, tmp_path / "head", grouping=grouping)
    assert not (tmp_path / "head").exists()


def test_a_head_that_was_learned_embeds_in_a_run(tmp_path: Path) -> None:
    from itertools import product

    words = ["".join(letters) for letters in product("abeio", repeat=3)]
    records = [{"id": word, "word": word, "other": word + "x"} for word in words]
    embed = {"word": "toy.letters", "other": "toy.letters(scale=3)"}
    vs = Pipeline(embed, device="cpu").run(records, tmp_path / "set")
    head = tmp_path / "head"
    align_command(vs.storage.root, "word_letters", "other_letters", head, device="cpu")
    reference = f"embedders.models.aligned:Aligned(head={json.dumps(str(head))}, as=aligned)"
    again = Pipeline({"word": reference}, device="cpu").run(records, tmp_path / "again")
    expected = applied(
        Head.read(head / "model.safetensors", ["affine"], (3, 3)), np.array(vs["word_letters"].vectors)
    )
    assert np.abs(again["word_aligned"].vectors - expected).max() <= 1e-6
    assert again["word_aligned"].space.startswith("toy:3.0+head:") or again["word_aligned"].space.startswith(
        "toy:3+"
    )


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trials of the real study, of a few steps each."""
    from pipelines.training import align

    short = Recipe(width=512, steps=4, looks=2, batch=64)
    monkeypatch.setattr(align, "tune", functools.partial(align.tune, base=short))


def test_tuning_prints_the_best_beside_the_default(
    vs: VectorSet, tmp_path: Path, capsys: pytest.CaptureFixture[str], quick: None
) -> None:
    assert tune_command(vs.storage.root, *COLUMNS, tmp_path / "study", trials=2, device="cpu") == 0
    found = capsys.readouterr()
    assert [line.split()[1] for line in found.out.splitlines() if line.startswith("| ")][:6] == [
        "method",
        ":---",
        "best",
        "default",
        "ridge",
        "cca",
    ]
    assert "Best of 2: trial" in found.err
    assert f"Aligned(head={tmp_path / 'study' / 'head'})" in found.err


def test_a_stopped_tuning_says_how_to_go_on(
    vs: VectorSet, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipelines.training import align

    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(align, "tune", stopped)
    assert tune_command(vs.storage.root, *COLUMNS, tmp_path / "study") == 130
    assert "The same command goes on" in capsys.readouterr().err

"""From a set to a head's folder: the ladder, the report, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from embedders.errors import RefusedError, UsageError
from embedders.models.aligned import Head
from pipelines.training.align import Options, Recipe, align, head_table
from pipelines.training.align.align import choose
from tests.pipelines.training.align.worlds import RECIPE, aligned_set, linear

COLUMNS = ("sound_base", "photo_anchor")


@pytest.mark.parametrize(
    ("count", "method"), [(50, "cca"), (499, "cca"), (500, "ridge"), (2000, "mlp"), (10**6, "mlp")]
)
def test_the_method_follows_from_the_number_of_pairs(count: int, method: str) -> None:
    assert choose("auto", count)[0] == method


@pytest.mark.parametrize(
    ("method", "count", "words"),
    [
        ("auto", 60, "60 training pairs are few"),
        ("mlp", 600, "a closed form .ridge. is usually the better"),
        ("auto", 10**6, "training the embedder itself would pay"),
    ],
)
def test_what_a_person_should_know_is_said(method: str, count: int, words: str) -> None:
    import re

    assert any(re.search(words, remark) for remark in choose(method, count)[1])


def test_the_report_adds_up_and_stands_in_the_folder(tmp_path: Path) -> None:
    x, y = linear(400)
    x[:7] = np.nan
    vs = aligned_set(tmp_path / "set", x, y)
    said: list[str] = []
    report = align(vs, tmp_path / "head", Options(*COLUMNS, method="ridge"), say=said.append)
    rows = report["rows"]
    assert rows["set"] == 400 == rows["pairs"] + sum(rows["left_out"].values())
    assert rows["pairs"] == rows["train"] + rows["valid"] + rows["test"] == 393
    there = report["methods"]["ridge"]["test"]["there"]
    assert (there["n"], there["against"]) == (rows["test"], rows["test"])
    assert {figure["metric"] for figure in there["figures"]} >= {"hit_rate@1", "hit_rate@5", "hit_rate@10"}
    assert set(report["methods"]) == {"ridge", "cca"}
    assert len(report["methods"]["ridge"]["seeds"]["back"]["hit_rate@10"]["values"]) == 3
    assert report["methods"]["ridge"]["seeds"]["there"]["hit_rate@1"]["mean"] > 0.9
    assert report["gap"]["before"] is None
    assert report["gap"]["after"] < 0.1
    assert json.loads((tmp_path / "head" / "report.json").read_text()) == report
    assert sorted(p.name for p in (tmp_path / "head").iterdir()) == [
        "MODEL_CARD.md",
        "config.json",
        "model.safetensors",
        "report.json",
    ]
    assert said[0] == "393 pairs in 393 groups: ridge"


def test_the_written_head_is_read_back_and_named_by_its_hash(tmp_path: Path) -> None:
    from hashlib import sha256

    vs = aligned_set(tmp_path / "set", *linear(200))
    report = align(vs, tmp_path / "head", Options(*COLUMNS))
    content = (tmp_path / "head" / "model.safetensors").read_bytes()
    assert report["space"] == f"anchor+head:{sha256(content).hexdigest()[:16]}"
    assert report["method"] == "cca"
    assert Head.read(tmp_path / "head" / "model.safetensors", ["affine"], (8, 6)).content() == content
    config = json.loads((tmp_path / "head" / "config.json").read_text())
    assert config["embedder"]["class"] == "tests.toy:Letters"
    assert (config["embedder"]["space"], config["anchor"]["space"]) == ("base", "anchor")


@pytest.mark.parametrize("method", ["linear", "mlp"])
def test_a_trained_head_stands_beside_both_baselines(tmp_path: Path, method: str) -> None:
    vs = aligned_set(tmp_path / "set", *linear(200))
    recipe = Recipe.of("siglip", **{**RECIPE, "steps": 40, "looks": 4})
    report = align(vs, tmp_path / "head", Options(*COLUMNS, method=method, loss="siglip"), recipe=recipe)
    assert list(report["methods"]) == [method, "ridge", "cca"]
    assert report["loss"] == "siglip"
    config = json.loads((tmp_path / "head" / "config.json").read_text())
    kinds = ["layernorm", "affine"] + ["gelu", "affine"] * (method == "mlp")
    assert config["layers"] == kinds
    table = head_table(report)
    assert max(map(len, table.splitlines())) <= 80
    assert "| chance" in table


def test_two_runs_write_the_same_weights(tmp_path: Path) -> None:
    vs = aligned_set(tmp_path / "set", *linear(200))
    spaces = {align(vs, tmp_path / name, Options(*COLUMNS))["space"] for name in ("one", "two")}
    assert len(spaces) == 1


def test_sides_of_equal_length_have_a_gap_before_and_after(tmp_path: Path) -> None:
    vs = aligned_set(tmp_path / "set", *linear(200, dims=(6, 6)))
    gap = align(vs, tmp_path / "head", Options(*COLUMNS))["gap"]
    assert gap["after"] < gap["before"]


def test_too_few_pairs_are_refused_by_the_rule_and_nothing_is_written(tmp_path: Path) -> None:
    vs = aligned_set(tmp_path / "set", *linear(49))
    with pytest.raises(UsageError, match="There are 49 pairs to learn from; a head needs at least 50"):
        align(vs, tmp_path / "head", Options(*COLUMNS))
    assert not (tmp_path / "head").exists()


def test_a_folder_that_holds_anything_is_refused(tmp_path: Path) -> None:
    vs = aligned_set(tmp_path / "set", *linear(200))
    (tmp_path / "head").mkdir()
    (tmp_path / "head" / "notes.txt").write_text("mine")
    with pytest.raises(RefusedError, match="is not empty"):
        align(vs, tmp_path / "head", Options(*COLUMNS))
    assert [p.name for p in (tmp_path / "head").iterdir()] == ["notes.txt"]


@pytest.mark.parametrize(
    ("more", "message"),
    [({"method": "rigde"}, "no method"), ({"loss": "hinge"}, "no loss"), ({"seed": -1}, "The seed is -1")],
)
def test_options_that_do_not_exist_are_refused(more: dict[str, str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Options(*COLUMNS, **more)  # type: ignore[arg-type]

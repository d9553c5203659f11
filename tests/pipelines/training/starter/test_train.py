"""From options to a folder: what is written, what the embedders make of it, stops and refusals."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import embedders
from embedders import RefusedError
from pipelines.training.scenes import SPLITS, example, examples
from pipelines.training.starter import Options, train
from pipelines.training.starter.loop import Progress
from pipelines.training.starter.report import TESTS
from pipelines.training.starter.train import CHECKPOINT, _held_out
from pipelines.training.starter.triples import Triples, raw

Trained = tuple[Path, dict[str, Any], list[str]]
TINY = Options(steps=2, batch=8)


def again(out: Path, options: Options = TINY, **more: Any) -> dict[str, Any]:
    return train(out, options, device="cpu", rows=24, probe=0.0, **more)


def test_a_finished_folder_holds_five_files(trained: Trained) -> None:
    names = {path.name for path in trained[0].iterdir()}
    assert names == {"model.safetensors", "config.json", "manifest.json", "eval.json", "MODEL_CARD.md"}


def test_weights_are_in_half_precision_and_under_4_megabytes(trained: Trained) -> None:
    file = trained[0] / "model.safetensors"
    assert {value.dtype for value in load_file(file).values()} == {torch.float16}
    assert file.stat().st_size < 4_000_000


def test_the_embedders_load_the_folder_into_one_space(trained: Trained) -> None:
    scene = raw(example("iid", 0))
    found = {}
    for field, name in (("picture", "image"), ("caption", "text"), ("sound", "audio")):
        embedder = embedders.create(f"{name}.starter", weights=str(trained[0]))
        found[embedder.spec.space] = embedder.embed([scene[field]], device="cpu")
    assert list(found) == [trained[1]["manifest"]["space"]]


def test_the_report_covers_every_test_split_and_direction(trained: Trained) -> None:
    found = json.loads((trained[0] / "eval.json").read_text())
    assert list(found["splits"]) == list(TESTS) == [split for split in SPLITS if split != "train"]
    for directions in found["splits"].values():
        assert len(directions) == 6
        for name, rows in directions.items():
            assert {"trained", "untrained", "ridge"} <= rows.keys()
            assert ("ceiling" in rows) == ("sound" in name)


def test_every_figure_has_chance_and_interval(trained: Trained) -> None:
    for directions in trained[1]["eval"]["splits"].values():
        for rows in directions.values():
            figure = rows["trained"]["24"]["hit_rate@5"]
            assert figure["interval"][0] <= figure["value"] <= figure["interval"][1]
            assert figure["chance"] == pytest.approx(5 / 24, abs=0.05)


def test_the_forced_choice_is_asked_of_what_can_be_told(trained: Trained) -> None:
    for fields in trained[1]["eval"]["swap"].values():
        assert fields["picture"]["all"]["n"] == 24
        assert fields["sound"]["all"]["n"] < 24
        assert "colour" not in fields["sound"]
        assert 0 <= fields["picture"]["all"]["accuracy"]["value"] <= 1


def test_the_manifest_says_how_it_was_made(trained: Trained) -> None:
    manifest = json.loads((trained[0] / "manifest.json").read_text())
    assert manifest["plan"]["steps"] == 2
    assert manifest["plan"]["examples"] == 16
    assert manifest["command"].endswith("--seed 0 --pairs all --batch-size 8 --steps 2")
    assert len(manifest["history"]) == 2


def test_the_card_shows_command_figures_limits_and_licence(trained: Trained) -> None:
    card = (trained[0] / "MODEL_CARD.md").read_text()
    for expected in (
        trained[1]["manifest"]["command"],
        "### comp-attr, gallery of 24",
        "What it is not",
        "CC0-1.0",
    ):
        assert expected in card
    assert "{" not in card


def test_the_rate_and_the_time_are_said_before_training(trained: Trained) -> None:
    assert "examples/s (cpu" in trained[2][0]
    assert "2 steps of 8" in trained[2][0]


def test_a_finished_training_is_left_alone(trained: Trained) -> None:
    with pytest.raises(RefusedError, match="finished training"):
        again(trained[0])


def test_a_foreign_folder_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(RefusedError, match="not empty"):
        again(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def stop_at(step: int) -> Any:
    def observe(progress: Progress) -> None:
        if progress.step == step:
            raise KeyboardInterrupt

    return observe


def test_a_stopped_training_goes_on_to_the_same_weights(trained: Trained, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        again(out, observe=stop_at(1), save_every=0.0)
    assert [path.name for path in out.iterdir()] == [CHECKPOINT]
    with pytest.raises(RefusedError, match="seed was 0 and is now 1"):
        again(out, Options(steps=2, batch=8, seed=1))
    said: list[str] = []
    again(out, say=said.append)
    assert said[0] == "Going on from step 1 of 2"
    for name in ("model.safetensors", "config.json", "eval.json"):
        assert (out / name).read_bytes() == (trained[0] / name).read_bytes()


def test_a_damaged_checkpoint_is_named(tmp_path: Path) -> None:
    (tmp_path / CHECKPOINT).write_bytes(b"half a file")
    with pytest.raises(RefusedError, match="is damaged"):
        again(tmp_path)


def test_scenes_for_validation_are_new_and_of_no_test_split(few: Triples) -> None:
    plan = Options(steps=3, batch=8).plan(1.0, 1)
    seen = {scene.graph() for scene in few.scenes}
    held = [found.scene.graph() for found in _held_out(plan, seen)]
    assert len(held) == plan.held_out
    assert not set(held) & seen
    tests = {found.scene.graph() for split in TESTS for found in examples(split, 100)}
    assert not set(held) & tests


def test_vectors_of_half_precision_weights_are_those_of_training(trained: Trained) -> None:
    network = embedders.create("image.starter", weights=str(trained[0])).network()  # type: ignore[attr-defined]
    assert {value.dtype for value in network.state_dict().values()} == {torch.float32}
    assert all(np.isfinite(value.numpy()).all() for value in network.state_dict().values())

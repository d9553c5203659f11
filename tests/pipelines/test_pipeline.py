"""The whole way, from a source to a set, with embedders that can be computed by eye."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from embedders import BaseEmbedder, RefusedError, Runtime, SetupError, UsageError
from embedders.base import Forward
from pipelines import Pipeline, VectorSet
from pipelines.engines import LocalEngine, Progress
from tests.toy import Letters

WORDS = ["bell", "drum", "siren", "wave", "engine", "ball", "star"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "words"
    root.mkdir()
    for word in WORDS:
        (root / f"{word}.toy").write_text(word)
    (root / "empty.toy").write_text("")
    (root / "notes.pdf").write_text("passed over")
    return root


@pytest.mark.parametrize("part_rows", [1, 3, 8, 100])
def test_a_folder_becomes_a_set_with_one_row_per_record(folder: Path, tmp_path: Path, part_rows: int) -> None:
    vs = Pipeline(part_rows=part_rows).run(folder, tmp_path / "out")
    assert list(vs.ids) == sorted([*WORDS, "empty"])
    assert vs["toy_letters"].statuses == {"empty": 1, "ok": 7}
    rows = dict(zip(vs.ids, vs["toy_letters"].vectors, strict=True))
    np.testing.assert_array_equal(rows["engine"], [6, 3, 5])
    assert np.isnan(rows["empty"]).all()


def test_part_size_and_threads_do_not_change_a_vector(folder: Path, tmp_path: Path) -> None:
    first = Pipeline(part_rows=2, threads=1).run(folder, tmp_path / "a")["toy_letters"].vectors
    second = Pipeline(part_rows=5, threads=4, batch_size=1).run(folder, tmp_path / "b")["toy_letters"].vectors
    np.testing.assert_array_equal(first, second)


def test_the_same_run_writes_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        Pipeline(part_rows=3).run(folder, tmp_path / name)
    for file in ("manifest.json", "run.json", "data/part-000000.parquet", "data/part-000002.parquet"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_a_table_of_words_and_paths(folder: Path, tmp_path: Path) -> None:
    table = folder / "table.jsonl"
    rows = [{"id": "x", "word": "bell"}, {"id": "y"}, {"id": "z", "word": 3}]
    table.write_text("\n".join(map(json.dumps, rows)))
    vs = Pipeline({"word": ["toy.letters", "toy.unit"]}).run(table, tmp_path / "out")
    assert list(vs.ids) == ["x", "y", "z"]
    assert list(vs["word_unit"].status) == ["ok", "absent", "invalid"]


def test_only_the_columns_that_are_embedded_belong_to_the_plan(tmp_path: Path) -> None:
    digests = []
    for price in (1, 2):
        (tmp_path / "t.csv").write_text(f"id,word,price\na,bell,{price}\n")
        digests.append(Pipeline({"word": "toy"}).plan(tmp_path / "t.csv").plan.digest)
    assert digests[0] == digests[1]


def test_dicts_in_python(tmp_path: Path) -> None:
    records = ({"id": word, "word": word, "other": None} for word in WORDS)
    vs = Pipeline({"word": "toy"}).run(records, tmp_path / "out", limit=3)
    assert list(vs.ids) == WORDS[:3]


def test_progress_ends_with_every_cell(folder: Path, tmp_path: Path) -> None:
    seen: list[tuple[int, int, int]] = []

    def observe(progress: Progress) -> None:
        seen.append((progress.cells_done, progress.cells_failed, progress.parts_done))

    Pipeline(part_rows=3).run(folder, tmp_path / "out", observe=observe)
    assert seen[-1] == (8, 1, 3)
    assert seen == sorted(seen)


def test_missing_weights_are_said_before_anything_is_written(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(self: BaseEmbedder, runtime: Runtime) -> Forward:
        raise SetupError("no weights")

    monkeypatch.setattr(Letters, "load", load)
    with pytest.raises(SetupError):
        Pipeline().run(folder, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_crash_between_parts_leaves_an_unfinished_run(folder: Path, tmp_path: Path) -> None:
    def observe(progress: Progress) -> None:
        if progress.parts_done == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Pipeline(part_rows=3).run(folder, tmp_path / "out", observe=observe)
    with pytest.raises(RefusedError, match="1 of 3 parts"):
        VectorSet.open(tmp_path / "out")


@pytest.mark.parametrize("broken", [False, True])
def test_weights_are_loaded_first_and_only_where_something_is_to_be_done(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: bool
) -> None:
    out = tmp_path / "out"
    Pipeline(part_rows=3).run(folder, out)
    before = (out / "manifest.json").read_bytes()
    if broken:
        (out / "data/part-000001.parquet").write_bytes(b"rotten")
    loads: list[bool] = []
    load = LocalEngine.load
    monkeypatch.setattr(LocalEngine, "load", lambda self: (loads.append((out / "data").exists()), load(self))[1])
    Pipeline(part_rows=3).run(folder, out)
    assert loads == [True] * broken
    assert (out / "manifest.json").read_bytes() == before


def test_a_source_that_changes_during_the_run_is_noticed(folder: Path, tmp_path: Path) -> None:
    job = Pipeline(part_rows=3).plan(folder)
    (folder / "aardvark.toy").write_text("late")
    with pytest.raises(UsageError, match="changed"):
        job.run(tmp_path / "out")


def test_run_json_says_what_was_asked_for(folder: Path, tmp_path: Path) -> None:
    Pipeline(weights="random:5").run(folder, tmp_path / "out")
    run = json.loads((tmp_path / "out/run.json").read_text())
    assert run["circumstances"]["source"]["kind"] == "folder"
    assert run["plan"]["rows"] == 8
    assert run["columns"][0]["fingerprint"]["options"] == {"scale": 1.0, "weights": "random:5"}


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Pipeline(batch_size=0), "batch_size is 0"),
        (lambda: Pipeline(part_rows=-1), "part_rows is -1"),
        (lambda: Pipeline().plan("/no/such/folder"), "no file or folder"),
        (lambda: Pipeline().plan("tests/embedders"), "holds no records; ignored there: "),
        (lambda: Pipeline().plan("tests", root="/"), "paths of a table"),
        (lambda: Pipeline({"word": "toy"}).plan([{"id": "a", "word": "x"}] * 2), "must be unique"),
        (lambda: Pipeline({"a": "toy(as=b_status)", "b": "toy(as=x)"}).plan([{"a": "x", "b": "y"}]), None),
        (lambda: Pipeline({"a": "toy", "a_letters": "toy"}).plan([{"a": "x", "a_letters": "y"}]), "both be stored"),
    ],
)
def test_wrong_options_name_the_cure(make: Callable[[], Any], says: str | None) -> None:
    if says is None:
        make()
        return
    with pytest.raises(UsageError, match=says):
        make()

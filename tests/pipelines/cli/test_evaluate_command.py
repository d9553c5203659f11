"""`embed evaluate` as a person and a program meet it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from embedders.errors import StorageError, UsageError
from pipelines.cli.evaluate import EvaluateOptions, evaluate_command
from pipelines.uses.evaluation import Evaluator, Outcome
from pipelines.vectors import VectorSet
from tests.pipelines.uses.evaluation.sets import made

ROWS = 40
Command = Callable[..., tuple[str, str]]


@pytest.fixture
def vs(tmp_path: Path) -> VectorSet:
    rng = np.random.default_rng(0)
    photo = rng.standard_normal((ROWS, 4))
    photo[3] = np.nan
    return made(tmp_path / "set", {"photo_clip": photo, "caption_clip": rng.standard_normal((ROWS, 4))})


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "labels.csv"
    rows = [f"r{row},{'ab'[row % 2]},g{row // 2},{row},{'train' if row < 30 else 'test'}" for row in range(1, ROWS)]
    path.write_text("\n".join(["id,kind,pair,grade,part", *rows, "stranger,a,g99,99,train"]) + "\n")
    return path


@pytest.fixture
def evaluated(vs: VectorSet, capsys: pytest.CaptureFixture[str]) -> Command:
    def call(save: Path | None = None, as_json: bool = False, **options: Any) -> tuple[str, str]:
        evaluate_command(vs.storage.root, EvaluateOptions(**options), save=save, as_json=as_json)
        printed = capsys.readouterr()
        return printed.out, printed.err

    return call


def test_without_options_pairs_are_retrieved_both_ways_and_more_is_offered(evaluated: Command) -> None:
    out, err = evaluated()
    assert [line for line in out.splitlines() if line.startswith("###")] == [
        "### retrieval: photo_clip -> caption_clip",
        "### retrieval: caption_clip -> photo_clip",
        "### gap: photo_clip, caption_clip",
        "### duplicates: photo_clip",
        "### duplicates: caption_clip",
    ]
    assert "left out: 1 not ok in photo_clip (queries)" in out
    assert "knn, probe, clustering: --labels FILE --label COLUMN" in err
    assert "zero_shot: --labels FILE --label COLUMN --template 'a {}'" in err
    assert "sts: --labels FILE --score COLUMN" in err
    assert "swap: --swap ANCHOR RIGHT WRONG" in err
    assert max(map(len, (out + err).splitlines())) <= 80


def test_json_is_the_only_thing_on_stdout_and_equals_the_file(
    evaluated: Command, vs: VectorSet, tmp_path: Path
) -> None:
    out, _ = evaluated(save=tmp_path / "figures.json", as_json=True, seed=3)
    found = json.loads(out)
    assert json.loads((tmp_path / "figures.json").read_text()) == found
    assert (found["rows"], found["seed"], found["path"]) == (ROWS, 3, str(vs.storage.root))
    own = [outcome.to_json() for outcome in Evaluator(vs, seed=3).run()]
    assert found["outcomes"] == own


def test_the_table_goes_to_stdout_when_a_file_is_written_too(evaluated: Command, tmp_path: Path) -> None:
    out, _ = evaluated(save=tmp_path / "figures.json")
    assert out.startswith("### retrieval")
    assert json.loads((tmp_path / "figures.json").read_text())["outcomes"]


def test_labels_are_joined_by_id_and_strangers_said(evaluated: Command, table: Path) -> None:
    out, err = evaluated(labels=table, label="kind", protocols=["knn"], columns=["caption_clip"])
    assert "### knn: caption_clip" in out
    assert "39 rows asked, 38 to learn from" in out
    assert "left out: 1 not in the labels" in out
    assert "1 ids of the labels are not in the set" in err


def test_splits_and_groups_come_from_the_table(evaluated: Command, table: Path) -> None:
    out, _ = evaluated(labels=table, label="kind", group="pair", split="part", protocols=["knn"])
    assert "10 rows asked, 29 to learn from" in out
    out, _ = evaluated(labels=table, group="pair", protocols=["retrieval"])
    assert "not in the labels" in out


def test_scores_of_a_table_are_correlated(evaluated: Command, table: Path) -> None:
    out, _ = evaluated(labels=table, score="grade", protocols=["sts"])
    assert "| spearman" in out


@pytest.mark.parametrize("suffix", ["jsonl", "tsv", "parquet"])
def test_labels_stand_in_any_table(evaluated: Command, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"labels.{suffix}"
    rows = [{"name": f"r{row}", "kind": row % 2} for row in range(ROWS)]
    if suffix == "jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    elif suffix == "tsv":
        path.write_text("name\tkind\n" + "".join(f"{row['name']}\t{row['kind']}\n" for row in rows))
    else:
        import pyarrow as pa
        import pyarrow.parquet as pq

        pq.write_table(pa.Table.from_pylist(rows), path)
    out, _ = evaluated(labels=path, label="kind", id_column="name", protocols=["knn"], columns=["caption_clip"])
    assert "40 rows asked" in out


def test_rows_of_the_table_that_cannot_be_read_are_counted(evaluated: Command, tmp_path: Path) -> None:
    path = tmp_path / "labels.jsonl"
    path.write_text(
        "".join(json.dumps({"id": f"r{row}", "kind": row % 2}) + "\n" for row in range(30)) + "{broken\n"
    )
    out, err = evaluated(labels=path, label="kind", protocols=["knn"], columns=["caption_clip"])
    assert "30 rows asked" in out
    assert "1 rows of the labels cannot be read" in err


def test_a_table_that_ends_too_soon_is_refused(evaluated: Command, tmp_path: Path) -> None:
    path = tmp_path / "cut.csv"
    path.write_text('id,kind\nr0,a\nr1,"b\nr2,a\n')
    with pytest.raises(UsageError, match="The labels cannot be read whole"):
        evaluated(labels=path, label="kind")


def test_columns_without_rows_are_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made(tmp_path / "half", {"a_x": np.eye(4), "b_x": np.full((4, 4), np.nan)})
    evaluate_command(tmp_path / "half", EvaluateOptions(), save=None, as_json=False)
    err = capsys.readouterr().err
    assert "Passed over, with fewer than 2 rows that are ok: b_x" in err
    assert "No retrieval: it takes two columns of one space from different fields" in err


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"label": "kind"}, "--label kind names a column of no table. Add --labels FILE"),
        ({"labels": "{table}"}, "Add --label, --group, --split or --score"),
        ({"labels": "{table}", "label": "kinds"}, "Did you mean 'kind'"),
        ({"labels": "/no/such.csv", "label": "kind"}, "no file '/no/such.csv'"),
        ({"labels": "{table}", "label": "kind", "id_column": "grade"}, "None of the 40 ids"),
        ({"protocols": ["sts"]}, "--protocol sts lacks score. Add --labels FILE --score COLUMN"),
        ({"protocols": ["nothing"]}, "There is no protocol 'nothing'"),
        ({"columns": ["photo"]}, "Did you mean 'photo_clip'"),
        ({"embedders": ["toy.unit", "toy.letters"]}, "2 embedders are named"),
        ({"labels": "{table}", "label": "kind", "group": "kind", "split": "part"}, "rows in two splits"),
    ],
)
def test_mistakes_name_the_cure(evaluated: Command, table: Path, options: dict[str, Any], says: str) -> None:
    if "labels" in options:
        options = options | {"labels": Path(str(options["labels"]).replace("{table}", str(table)))}
    with pytest.raises(UsageError) as raised:
        evaluated(**options)
    assert says in str(raised.value)


def test_a_table_without_ids_is_refused(evaluated: Command, tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("name,kind\nr0,a\nr1,b\n")
    with pytest.raises(UsageError, match="Name that of the ids: --id-column"):
        evaluated(labels=tmp_path / "labels.csv", label="kind")


def test_a_file_that_cannot_be_written_is_a_storage_error(evaluated: Command, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot be written"):
        evaluated(save=tmp_path / "no" / "figures.json")


def test_neither_a_set_nor_embedders_is_refused() -> None:
    with pytest.raises(UsageError, match="no vector set"):
        evaluate_command(None, EvaluateOptions(mteb=["STSBenchmark"]), save=None, as_json=False)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"embedders": ["toy.unit"]}, ["toy:unit"]),
        ({"columns": ["b_letters"]}, ["toy:2"]),
        ({}, ["toy:2", "toy:unit"]),
    ],
    ids=["named", "a column", "all columns"],
)
def test_mteb_gets_the_embedders_named_or_those_of_the_columns(
    given: dict[str, Any], expected: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two columns by one embedder give it once; the bridge itself refuses two spaces."""
    from pipelines import Pipeline
    from pipelines.uses.evaluation import mteb_bridge

    fields = {"a": "toy.letters(scale=2)", "b": "toy.letters(scale=2)", "c": "toy.unit"}
    Pipeline(fields).run([{"id": "r", "a": "bell", "b": "drum", "c": "wave"}], tmp_path / "set")
    bundled: list[str] = []
    monkeypatch.setattr(
        mteb_bridge, "MtebEncoder", lambda chosen, **o: bundled.extend(e.spec.space for e in chosen)
    )
    monkeypatch.setattr(mteb_bridge, "run_mteb", lambda task, encoder: Outcome("mteb", (), 0, notes=(task,)))
    evaluate_command(tmp_path / "set", EvaluateOptions(mteb=["A"], **given), save=None, as_json=True)
    assert bundled == expected

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from embedders import UsageError
from pipelines.records import Record, TableSource
from tests.pipelines.records.conftest import Write


def test_ids_are_distinct_texts(write: Write) -> None:
    source = TableSource(write("t.csv", "id,x\n001,a\n1,a\n1.0,a\n 1 ,a\n"))
    assert [record.id for record in source.records()] == ["001", "1", "1.0", " 1 "]


def test_the_column_id_is_no_field(write: Write) -> None:
    assert TableSource(write("t.csv", "photo,id,caption\nx,a,y\n")).fields() == ("photo", "caption")


def test_another_id_column_stays_a_field(write: Write) -> None:
    source = TableSource(write("t.csv", "photo,caption\na.jpg,x\n"), id_column="photo")
    assert source.fields() == ("photo", "caption")
    assert list(source.records()) == [Record("a.jpg", {"photo": "a.jpg", "caption": "x"})]


def test_without_id_column_records_are_numbered_so_that_they_sort(write: Write) -> None:
    source = TableSource(write("t.csv", "photo\n" + "a.jpg\n" * 11))
    assert [record.id for record in source.records()][::10] == ["00000000", "00000010"]


def test_numbers_count_broken_rows_too(write: Write) -> None:
    source = TableSource(write("t.csv", "photo,caption\na,x\nb\nc,z\n"))
    assert [record.id for record in source.records()] == ["00000000", "t.csv:3", "00000002"]


@pytest.mark.parametrize("name", ["t.csv", "t.jsonl"])
def test_an_unknown_id_column_names_the_nearest(write: Write, name: str) -> None:
    path = write(name, "image_id,x\na,b\n" if name == "t.csv" else '{"image_id": "a", "x": "b"}\n')
    with pytest.raises(UsageError, match=r"no column 'imageid'. Did you mean 'image_id'\? Known: image_id, x"):
        TableSource(path, id_column="imageid")


def test_an_unknown_column_names_the_nearest(write: Write) -> None:
    with pytest.raises(UsageError, match=r"no column 'captoin'\. Did you mean 'caption'"):
        TableSource(write("t.csv", "id,caption\na,b\n"), columns=["captoin"])


def test_an_empty_id_is_refused_by_line_with_the_cure(write: Write) -> None:
    source = TableSource(write("t.csv", "id,x\na,1\n,2\n"))
    with pytest.raises(UsageError, match=r"t\.csv', line 3: the id is missing or empty.*Fill the column 'id'"):
        list(source.records())


@pytest.mark.parametrize("name", ["t.csv", "t.tsv", "t.jsonl"])
def test_columns_select_fields(write: Write, name: str) -> None:
    content = {
        "t.csv": "id,x,y\na,1,2\n",
        "t.tsv": "id\tx\ty\na\t1\t2\n",
        "t.jsonl": '{"id": "a", "x": "1", "y": "2"}',
    }[name]
    assert list(TableSource(write(name, content), columns=["y"]).records()) == [Record("a", {"y": "2"})]


def test_root_is_the_tables_folder(write: Write, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    write("sub/t.csv", "id\na\n")
    monkeypatch.chdir(tmp_path)
    assert TableSource("sub/t.csv").root == tmp_path / "sub"


def test_every_pass_is_equal(write: Write) -> None:
    source = TableSource(write("t.jsonl", "\n".join(json.dumps({"id": n, "x": n}) for n in range(50)) + "\n{"))
    first, second = list(source.records()), list(source.records())
    assert [(r.id, r.fields, str(r.problem)) for r in first] == [(r.id, r.fields, str(r.problem)) for r in second]


def test_a_pass_that_is_given_up_leaves_no_open_file(write: Write) -> None:
    source = TableSource(write("t.csv", "id\na\nb\n"))
    before = len(os.listdir("/proc/self/fd"))
    records = source.records()
    assert next(records).id == "a"
    del records
    assert len(os.listdir("/proc/self/fd")) == before


def test_the_description_is_plain_json(write: Write) -> None:
    path = write("t.csv.gz", "id,x,y\na,1,2\n")
    described = TableSource(path).describe()
    expected = {"kind": "table", "path": str(path), "format": "csv.gz", "id_column": "id", "fields": ["x", "y"]}
    assert described == expected
    assert json.loads(json.dumps(described)) == described


def test_a_missing_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="There is no file"):
        TableSource(tmp_path / "t.csv")


def test_a_pipe_is_refused_without_being_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "t.csv")
    with pytest.raises(UsageError, match="There is no file"):
        TableSource(tmp_path / "t.csv")


def test_another_suffix_is_refused_with_the_known_ones(write: Write) -> None:
    with pytest.raises(UsageError, match=r"no table that can be read.*\.parquet"):
        TableSource(write("t.xlsx", "x"))

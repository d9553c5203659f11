from __future__ import annotations

import csv
import io
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedders import Status, UsageError
from pipelines.records import Record, TableSource
from tests.pipelines.records.conftest import Write


def records(path: Path) -> list[Record]:
    return list(TableSource(path).records())


def column(path: Path, name: str) -> list[object]:
    return [record.fields[name] for record in records(path)]


@pytest.mark.parametrize(("name", "comma"), [("t.csv", ","), ("t.CSV", ","), ("t.tsv", "\t"), ("t.csv.gz", ",")])
def test_rows_are_records_and_columns_are_fields(write: Write, name: str, comma: str) -> None:
    path = write(name, "id,photo,caption\na,a.jpg,two bells\nb,b.jpg,a drum\n".replace(",", comma))
    assert records(path) == [
        Record("a", {"photo": "a.jpg", "caption": "two bells"}),
        Record("b", {"photo": "b.jpg", "caption": "a drum"}),
    ]


@pytest.mark.parametrize("word", ["NA", "null", "NaN", "None", "001", "1.0", " 1 ", "true", "=HYPERLINK(1)", "-"])
def test_cells_are_text_as_written(write: Write, word: str) -> None:
    assert column(write("t.csv", f"id,caption\na,{word}\n"), "caption") == [word]


def test_an_empty_cell_is_absent(write: Write) -> None:
    assert column(write("t.csv", 'id,caption\na,\nb,""\nc, \n'), "caption") == [None, None, " "]


@pytest.mark.parametrize(
    "content",
    [
        'id,caption\na,"two\nlines"\nb,x\n',
        'id,caption\r\na,"two\r\nlines"\r\nb,x\r\n',
        "id,caption\ra,x\rb,y\r",
        'id,caption\na,"a ""quoted"" word"\nb,"1,2"',
        "id,caption\na,nul\0inside\n",
        "id,caption\na,\u2028line separator\n",
        '\n\nid,caption\n\na,"x"\n\n\n',
    ],
)
def test_quotes_and_line_ends_are_read_as_the_csv_module_reads_them(write: Write, content: str) -> None:
    header, *rows = [row for row in csv.reader(io.StringIO(content, newline="")) if row]
    found = [[record.id, record.fields["caption"]] for record in records(write("t.csv", content))]
    assert header == ["id", "caption"]
    assert found == rows


@given(st.lists(st.lists(st.text(st.characters(codec="utf-8"), min_size=1), min_size=2, max_size=2), min_size=1))
def test_what_the_csv_module_writes_comes_back(
    tmp_path_factory: pytest.TempPathFactory, cells: list[list[str]]
) -> None:
    path = tmp_path_factory.mktemp("written") / "t.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, quoting=csv.QUOTE_ALL).writerows([["photo", "caption"], *cells])
    assert [list(record.fields.values()) for record in records(path)] == cells


def test_a_byte_order_mark_is_no_part_of_the_header(write: Write) -> None:
    assert records(write("t.csv", b"\xef\xbb\xbfid,caption\na,x\n")) == [Record("a", {"caption": "x"})]


@pytest.mark.parametrize(("row", "cells"), [("b,x,y", 3), ("b", 1)])
def test_a_ragged_row_keeps_its_place_and_id(write: Write, row: str, cells: int) -> None:
    a, b, c = records(write("t.csv", f"id,caption\na,x\n{row}\nc,z\n"))
    assert (a.problem, b.id, c.id, c.problem) == (None, "b", "c", None)
    assert b.problem is not None
    assert (b.problem.status, b.problem.code) == (Status.INVALID, "REC_COLUMNS")
    assert str(b.problem) == f"line 3 has {cells} cells, the header has 2"


def test_a_ragged_row_without_readable_id_is_named_by_its_line(write: Write) -> None:
    path = write("t.csv", 'caption,id\n"two\nlines",a\nx\n')
    assert [record.id for record in records(path)] == ["a", "t.csv:4"]


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ("id,c\na,x\nb,caf\xe9\n".encode("latin-1"), 3),
        (("id,c\n" + "a,x\n" * 50_000 + "b,\xe9\n").encode("latin-1"), 50_002),
        ("id,c\na,x\n".encode("utf-16"), 1),
        (b"id,c\na,x\xe2\x82", 2),
    ],
)
def test_another_encoding_is_refused_by_line_with_the_cure(write: Write, content: bytes, line: int) -> None:
    with pytest.raises(UsageError, match=rf"line {line}: not UTF-8.*iconv"):
        records(write("t.csv", content))


def test_a_repeated_column_is_refused(write: Write) -> None:
    with pytest.raises(UsageError, match="more than one column 'caption'"):
        TableSource(write("t.csv", "id,caption,caption\na,x,y\n"))


@pytest.mark.parametrize("content", ["", "\n\n", b"\xef\xbb\xbf"])
def test_a_file_without_header_holds_no_records(write: Write, content: str | bytes) -> None:
    with pytest.raises(UsageError, match="no records"):
        TableSource(write("t.csv", content))


def test_an_index_column_without_name_is_a_column(write: Write) -> None:
    assert TableSource(write("t.csv", ",caption\n0,x\n")).fields() == ("", "caption")


def test_long_cells_are_read(write: Write) -> None:
    assert column(write("t.csv", f"id,caption\na,{'x' * 3_000_000}\n"), "caption") == ["x" * 3_000_000]


def test_long_cells_are_read_in_every_thread(write: Write) -> None:
    path = write("t.csv", f"id,caption\na,{'x' * 200_000}\n")
    lengths: list[int] = []
    thread = threading.Thread(target=lambda: lengths.append(len(str(column(path, "caption")[0]))))
    thread.start()
    thread.join()
    assert lengths == [200_000]


def test_a_file_that_is_not_compressed_is_no_gz(write: Write) -> None:
    path = write("t.csv", "id,caption\n").rename(Path(str(write("x", "")) + ".csv.gz"))
    with pytest.raises(UsageError, match="DAMAGED: the file is damaged: Not a gzipped file"):
        records(path)


def test_a_failing_disk_is_a_usage_error(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write("t.csv", "id,caption\na,x\n")

    def broken(*_: object, **__: object) -> object:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(Path, "open", broken)
    with pytest.raises(UsageError, match=r"t\.csv' cannot be read: Input/output error"):
        TableSource(path)

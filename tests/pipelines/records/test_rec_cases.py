"""Hostile tables of the catalogue that are damage of the source, and those that no other file here names."""

from __future__ import annotations

import gzip
import json
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from embedders import Status, UsageError
from pipelines.records import Plan, Record, SourceError, TableSource, delimited, make_plan, stream
from tests.pipelines.records.archives import packed
from tests.pipelines.records.conftest import Write


def read(source: TableSource) -> tuple[list[str], list[tuple[str, int, int]]]:
    """Ids, and code, line and rows before of every source error."""
    ids = [record.id for record in source.records()]
    return ids, [(error.code, error.at, error.read) for error in source.errors()]


@pytest.mark.parametrize(
    ("content", "ids", "line"),
    [
        ('id,c\na,x\nb,"open\nc,y\nd,z\n', ["a"], 3),
        ('id,c\na,"x" y\nb,z\n', [], 2),
        ('id,c\na,"two\nlines"\nb,x\nc,"', ["a", "b"], 5),
    ],
)
def test_rec_07_an_unterminated_quote_keeps_the_rows_before_it(
    write: Write, content: str, ids: list[str], line: int
) -> None:
    source = TableSource(write("t.csv", content))
    assert read(source) == (ids, [("REC_QUOTE", line, len(ids))])
    (error,) = source.errors()
    assert (error.file, error.unit) == ("t.csv", "line")
    assert "close every quote" in str(error)


def test_rec_07_a_broken_header_is_refused(write: Write) -> None:
    with pytest.raises(UsageError, match=r"No row can be read: 't\.csv', line 1, 0 read before: REC_QUOTE"):
        TableSource(write("t.csv", '"id,c\na,x\n'))


def test_rec_07_a_line_without_end_is_a_source_error(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delimited, "LINE_CHARACTERS", 1000)
    assert read(TableSource(write("t.csv", f"id,c\na,x\nb,{'x' * 1000}\nc,y\n"))) == (
        ["a"],
        [("REC_LINE", 3, 1)],
    )


def test_rec_07_a_limit_before_the_damage_meets_none(write: Write) -> None:
    source = TableSource(write("t.csv", 'id,c\na,x\nb,y\nc,"open\n'))
    assert make_plan(source, 10, limit=2).source_errors == ()
    assert make_plan(source, 10).source_errors == (source.errors()[0],)


def test_rec_10_a_bad_line_is_named_by_its_file_and_line(write: Write) -> None:
    source = TableSource(write("t.jsonl", '{"id": "a"}\n\n{"id": \n\n{"id": "c"}\n'))
    a, b, c = source.records()
    assert (a.id, b.id, c.id) == ("a", "t.jsonl:3", "c")
    assert b.problem is not None
    assert (b.problem.status, b.problem.code) == (Status.CORRUPT, "REC_JSON")
    assert source.errors() == []


@pytest.mark.parametrize("name", ["t.csv.gz", "t.csv.zst", "t.jsonl.gz", "t.jsonl.zst"])
def test_rec_14_a_bomb_stops_at_its_ratio_and_the_rows_before_stay(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "RATIO_FREE", 1 << 16)
    head = b'{"id": "a", "c": "x"}\n' if "jsonl" in name else b"id,c\na,x\n"
    path = tmp_path / name
    path.write_bytes(packed(name, head + b"\n" * (1 << 21)))
    source = TableSource(path)
    began = time.process_time()
    ids, ((code, _, before),) = read(source)
    assert (ids, code, before) == (["a"], "RATIO", 1)
    assert time.process_time() - began < 2


@pytest.mark.parametrize("name", ["t.csv.gz", "t.csv.zst", "t.jsonl.gz"])
def test_rec_14_a_bomb_without_rows_is_refused(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "RATIO_FREE", 1 << 16)
    (tmp_path / name).write_bytes(packed(name, b"0" * (1 << 22)))
    with pytest.raises(UsageError, match=r"No row can be read.*RATIO: the file grows more than 200 times"):
        TableSource(tmp_path / name)


@pytest.mark.parametrize("name", ["t.csv.gz", "t.csv.zst", "t.tsv.gz", "t.jsonl.gz", "t.ndjson.zst"])
def test_rec_15_a_cut_compressed_table_keeps_whole_rows_only(tmp_path: Path, name: str) -> None:
    comma = "\t" if "tsv" in name else ","
    rows = [{"id": f"{n}", "c": f"caption {n * n}"} for n in range(100)]
    lines = (
        [json.dumps(row) for row in rows]
        if "json" in name
        else [f"id{comma}c", *(f"{row['id']}{comma}{row['c']}" for row in rows)]
    )
    truth = [Record(row["id"], {"c": row["c"]}) for row in rows]
    whole = packed(name, "\n".join(lines).encode())
    path = tmp_path / name
    path.write_bytes(whole)
    assert list(TableSource(path).records()) == truth
    refused: list[str] = []
    for length in range(1, len(whole), 7):
        path.write_bytes(whole[:length])
        try:
            source = TableSource(path)
        except UsageError as error:
            refused.append(str(error))
            continue
        found = list(source.records())
        assert found == truth[: len(found)]
        assert [(error.code, error.read) for error in source.errors()] == [("DAMAGED", len(found))]
    assert refused
    assert all("No row can be read" in message and "DAMAGED" in message for message in refused)


@pytest.mark.parametrize("place", [0.2, 0.5, 0.8])
def test_rec_15_a_flipped_byte_of_a_compressed_table_is_never_silent(tmp_path: Path, place: float) -> None:
    whole = bytearray(gzip.compress(b"c\n" + b"".join(b"%d\n" % (n * n) for n in range(20_000))))
    whole[int(len(whole) * place)] ^= 0xFF
    path = tmp_path / "t.csv.gz"
    path.write_bytes(whole)
    source = TableSource(path)
    try:
        found = [record.fields["c"] for record in source.records()]
    except UsageError as error:
        assert "not UTF-8" in str(error)  # noqa: PT017 - which of the two depends on the bytes that come out
        return
    assert found[:1000] == [str(n * n) for n in range(1000)]
    assert len(source.errors()) == 1


def test_rec_19_types_that_only_a_package_knows_are_their_storage(tmp_path: Path) -> None:
    column = pa.field(
        "c", pa.string(), metadata={"ARROW:extension:name": "evil.Type", "ARROW:extension:metadata": "x"}
    )
    table = pa.table([pa.array(["a"]), pa.array(["x"])], schema=pa.schema([pa.field("id", pa.string()), column]))
    pq.write_table(table, tmp_path / "t.parquet")
    assert list(TableSource(tmp_path / "t.parquet").records()) == [Record("a", {"c": "x"})]


def test_rec_18_of_ten_thousand_columns_only_the_wanted_are_read(tmp_path: Path) -> None:
    pq.write_table(pa.table({f"c{n}": ["x"] for n in range(10_000)}), tmp_path / "t.parquet")
    source = TableSource(tmp_path / "t.parquet", columns=["c9999"])
    assert list(source.records()) == [Record("00000000", {"c9999": "x"})]


def test_rec_21_every_record_is_a_row_whatever_it_has(write: Write) -> None:
    lines = [{"id": 0, "p": "x"}, {"id": 1, "q": "y"}, {"id": 2, "p": "x", "q": "y"}, {"id": 3}]
    source = TableSource(write("t.jsonl", "\n".join(map(json.dumps, lines))))
    assert [sorted(name for name, v in r.fields.items() if v is not None) for r in source.records()] == [
        ["p"],
        ["q"],
        ["p", "q"],
        [],
    ]


@pytest.mark.parametrize("after", ["id,c\nb,2\na,1\n", "id,c\na,1\nb,2\nc,3\n", "id,c\na,1\nb,3\n"])
def test_rec_25_26_a_table_that_was_shuffled_or_grew_is_another_plan(write: Write, after: str) -> None:
    before = make_plan(TableSource(write("t.csv", "id,c\na,1\nb,2\n")), 10)
    assert make_plan(TableSource(write("t.csv", after)), 10).digest != before.digest


ERROR = SourceError("s.tar", "byte", 512, 3, "TAR_CUT", "it breaks off")


def test_source_errors_survive_json_and_count_for_the_digest(write: Write) -> None:
    source = TableSource(write("t.csv", 'id,c\na,x\nb,"open\n'))
    made = make_plan(source, 10)
    assert Plan.from_json(json.loads(json.dumps(made.to_json()))) == made
    assert made.digest != Plan.of(made.parts, made.part_rows).digest
    assert made.digest != Plan.of(made.parts, made.part_rows, [ERROR]).digest


@pytest.mark.parametrize(
    "wrong", [{}, {"at": "512"}, {"read": True}, {"code": None}, {"more": 1}, {"file": ["s.tar"]}]
)
def test_recorded_source_errors_of_other_types_are_refused(write: Write, wrong: dict[str, Any]) -> None:
    made = make_plan(TableSource(write("t.csv", "id,c\na,x\n")), 10)
    recorded = {**made.to_json(), "source_errors": [{**ERROR.to_json(), **wrong} if wrong else wrong]}
    with pytest.raises(UsageError, match="The recorded plan cannot be read"):
        Plan.from_json(recorded)


def test_a_source_error_reads_as_a_sentence() -> None:
    assert str(ERROR) == "'s.tar', byte 512, 3 read before: TAR_CUT: it breaks off"

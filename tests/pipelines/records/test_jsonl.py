from __future__ import annotations

import json
import time
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedders import Status, UsageError
from pipelines.records import Record, TableSource, jsonl
from tests.pipelines.records.conftest import Write


def records(path: Path) -> list[Record]:
    return list(TableSource(path).records())


def judged(record: Record) -> tuple[str, Status, str]:
    assert record.problem is not None
    return record.id, record.problem.status, record.problem.code


@pytest.mark.parametrize("name", ["t.jsonl", "t.ndjson", "t.jsonl.gz"])
def test_lines_are_records(write: Write, name: str) -> None:
    path = write(name, '{"id": "a", "photo": "a.jpg"}\n{"id": 7, "photo": "b.jpg"}')
    assert records(path) == [Record("a", {"photo": "a.jpg"}), Record("7", {"photo": "b.jpg"})]


def test_a_missing_key_and_null_are_absent(write: Write) -> None:
    path = write("t.jsonl", '{"id": "a", "photo": "x"}\n{"id": "b", "caption": null}\n')
    assert [record.fields for record in records(path)] == [
        {"photo": "x", "caption": None},
        {"photo": None, "caption": None},
    ]


def test_a_key_that_appears_late_is_a_field(write: Write) -> None:
    lines = [json.dumps({"id": n, "photo": "x"}) for n in range(2000)] + ['{"id": "last", "caption": "x"}']
    assert TableSource(write("t.jsonl", "\n".join(lines))).fields() == ("photo", "caption")


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["x", "late"]), inner, max_size=2),
    max_leaves=4,
)
keys = st.sampled_from(["x", "y", 'say "x"', "back\\slash", "ä", "late", "a.b*"])
tables = st.lists(st.dictionaries(keys, values, max_size=4), min_size=1, max_size=6)


@given(table=tables, ascii_only=st.booleans(), indent=st.sampled_from([None, "  "]))
def test_fields_are_the_keys_of_all_lines(
    tmp_path_factory: pytest.TempPathFactory, table: list[dict[str, object]], ascii_only: bool, indent: str | None
) -> None:
    path = tmp_path_factory.mktemp("t") / "t.jsonl"
    lines = [json.dumps(row, ensure_ascii=ascii_only, indent=indent).replace("\n", " ") for row in table]
    path.write_text("\n".join(lines), "utf-8")
    assert jsonl.JsonLines(path).names() == tuple(dict.fromkeys(name for row in table for name in row))


@pytest.mark.parametrize(
    "line", ['{"x": "1", "x": 2}', '{"x": "1"} y', '{"x": 1', '{"x": "1" "y": 2}', '{"x": "\x01"}']
)
def test_a_broken_line_has_no_fields_and_hides_none(write: Write, line: str) -> None:
    assert TableSource(write("t.jsonl", f'{{"x": 1}}\n{line}\n{{"x": 1, "z": 2}}\n')).fields() == ("x", "z")


@pytest.mark.parametrize("first", ["{}", '{"x": 1}', '{"x": ""}'])
def test_a_long_line_of_blanks_takes_no_longer_than_another(write: Write, first: str) -> None:
    blanks = " " * 1_000_000
    lines = [first, "{" + blanks, '{"x"' + blanks, '{"x": 1' + blanks, '{"x": "' + blanks]
    began = time.process_time()
    TableSource(write("t.jsonl", "\n".join(lines)))
    assert time.process_time() - began < 2


def test_fewer_fields_do_not_read_the_table_again(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    source = TableSource(write("t.jsonl", '{"id": "a", "x": 1, "y": 2}\n'), id_column="x")
    monkeypatch.setattr(jsonl.JsonLines, "names", None)
    fewer = source.only(["y"])
    assert list(fewer.records()) == [Record("1", {"y": 2})]
    assert fewer.fields() == ("y",)
    assert source.fields() == ("x", "y")
    with pytest.raises(UsageError, match="no column 'z'"):
        source.only(["z"])


def test_values_keep_their_type(write: Write) -> None:
    path = write("t.jsonl", '{"id": 1, "x": "1"}\n{"id": 2, "x": 1}\n{"id": 3, "x": [true, {"a": 1.5}]}\n')
    assert [record.fields["x"] for record in records(path)] == ["1", 1, [True, {"a": 1.5}]]


def test_a_lone_surrogate_passes_through(write: Write) -> None:
    assert records(write("t.jsonl", '{"id": "a", "x": "\\ud800"}'))[0].fields["x"] == "\ud800"


def test_blank_lines_are_no_records(write: Write) -> None:
    path = write("t.jsonl", '\n{"id": "a"}\r\n  \t\r\n\n{"id": "b"}\n\n')
    assert [record.id for record in records(path)] == ["a", "b"]


def test_a_byte_order_mark_is_passed_over(write: Write) -> None:
    assert [record.id for record in records(write("t.jsonl", b'\xef\xbb\xbf{"id": "a"}\n'))] == ["a"]


@pytest.mark.parametrize(
    ("line", "status", "code"),
    [
        ('{"id": "b", ', Status.CORRUPT, "REC_JSON"),
        ("{'id': 'b'}", Status.CORRUPT, "REC_JSON"),
        ('{"id": "b"} {"id": "c"}', Status.CORRUPT, "REC_JSON"),
        ('{"id": "raw\ttab"}', Status.CORRUPT, "REC_JSON"),
        (b'{"id": "caf\xe9"}', Status.INVALID, "REC_ENCODING"),
        ('["b"]', Status.INVALID, "REC_OBJECT"),
        ("null", Status.INVALID, "REC_OBJECT"),
        ('{"id": "b", "x": 1, "x": 2}', Status.INVALID, "REC_DUPLICATE_KEY"),
        ('{"id": "b", "x": {"y": 1, "y": 2}}', Status.INVALID, "REC_DUPLICATE_KEY"),
        ('{"id": "b", "x": NaN}', Status.INVALID, "REC_NUMBER"),
        ('{"id": "b", "x": -Infinity}', Status.INVALID, "REC_NUMBER"),
        ('{"id": "b", "x": ' + "9" * 5000 + "}", Status.INVALID, "REC_NUMBER"),
        ('{"id": "b", "x": ' + "[" * 100_000 + "]" * 100_000 + "}", Status.INVALID, "REC_NESTING"),
        ('{"id": "b", "x": ' + '{"a":' * 100_000, Status.INVALID, "REC_NESTING"),
    ],
)
def test_a_broken_line_costs_only_itself(write: Write, line: str | bytes, status: Status, code: str) -> None:
    raw = line.encode() if isinstance(line, str) else line
    path = write("t.jsonl", b'{"id": "a"}\n\n' + raw + b'\n{"id": "c"}\n')
    before, broken, after = records(path)
    assert (before.problem, after.problem) == (None, None)
    assert judged(broken) == ("t.jsonl:3", status, code)
    assert str(broken.problem).startswith("line 3: ")


def test_brackets_in_text_are_no_nesting(write: Write) -> None:
    text = '[{"' * 1000 + "\\"
    assert records(write("t.jsonl", json.dumps({"id": "a", "x": text})))[0].fields["x"] == text


def test_many_lists_beside_each_other_are_no_nesting(write: Write) -> None:
    (record,) = records(write("t.jsonl", json.dumps({"id": "a", "x": [[n] for n in range(1000)]})))
    assert record.problem is None


@given(st.recursive(st.text() | st.integers() | st.none(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)))
def test_whatever_json_writes_comes_back(tmp_path_factory: pytest.TempPathFactory, value: object) -> None:
    path = tmp_path_factory.mktemp("written") / "t.jsonl"
    path.write_text(json.dumps({"id": "a", "x": value}) + "\n")
    assert records(path) == [Record("a", {"x": value})]


@pytest.mark.parametrize("piece", ['\\"', "[", '"', '"\\', "\\", "{", '{"a":1,'])
def test_judging_hostile_lines_takes_linear_time(write: Write, piece: str) -> None:
    path = write("t.jsonl", '{"id": 1, "x": ' + "[" * 70 + '"' + piece * 200_000 + "\n")
    began = time.perf_counter()
    assert records(path)[0].problem is not None
    assert time.perf_counter() - began < 2


def test_an_object_of_many_keys_with_a_late_duplicate_takes_linear_time(write: Write) -> None:
    pairs = ", ".join(f'"{n}": 0' for n in [*range(100_000), 99_999])
    began = time.perf_counter()
    assert judged(records(write("t.jsonl", "{" + pairs + "}"))[0])[2] == "REC_DUPLICATE_KEY"
    assert time.perf_counter() - began < 2


def test_long_lines_are_read(write: Write) -> None:
    path = write("t.jsonl", json.dumps({"id": "a", "x": "y" * 3_000_000}))
    assert len(records(path)[0].fields["x"]) == 3_000_000


def test_a_line_that_is_too_long_is_a_limit_and_the_next_is_read(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jsonl, "LINE_CHARACTERS", 1000)
    lines = ['{"id": "a"}', json.dumps({"id": "b", "x": "y" * 5000}), '{"id": "c"}']
    before, long, after = records(write("t.jsonl", "\n".join(lines)))
    assert judged(long) == ("t.jsonl:2", Status.LIMIT, "REC_LINE")
    assert (before.id, after.id) == ("a", "c")


def test_a_giant_line_is_not_held_in_memory(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    with path.open("wb") as file:
        file.truncate(300_000_000)
    tracemalloc.start()
    try:
        (record,) = records(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert judged(record) == ("t.jsonl:1", Status.LIMIT, "REC_LINE")
    assert peak < 60_000_000


def test_a_file_without_line_ends_is_refused(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jsonl, "LINE_CHARACTERS", 1000)
    monkeypatch.setattr(jsonl, "LINE_END", 2000)
    with pytest.raises(UsageError, match=r"line 1, 0 read before: REC_LINE: no line end within 2000 bytes"):
        records(write("t.jsonl", "x" * 3000))


@pytest.mark.parametrize("content", ["", "\n \n"])
def test_a_file_without_lines_holds_no_records(write: Write, content: str) -> None:
    with pytest.raises(UsageError, match="no records"):
        TableSource(write("t.jsonl", content))


@pytest.mark.parametrize("value", ["null", '""', "1.5", "true", '["a"]', '"\\ud800"'])
def test_an_unusable_id_is_refused_by_line(write: Write, value: str) -> None:
    path = write("t.jsonl", f'{{"id": "a"}}\n{{"id": {value}}}\n')
    with pytest.raises(UsageError, match=r"t\.jsonl', line 2: the id"):
        records(path)


def test_a_missing_id_is_refused_by_line(write: Write) -> None:
    with pytest.raises(UsageError, match="line 2: the id is missing or empty"):
        records(write("t.jsonl", '{"id": "a"}\n{"x": 1}\n'))

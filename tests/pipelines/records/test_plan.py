from __future__ import annotations

import dataclasses
import json
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedders import BadInput, Status, UsageError, Waveform
from pipelines.records import FolderSource, IterableSource, Plan, Record, SourceError, TableSource, make_plan, plan
from tests.pipelines.records.conftest import Write


def numbered(rows: int) -> IterableSource:
    return IterableSource([Record(str(n), {"x": f"text {n}"}) for n in range(rows)])


def digest(record: Record) -> str:
    return make_plan(IterableSource([record]), 1).digest


@given(rows=st.integers(1, 60), part_rows=st.integers(1, 70))
def test_parts_cover_every_record_once_in_order(rows: int, part_rows: int) -> None:
    source = numbered(rows)
    made = make_plan(source, part_rows)
    assert [record.id for _, records in made.read(source) for record in records] == [str(n) for n in range(rows)]
    assert [part.index for part in made.parts] == list(range(len(made.parts)))
    assert [part.start for part in made.parts] == list(range(0, rows, part_rows))
    assert all(part.rows == len(records) for part, records in made.read(source))
    assert made.rows == rows


@given(
    ids=st.lists(st.text(st.characters(codec="utf-8"), min_size=1), min_size=1, unique=True), size=st.integers(1, 9)
)
def test_a_second_pass_gives_the_same_plan(ids: list[str], size: int) -> None:
    records = [Record(identifier, {"x": identifier}) for identifier in ids]
    assert make_plan(IterableSource(records), size) == make_plan(IterableSource(iter(records)), size)


@given(rows=st.integers(1, 30), part_rows=st.integers(1, 8), limit=st.integers(1, 40))
def test_a_limit_takes_the_first_records(rows: int, part_rows: int, limit: int) -> None:
    source = numbered(rows)
    made = make_plan(source, part_rows, limit)
    found = [record.id for _, records in made.read(source) for record in records]
    assert found == [str(n) for n in range(min(rows, limit))]


def test_a_limit_reads_no_further(write: Write) -> None:
    source = TableSource(write("t.csv", 'id,x\na,1\nb,2\nc,"never closed\n'))
    assert make_plan(source, 10, limit=2).rows == 2


def test_equal_parts_keep_their_digest_when_the_source_grows() -> None:
    assert make_plan(numbered(25), 10).parts[:2] == make_plan(numbered(90), 10).parts[:2]


@pytest.mark.parametrize(
    "other",
    [
        Record("b", {"x": "1"}),
        Record("a", {"x": "2"}),
        Record("a", {"y": "1"}),
        Record("a", {"x": b"1"}),
        Record("a", {"x": 1}),
        Record("a", {"x": Path("1")}),
        Record("a", {"x": ["1"]}),
        Record("a", {"x": {"1": None}}),
        Record("a", {"x": np.array([1])}),
        Record("a", {"x": "1", "y": ""}),
        Record("a", {"x": "1"}, BadInput(Status.CORRUPT, "X", "broken")),
        Record("a", {}),
        Record("ax", {"": "1"}),
    ],
)
def test_different_records_have_different_digests(other: Record) -> None:
    assert digest(other) != digest(Record("a", {"x": "1"}))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (np.zeros((2, 3)), np.zeros((3, 2))),
        (np.zeros(2, np.float32), np.zeros(1, np.float64)),
        (np.array([1, 2]), np.array([1, 3])),
        (np.array(["ab", None], object), np.array(["ab", "c"], object)),
        (Waveform(np.zeros(3, np.float32), 8000), Waveform(np.zeros(3, np.float32), 16000)),
        ("\ud800", "\ud801"),
        (["a", "bc"], ["ab", "c"]),
        ([["a"], "b"], [["a", "b"]]),
        (True, 1),
        (1, 1.0),
    ],
)
def test_media_and_values_count_by_content(one: Any, other: Any) -> None:
    assert digest(Record("a", {"x": one})) != digest(Record("a", {"x": other}))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"x": None}, {}),
        ({"x": "1", "y": "2"}, {"y": "2", "x": "1"}),
        ({"x": object()}, {"x": object()}),
        ({"x": np.arange(6).reshape(2, 3).T}, {"x": np.ascontiguousarray(np.arange(6).reshape(2, 3).T)}),
        ({"x": bytearray(b"1")}, {"x": memoryview(b"1")}),
    ],
)
def test_equal_records_have_equal_digests(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert digest(Record("a", one)) == digest(Record("a", other))


def test_a_digest_stays_what_it_was() -> None:
    fields = {"caption": "zwölf", "photo": Path("a/b.jpg"), "raw": b"\0\1", "number": 1.5, "lost": None}
    numbers = {"list": [1, "a", None], "map": {"k": True}, "array": np.arange(4, dtype="<i2").reshape(2, 2)}
    broken = BadInput(Status.CORRUPT, "X", "broken")
    source = IterableSource([Record("a", fields), Record("b", numbers), Record("c", {}, broken)])
    assert make_plan(source, 2).digest == "2987a531a64dd33eeaeceb8b0a3e38e28eb103d434db037d3d043e9acbca4d97"


def test_the_size_of_parts_is_part_of_the_digest() -> None:
    assert make_plan(numbered(5), 10).digest != make_plan(numbered(5), 11).digest


def test_the_order_of_records_is_part_of_the_digest() -> None:
    records = [Record("a", {}), Record("b", {})]
    assert make_plan(IterableSource(records), 1).digest != make_plan(IterableSource(records[::-1]), 1).digest


def test_a_files_content_is_not_read(tmp_path: Path, write: Write) -> None:
    write("dog.txt", "woof")
    before = make_plan(FolderSource(tmp_path, {".txt": "caption"}), 10)
    write("dog.txt", "meow")
    assert make_plan(FolderSource(tmp_path, {".txt": "caption"}), 10) == before


def test_a_moved_folder_keeps_its_plan(tmp_path: Path, write: Write) -> None:
    write("one/a/dog.txt", "woof")
    before = make_plan(FolderSource(tmp_path / "one", {".txt": "caption"}), 10)
    (tmp_path / "one").rename(tmp_path / "two")
    assert make_plan(FolderSource(tmp_path / "two", {".txt": "caption"}), 10) == before


class Changing:
    """Yields other records at the second pass."""

    root = None

    def __init__(self, first: list[Record], second: list[Record]) -> None:
        self.passes = [first, second]

    def records(self) -> Iterator[Record]:
        return iter(self.passes.pop(0))

    def fields(self) -> tuple[str, ...]:
        return ("x",)

    def describe(self) -> dict[str, Any]:
        return {"kind": "changing"}

    def notes(self) -> dict[str, Any]:
        return {}

    def errors(self) -> list[SourceError]:
        return []


@pytest.mark.parametrize("second", [["a", "b", "x"], ["a", "b"], ["b", "a", "c"], []])
def test_a_source_that_changes_between_the_passes_is_refused(second: list[str]) -> None:
    source = Changing([Record(i, {}) for i in "abc"], [Record(i, {}) for i in second])
    made = make_plan(source, 1)
    with pytest.raises(UsageError, match="The source changed while it was read"):
        list(made.read(source))


def test_reading_holds_one_part_at_a_time() -> None:
    pulled = 0

    def records() -> Iterator[dict[str, str]]:
        nonlocal pulled
        for number in range(100):
            pulled += 1
            yield {"id": str(number)}

    source = IterableSource(records)
    made = make_plan(source, 7)
    pulled = 0
    for number, _ in enumerate(made.read(source), 1):
        assert pulled == min(7 * number, 100)


def test_duplicate_ids_are_refused_with_their_positions() -> None:
    source = IterableSource([{"id": identifier} for identifier in "abcbda"])
    with pytest.raises(UsageError, match=r"'b' \(records 1 and 3\), 'a' \(records 0 and 5\)\. Give every record"):
        make_plan(source, 2)


def test_no_more_than_ten_duplicates_are_named() -> None:
    source = IterableSource([{"id": str(n % 500)} for n in range(1000)])
    with pytest.raises(UsageError) as raised:
        make_plan(source, 100)
    assert str(raised.value).count("(records ") == 10


def test_duplicates_beyond_the_limit_do_not_matter() -> None:
    assert make_plan(IterableSource([{"id": identifier} for identifier in "abca"]), 2, limit=3).rows == 3


def test_colliding_hashes_are_no_duplicates(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "_hash", len)
    assert make_plan(IterableSource([{"id": identifier} for identifier in ("ab", "cd", "e")]), 2).rows == 3


def test_a_duplicate_behind_a_colliding_hash_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "_hash", len)
    with pytest.raises(UsageError, match=r"'ab' \(records 0 and 2\)"):
        make_plan(IterableSource([{"id": identifier} for identifier in ("ab", "cd", "ab")]), 2)


def test_a_folder_without_records_is_named_with_what_was_ignored(tmp_path: Path, write: Write) -> None:
    write("a.pdf", "x")
    write("b.pdf", "x")
    with pytest.raises(UsageError, match=r"folder .* holds no records; ignored there: 2 \.pdf") as raised:
        make_plan(FolderSource(tmp_path, {".txt": "caption"}), 10)
    assert str(tmp_path) in str(raised.value)


def test_a_table_of_a_header_alone_holds_no_records(write: Write) -> None:
    with pytest.raises(UsageError, match=r"table .*t\.csv holds no records"):
        make_plan(TableSource(write("t.csv", "id,caption\n")), 10)


@pytest.mark.parametrize("given", [[], iter(())])
def test_nothing_is_refused(given: Any) -> None:
    with pytest.raises(UsageError, match="holds no records"):
        make_plan(IterableSource(given), 10)


@pytest.mark.parametrize("wrong", [0, -1, 1.5, "10", True])
def test_sizes_are_whole_numbers_of_at_least_one(wrong: Any) -> None:
    with pytest.raises(UsageError, match="part_rows is"):
        make_plan(numbered(3), wrong)
    with pytest.raises(UsageError, match="limit is"):
        make_plan(numbered(3), 1, wrong)


@pytest.mark.parametrize("wrong", ["", None, 7, "\ud800"])
def test_ids_of_a_users_own_records_are_checked(wrong: Any) -> None:
    with pytest.raises(UsageError, match="Record 1 has the id"):
        make_plan(IterableSource([Record("a", {}), Record(wrong, {})]), 10)


def test_a_plan_survives_json() -> None:
    made = make_plan(numbered(25), 10)
    assert Plan.from_json(json.loads(json.dumps(made.to_json()))) == made


@pytest.mark.parametrize(
    "change",
    [
        {"rows": 24},
        {"part_rows": 11},
        {"digest": "0" * 64},
        {"parts": []},
        {"parts": None},
        {"parts": [{"index": 0}]},
    ],
)
def test_a_recorded_plan_that_contradicts_itself_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="The recorded plan"):
        Plan.from_json({**make_plan(numbered(25), 10).to_json(), **change})


def test_parts_out_of_order_are_refused() -> None:
    made = make_plan(numbered(25), 10)
    swapped = Plan.of([made.parts[1], made.parts[0], made.parts[2]], 10)
    with pytest.raises(UsageError, match="contradicts itself"):
        Plan.from_json(swapped.to_json())


def test_parts_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        make_plan(numbered(1), 1).parts[0].rows = 2  # type: ignore[misc]


class Many:
    """200,000 records that exist one at a time."""

    root = None

    def records(self) -> Iterator[Record]:
        for number in range(200_000):
            yield Record(f"folder/{number:07d}", {"photo": f"folder/{number:07d}.jpg", "caption": "a caption"})

    def fields(self) -> tuple[str, ...]:
        return ("photo", "caption")

    def describe(self) -> dict[str, Any]:
        return {"kind": "many"}

    def notes(self) -> dict[str, Any]:
        return {}

    def errors(self) -> list[SourceError]:
        return []


def test_many_records_are_planned_in_bounded_memory() -> None:
    tracemalloc.start()
    try:
        # tracing slows Python down several times, so a tenth of the records is enough here
        made = make_plan(Many(), 1024, limit=20_000)
        per_record = tracemalloc.get_traced_memory()[1] / made.rows
    finally:
        tracemalloc.stop()
    assert per_record < 40


def test_many_records_are_planned_in_seconds() -> None:
    began = time.process_time()
    assert len(make_plan(Many(), 1024).parts) == 196
    assert time.process_time() - began < 5

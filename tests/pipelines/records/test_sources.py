from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from embedders import UsageError
from pipelines.records import FolderSource, IterableSource, Record, TableSource, open_source
from tests.pipelines.records.conftest import Write

BELLS = {"id": "a", "caption": "two bells"}
DRUM = {"id": "b", "caption": "a drum", "photo": b"\xff"}
RECORDS = [Record("a", {"caption": "two bells"}), Record("b", {"caption": "a drum", "photo": b"\xff"})]


def opened(source: Any, **options: Any) -> Any:
    return open_source(source, suffixes={".txt": "caption"}, **options)


@pytest.mark.parametrize(
    "given",
    [[BELLS, DRUM], (BELLS, DRUM), RECORDS, [RECORDS[0], DRUM], lambda: iter([BELLS, DRUM]), iter([BELLS, DRUM])],
    ids=["list", "tuple", "records", "mixed", "function", "iterator"],
)
def test_python_objects_can_be_read_again_and_again(given: Any) -> None:
    source = opened(given)
    assert source.fields() == ("caption", "photo")
    assert list(source.records()) == RECORDS
    assert list(source.records()) == RECORDS


def test_a_function_holds_one_record_at_a_time() -> None:
    held = 0
    most = 0

    class Media:
        def __init__(self) -> None:
            nonlocal held, most
            held += 1
            most = max(most, held)

        def __del__(self) -> None:
            nonlocal held
            held -= 1

    def made() -> Iterator[dict[str, Any]]:
        for number in range(100):
            yield {"id": number, "photo": Media()}

    source = IterableSource(made)
    assert source.fields() == ("photo",)
    assert sum(1 for _ in source.records()) == 100
    assert most <= 2


def test_records_without_id_are_numbered() -> None:
    assert [record.id for record in opened([{"x": "1"}, {"x": "2"}]).records()] == ["00000000", "00000001"]


def test_another_key_can_hold_the_id() -> None:
    assert list(opened([{"name": "a", "x": "1"}], id_column="name").records()) == [Record("a", {"x": "1"})]


@pytest.mark.parametrize("second", [{"x": "2"}, {"id": None}, {"id": ""}, {"id": 1.5}])
def test_a_record_without_usable_id_among_others_is_refused_by_position(second: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="Record 1: the id"):
        list(opened([BELLS, second]).records())


@pytest.mark.parametrize("wrong", ["two bells", b"x", 5, None, ["a"]])
def test_what_is_no_record_is_refused_by_position_and_type(wrong: Any) -> None:
    with pytest.raises(UsageError, match=f"Record 1 is a {type(wrong).__name__}"):
        opened([BELLS, wrong]).fields()


def test_a_field_is_named_by_text() -> None:
    with pytest.raises(UsageError, match="Record 0: the field 7"):
        opened([{7: "x"}]).fields()


@pytest.mark.parametrize("kind", [str, Path])
def test_a_folder_is_opened_as_folder(tmp_path: Path, write: Write, kind: type) -> None:
    write("dog.txt", "x")
    source = opened(kind(tmp_path), join=False)
    assert isinstance(source, FolderSource)
    assert list(source.records()) == [Record("dog.txt", {"caption": Path("dog.txt")})]


@pytest.mark.parametrize("kind", [str, Path])
def test_a_table_is_opened_as_table(write: Write, kind: type) -> None:
    source = opened(kind(write("t.csv", "name,caption\na,x\n")), id_column="name")
    assert isinstance(source, TableSource)
    assert [record.id for record in source.records()] == ["a"]


def test_a_source_of_ones_own_is_taken_as_it_is() -> None:
    source = IterableSource([BELLS])
    assert opened(source) is source


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("missing", "There is no file or folder 'missing'"),
        ("pipe:echo", "There is no file or folder"),
        ("missing.csv", "There is no file 'missing.csv'"),
        (__file__, r"is no table. Give a folder, shards that end in \.tar, .* or a table: \.csv"),
        ("bad\0name", "There is no file or folder"),
        (5, "A int is no source"),
        (None, "A NoneType is no source"),
        (BELLS, "A dict is no source"),
        (b"x", "A bytes is no source"),
    ],
)
def test_anything_else_is_refused_with_what_can_be_given(wrong: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        opened(wrong)

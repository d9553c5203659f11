"""How a part is made durable, and what a set is that has them all."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from embedders import ContractError, RefusedError, StorageError, UsageError
from pipelines import VectorSet
from pipelines.vectors import Schema, Storage, Writer
from pipelines.vectors.manifest import part_file
from tests.pipelines.vectors.made import column, plan, rows, schema, write


def test_the_commit_record_describes_the_file(tmp_path: Path) -> None:
    write(tmp_path / "v")
    record = json.loads((tmp_path / "v/commits/part-000001.json").read_text())
    content = (tmp_path / "v" / record["file"]).read_bytes()
    assert record["bytes"] == len(content)
    assert record["sha256"] == hashlib.sha256(content).hexdigest()
    assert (record["start"], record["rows"]) == (5, 5)
    assert record["statuses"]["word_toy"] == {"ok": 3, "corrupt": 1, "absent": 1}
    assert record["flags"]["word_toy"] == {"loud": 1}
    assert record["seconds"] == {"total": 1.0}


def test_counts_add_up_to_the_rows(tmp_path: Path) -> None:
    write(tmp_path / "v", parts=3)
    manifest = json.loads((tmp_path / "v/manifest.json").read_text())
    assert manifest["state"] == "complete"
    for counts in manifest["statuses"].values():
        assert sum(counts.values()) == manifest["rows"] == 15
    assert manifest["flags"]["word_toy"] == {"loud": 3}


def test_how_long_it_took_is_in_the_commit_records_alone(tmp_path: Path) -> None:
    for name, seconds in (("quick", 1.0), ("slow", 9.0)):
        with Writer.open(tmp_path / name, schema(), plan(1)) as writer:
            writer.commit(0, rows(0), {"total": seconds})
            writer.finish()
    for name in ("manifest.json", "data/part-000000.parquet", "run.json"):
        assert (tmp_path / "quick" / name).read_bytes() == (tmp_path / "slow" / name).read_bytes()


def test_vectors_are_stored_plainly_and_with_checksums(tmp_path: Path) -> None:
    write(tmp_path / "v")
    file = pq.ParquetFile(tmp_path / "v/data/part-000000.parquet")
    group = file.metadata.row_group(0)
    columns = {group.column(i).path_in_schema: group.column(i) for i in range(group.num_columns)}
    vectors = columns["word_toy.list.element"]
    assert "RLE_DICTIONARY" not in vectors.encodings
    assert vectors.compression == "UNCOMPRESSED"
    assert vectors.statistics is None
    assert columns["word_toy_status"].compression == "ZSTD"
    assert columns["id"].statistics is not None


def test_an_empty_folder_is_taken(tmp_path: Path) -> None:
    (tmp_path / "v").mkdir()
    write(tmp_path / "v")
    assert len(VectorSet.open(tmp_path / "v")) == 10


def test_folders_above_are_made(tmp_path: Path) -> None:
    write(tmp_path / "a/b/v")
    assert len(VectorSet.open(tmp_path / "a/b/v")) == 10


@pytest.mark.parametrize(
    ("part", "table", "says"),
    [
        (2, lambda: rows(0), "not one that is missing"),
        (-1, lambda: rows(0), "not one that is missing"),
        (0, lambda: rows(0), "not one that is missing"),
        (1, lambda: rows(1).slice(1), "4 rows; 5 were planned"),
        (1, lambda: rows(1).drop_columns(["word_toy_error"]), "other columns"),
    ],
    ids=["beyond", "before", "twice", "a row too few", "a column too few"],
)
def test_only_what_was_planned_is_committed(tmp_path: Path, part: int, table: Callable[[], Any], says: str) -> None:
    with Writer.open(tmp_path / "v", schema(), plan(2)) as writer:
        writer.commit(0, rows(0), {})
        with pytest.raises(ContractError, match=says):
            writer.commit(part, table(), {})


def test_a_set_is_not_finished_while_a_part_is_missing(tmp_path: Path) -> None:
    with Writer.open(tmp_path / "v", schema(), plan(3)) as writer:
        writer.commit(2, rows(2), {})
        with pytest.raises(ContractError, match="2 of 3 parts are not committed, part 0 for one"):
            writer.finish()
    assert not (tmp_path / "v/manifest.json").exists()


def test_what_the_source_lacks_is_in_the_manifest(tmp_path: Path) -> None:
    with Writer.open(tmp_path / "v", schema(), plan(1)) as writer:
        writer.commit(0, rows(0), {})
        writer.finish([{"file": "a.tar", "offset": 512}])
    assert VectorSet.open(tmp_path / "v").manifest["source_errors"] == [{"file": "a.tar", "offset": 512}]
    assert Writer.open(tmp_path / "v", schema(), plan(1)).complete


def test_a_closed_writer_writes_nothing(tmp_path: Path) -> None:
    writer = write(tmp_path / "v", finish=False, only=[0])
    with pytest.raises(ContractError, match="closed"):
        writer.commit(1, rows(1), {})
    assert [path.name for path in (tmp_path / "v/data").iterdir()] == ["part-000000.parquet"]


@pytest.mark.parametrize(
    "damage",
    [
        {},
        {"plan": {}},
        {"plan": {"parts": []}},
        {"plan": {"parts": [{"index": 0, "start": 1, "rows": 5}]}},
        {"plan": {"parts": [{"index": 0, "start": 0, "rows": 0}]}},
        {**plan(1), "root": float("nan")},
        {**plan(1), "root": Path("/")},
    ],
)
def test_a_run_without_a_plan_is_a_programming_error(tmp_path: Path, damage: dict[str, Any]) -> None:
    with pytest.raises(ContractError, match="cannot be described"):
        Writer.open(tmp_path / "v", schema(), damage)
    assert not (tmp_path / "v").exists()


class Lossy(Storage):
    """Loses the end of a file and says nothing."""

    def rename(self, old: Path, new: Path) -> None:
        super().rename(old, new)
        if new.suffix == ".parquet":
            new.write_bytes(new.read_bytes()[:-20])


def test_rows_that_cannot_be_read_back_are_not_committed(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot be read back"):
        write(tmp_path / "v", storage=Lossy(tmp_path / "v"))
    assert not list((tmp_path / "v").glob("commits/*"))


def test_RES_13_a_part_that_vanishes_before_the_end_is_noticed(tmp_path: Path) -> None:
    with Writer.open(tmp_path / "v", schema(), plan(1)) as writer:
        writer.commit(0, rows(0), {})
        (tmp_path / "v/data/part-000000.parquet").unlink()
        with pytest.raises(StorageError, match="has changed since"):
            writer.finish()
    write(tmp_path / "v", parts=1)
    assert len(VectorSet.open(tmp_path / "v")) == 5


@pytest.mark.parametrize("again", [False, True], ids=["removed", "replaced by another"])
def test_RES_13_a_folder_that_is_taken_away_during_a_run_ends_it(tmp_path: Path, again: bool) -> None:
    out = tmp_path / "v"
    with Writer.open(out, schema(), plan(2)) as writer:
        writer.commit(0, rows(0), {})
        out.rename(tmp_path / "elsewhere")
        if again:
            write(out, only=[0])
        with pytest.raises(StorageError, match="removed or replaced while the run was writing"):
            writer.commit(1, rows(1), {})
    assert not out.exists() or not (out / "manifest.json").exists()


def test_parts_have_names_for_later_generations() -> None:
    assert part_file(17) == "data/part-000017.parquet"
    assert part_file(17, 2) == "data/part-000017.g2.parquet"
    assert part_file(1_234_567) == "data/part-1234567.parquet"


@pytest.mark.parametrize(
    ("fields", "columns", "clash"),
    [
        (("word", "word_toy"), ("word_toy",), "'word_toy'"),
        (("id",), (), "'id'"),
        (("a", "a_sha256"), (), "'a_sha256'"),
        (("word",), ("word_x", "word_x"), "'word_x'"),
        (("word",), ("word_x", "word_x_status"), "'word_x_status'"),
        (("a.b",), (), "without dots"),
    ],
)
def test_two_things_of_one_name_are_refused(fields: Any, columns: Any, clash: str) -> None:
    with pytest.raises(UsageError, match=clash):
        Schema(fields, tuple(column(name) for name in columns))


def test_a_record_that_another_writer_made_meanwhile_is_left(tmp_path: Path) -> None:
    with Writer.open(tmp_path / "v", schema(), plan(1)) as writer:
        writer.storage.write_bytes("commits/part-000000.json", b"theirs")
        with pytest.raises(RefusedError, match="written by another run"):
            writer.commit(0, rows(0), {})
    assert (tmp_path / "v/commits/part-000000.json").read_bytes() == b"theirs"
    assert [path.name for path in (tmp_path / "v/commits").iterdir()] == ["part-000000.json"]

"""At every instant the folder is absent, unfinished or complete, and never looks like more than it is."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow.parquet as pq
import pytest

from embedders import ContractError, RefusedError, StorageError, UsageError
from pipelines import VectorSet
from pipelines.vectors import Schema, Storage
from tests.pipelines.vectors.made import column, write


def test_the_commit_record_describes_the_file(tmp_path: Path) -> None:
    write(tmp_path / "v")
    record = json.loads((tmp_path / "v/commits/part-000001.json").read_text())
    content = (tmp_path / "v" / record["file"]).read_bytes()
    assert record["bytes"] == len(content)
    assert record["sha256"] == hashlib.sha256(content).hexdigest()
    assert (record["start"], record["rows"]) == (5, 5)
    assert record["statuses"]["word_toy"] == {"ok": 3, "corrupt": 1, "absent": 1}
    assert record["flags"]["word_toy"] == {"loud": 1}


def test_counts_add_up_to_the_rows(tmp_path: Path) -> None:
    write(tmp_path / "v", parts=3)
    manifest = json.loads((tmp_path / "v/manifest.json").read_text())
    assert manifest["state"] == "complete"
    for counts in manifest["statuses"].values():
        assert sum(counts.values()) == manifest["rows"] == 15
    assert manifest["flags"]["word_toy"] == {"loud": 3}


def test_the_same_rows_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write(tmp_path / name)
    for name in ("manifest.json", "data/part-000000.parquet", "data/part-000001.parquet"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


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


@pytest.mark.parametrize(
    ("prepare", "says"),
    [
        (lambda out: write(out), "finished vector set"),
        (lambda out: write(out, finish=False), "2 of 2 parts are committed"),
        (lambda out: (out.mkdir(), (out / "thesis.txt").write_text("mine")), "thesis.txt"),
        (lambda out: out.write_text("mine"), "is a file"),
    ],
)
def test_what_stands_in_the_folder_is_refused_and_left(
    tmp_path: Path, prepare: Callable[[Path], object], says: str
) -> None:
    out = tmp_path / "v"
    prepare(out)
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    with pytest.raises(RefusedError, match=says):
        write(out)
    assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == before


def test_an_empty_folder_is_taken(tmp_path: Path) -> None:
    (tmp_path / "v").mkdir()
    write(tmp_path / "v")
    assert len(VectorSet.open(tmp_path / "v")) == 10


def test_parts_come_in_order(tmp_path: Path) -> None:
    writer = write(tmp_path / "v", parts=1, finish=False)
    table = pq.read_table(tmp_path / "v/data/part-000000.parquet")
    with pytest.raises(ContractError, match="in order"):
        writer.commit(2, table, {})


class Failing(Storage):
    """Fails at the n-th write, halfway through the file."""

    def __init__(self, root: Path, at: int) -> None:
        super().__init__(root)
        self.left = at

    def write(self, name: str, fill: Callable[[BinaryIO], None]) -> None:
        self.left -= 1

        def half(file: BinaryIO) -> None:
            if self.left == 0:
                file.write(b"half")
                raise OSError(28, "No space left on device")
            fill(file)

        super().write(name, half)


@pytest.mark.parametrize("at", range(1, 7))
def test_a_full_disk_at_any_write_leaves_no_half_file_and_no_complete_set(tmp_path: Path, at: int) -> None:
    out = tmp_path / "v"
    with pytest.raises(StorageError, match="No space left"):
        write(out, storage=Failing(out, at))
    assert not (out / "manifest.json").exists()
    assert not list(out.rglob(".tmp-*"))
    with pytest.raises((RefusedError, UsageError)):
        VectorSet.open(out)


def test_six_writes_make_the_set_so_the_sweep_above_is_whole(tmp_path: Path) -> None:
    out = tmp_path / "v"
    write(out, storage=Failing(out, 7))
    assert len(VectorSet.open(out)) == 10


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

"""What was written is what every reader finds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from embedders import RefusedError, StorageError, UsageError
from pipelines import VectorSet
from pipelines.vectors import vector_set
from pipelines.vectors.reading import read_part
from pipelines.vectors.schema import list_vectors, vectors_of
from tests.pipelines.vectors.made import WORDS, vector, write


@pytest.fixture
def out(tmp_path: Path) -> Path:
    write(tmp_path / "vectors")
    return tmp_path / "vectors"


def test_ids_vectors_and_statuses_come_back_in_order(out: Path) -> None:
    vs = VectorSet.open(out)
    assert len(vs) == 10
    assert list(vs.ids) == [f"{part}/{word}" for part in (0, 1) for word in WORDS]
    assert list(vs["word_toy"].ok) == [True, False, True, False, True] * 2
    expected = np.array([vector(row) for row in range(10)], np.float32)
    expected[~vs["word_toy"].ok] = np.nan
    np.testing.assert_array_equal(vs["word_toy"].vectors, expected)


def test_vectors_are_mapped_and_read_only(out: Path) -> None:
    vectors = VectorSet.open(out)["word_toy"].vectors
    assert isinstance(vectors, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        vectors[0] = 0


def test_half_precision_is_read_as_float32(out: Path) -> None:
    vectors = VectorSet.open(out)["word_half"].vectors
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(vectors[4], vector(4, 2), rtol=1e-3)


def test_failures_are_a_table_without_the_absent(out: Path) -> None:
    failures = VectorSet.open(out).failures()
    assert failures.column_names == ["id", "column", "status", "error"]
    assert failures.num_rows == 4
    assert failures.to_pylist()[0] == {
        "id": "0/drum",
        "column": "word_toy",
        "status": "corrupt",
        "error": "TOY_BROKEN: the drum has a hole",
    }


def test_parts_without_failures_are_not_read_for_them(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    vs = VectorSet.open(out)
    fine, mixed = vs._parts[0], vs._parts[1]
    vs._parts = (replace(fine, statuses={name: {"ok": 5, "corrupt": 0} for name in vs}), mixed)
    read: list[int] = []
    monkeypatch.setattr(
        vector_set,
        "read_part",
        lambda storage, part, *more: read.append(part.part) or read_part(storage, part, *more),
    )
    assert [row["id"] for row in vs.failures().to_pylist()] == ["1/drum", "1/drum"]
    assert list(vs["word_toy"].status) == ["ok"] * 5 + ["ok", "corrupt", "ok", "absent", "ok"]
    assert read == [1, 1, 1]


def test_a_set_without_failures_has_an_empty_table_of_them(out: Path) -> None:
    vs = VectorSet.open(out)
    vs._parts = tuple(replace(part, statuses={name: {"ok": 5} for name in vs}) for part in vs._parts)
    found = vs.failures()
    assert found.num_rows == 0
    assert found.column_names == ["id", "column", "status", "error"]


def test_the_repr_says_what_is_inside(out: Path) -> None:
    text = repr(VectorSet.open(out))
    assert "10 records" in text
    assert "word_toy" in text
    assert "6 ok" in text
    assert "toy:1" in text


def test_an_unknown_column_names_the_nearest(out: Path) -> None:
    with pytest.raises(UsageError, match="Did you mean 'word_toy'"):
        VectorSet.open(out)["word_tory"]


def test_every_reader_finds_the_same(out: Path) -> None:
    vs = VectorSet.open(out)
    files = sorted((out / "data").glob("*.parquet"))
    arrow = pa.concat_tables([pq.read_table(file) for file in files])
    pandas = pd.concat([pd.read_parquet(file) for file in files])
    polars = pl.read_parquet(out / "data" / "*.parquet")
    duck = duckdb.sql(f"select * from read_parquet('{out}/data/*.parquet') order by id")
    assert arrow.num_rows == len(pandas) == polars.height == len(duck) == len(vs)
    assert arrow.schema.field("word_toy").type == pa.list_(pa.float32(), 3)
    assert pandas["word_toy"].iloc[0].dtype == np.float32
    assert polars.schema["word_toy"] == pl.Array(pl.Float32, 3)
    np.testing.assert_array_equal(np.stack(list(pandas["word_toy"])), vs["word_toy"].vectors)
    np.testing.assert_array_equal(polars["word_toy"].to_numpy(), vs["word_toy"].vectors)
    np.testing.assert_array_equal(vectors_of(arrow.column("word_toy").combine_chunks()), vs["word_toy"].vectors)


def test_one_similarity_query_agrees_between_readers(out: Path) -> None:
    vs = VectorSet.open(out)
    rows = np.flatnonzero(vs["word_toy"].ok)
    vectors = vs["word_toy"].vectors[rows]
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    ours = list(vs.ids[rows[np.argsort(-(unit @ unit[1]), kind="stable")]])
    query = duckdb.sql(
        f"""with rows as (from read_parquet('{out}/data/*.parquet')),
            q as (select word_toy::float[3] as v from rows where id = '0/siren')
            select id from rows, q where word_toy_status = 'ok'
            order by array_cosine_similarity(word_toy::float[3], q.v) desc, id"""
    )
    assert [row[0] for row in query.fetchall()] == ours


def test_to_pandas_and_to_polars_hold_all_rows(out: Path) -> None:
    vs = VectorSet.open(out)
    assert list(vs.to_pandas(["id"])["id"]) == list(vs.ids)
    assert vs.to_polars()["word_toy_status"].to_list() == list(vs["word_toy"].status)


def test_a_cache_of_another_manifest_is_rebuilt(out: Path) -> None:
    before = VectorSet.open(out)["word_toy"].vectors[0].copy()
    stale = np.load(out / "cache" / "word_toy.npy") + 1
    np.save(out / "cache" / "word_toy.npy", stale)
    (out / "cache" / "word_toy.json").write_text('{"manifest_sha256": "of another set"}')
    np.testing.assert_array_equal(VectorSet.open(out)["word_toy"].vectors[0], before)


def test_a_read_only_set_is_read_into_memory(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: Any) -> None:
        raise StorageError("read-only")

    vs = VectorSet.open(out)
    monkeypatch.setattr(type(vs.storage), "write", refuse)
    np.testing.assert_array_equal(vs["word_toy"].vectors[0], np.array(vector(0), np.float32))
    assert not (out / "cache").exists()


def test_a_flipped_bit_is_not_read_as_a_vector(out: Path) -> None:
    file = out / "data" / "part-000000.parquet"
    content = bytearray(file.read_bytes())
    place = content.index(np.float32(2.1).tobytes())
    content[place] ^= 1
    file.write_bytes(content)
    with pytest.raises(RefusedError, match="damaged"):
        VectorSet.open(out).to_arrow()


def test_a_missing_or_cut_part_is_refused(out: Path) -> None:
    file = out / "data" / "part-000001.parquet"
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(RefusedError, match="not what was committed"):
        VectorSet.open(out)


@pytest.mark.parametrize("rows", [[], [0], [9, 0, 4, 4], [5, 6], list(range(9, -1, -1))])
def test_rows_are_taken_in_the_order_asked_for(out: Path, rows: list[int]) -> None:
    vs = VectorSet.open(out)
    assert vs.take(rows, ["id"]).column("id").to_pylist() == [str(vs.ids[row]) for row in rows]


def test_rows_that_are_not_there_are_refused(out: Path) -> None:
    with pytest.raises(UsageError, match="Rows are 0 to 9"):
        VectorSet.open(out).take([10])


def test_no_set_and_a_later_format_are_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no vector set"):
        VectorSet.open(tmp_path)
    (tmp_path / "manifest.json").write_text('{"format": 99, "parts": []}')
    with pytest.raises(RefusedError, match="format 99"):
        VectorSet.open(tmp_path)
    (tmp_path / "manifest.json").write_text("{")
    with pytest.raises(RefusedError, match="damaged"):
        VectorSet.open(tmp_path)


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_slices_of_vector_arrays_stay_aligned(dtype: type) -> None:
    vectors = np.arange(12, dtype=dtype).reshape(4, 3)
    array = list_vectors(vectors)
    np.testing.assert_array_equal(vectors_of(array), vectors)
    np.testing.assert_array_equal(vectors_of(array.slice(1, 2)), vectors[1:3])


def test_null_vectors_are_refused_and_not_dropped() -> None:
    holes = pa.array([[1.0, 2.0], None, [3.0, 4.0]], pa.list_(pa.float32(), 2))
    inner = pa.array([[1.0, None]], pa.list_(pa.float32(), 2))
    for array in (holes, inner):
        with pytest.raises(RefusedError, match="nulls"):
            vectors_of(array)

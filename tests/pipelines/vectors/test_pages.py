"""Vectors are read where they lie, if they lie there just so; anything else is pyarrow's to judge."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedders import RefusedError
from pipelines import VectorSet
from pipelines.vectors import pages
from pipelines.vectors.pages import plain_vectors
from pipelines.vectors.schema import list_vectors
from tests.pipelines.vectors.made import schema, write

PLAIN: dict[str, Any] = {
    "use_dictionary": False,
    "write_statistics": False,
    "compression": "none",
    "write_page_checksum": True,
}


def vectors(rows: int, dim: int, dtype: str = "float32") -> npt.NDArray[Any]:
    found = np.random.default_rng(rows * dim).standard_normal((rows, dim)).astype(dtype)
    found[rows // 2] = np.nan
    return found


def stored(path: Path, values: pa.Array, **options: Any) -> Path:
    schema = pa.schema([pa.field("id", pa.string()), pa.field("v", values.type, nullable=False)])
    table = pa.Table.from_arrays([pa.array(map(str, range(len(values)))), values], schema=schema)
    pq.write_table(table, path, **{**PLAIN, **options})
    return path


def read(path: Path, dim: int) -> npt.NDArray[Any] | None:
    with path.open("rb") as file, pq.ParquetFile(path) as parquet:
        return plain_vectors(file, parquet.metadata, "v.list.element", dim)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize(
    ("rows", "dim", "options"),
    [
        (1, 1, {}),
        (7, 3, {}),
        (100, 16, {}),
        (1000, 2, {}),
        (300, 33, {"data_page_size": 1 << 10, "write_batch_size": 64}),  # pages that end within a row
        (300, 32, {"data_page_size": 1 << 10, "write_batch_size": 64}),
        (50, 8, {"row_group_size": 7}),
    ],
)
def test_vectors_come_back_to_the_bit(
    tmp_path: Path, rows: int, dim: int, options: dict[str, Any], dtype: str
) -> None:
    expected = vectors(rows, dim, dtype)
    found = read(stored(tmp_path / "p", list_vectors(expected), **options), dim)
    assert found is not None
    assert found.dtype == dtype
    assert found.tobytes() == expected.tobytes()


@given(rows=st.integers(1, 80), dim=st.integers(1, 40), size=st.integers(1, 4000), batch=st.integers(1, 300))
def test_however_a_column_is_cut_into_pages(rows: int, dim: int, size: int, batch: int) -> None:
    expected = vectors(rows, dim)
    sink = pa.BufferOutputStream()
    table = pa.table({"v": list_vectors(expected)})
    pq.write_table(table, sink, **PLAIN, data_page_size=size, write_batch_size=batch)
    content = sink.getvalue()
    metadata = pq.read_metadata(pa.BufferReader(content))
    chunks = [metadata.row_group(0).column(0)]
    page = content.to_pybytes()[chunks[0].data_page_offset :][: chunks[0].total_compressed_size]
    found = b"".join(map(bytes, pages._pages(page, dim, 4)))
    assert found == expected.tobytes()


@pytest.mark.parametrize(
    "options",
    [
        {"compression": "zstd"},
        {"use_dictionary": True},
        {"use_byte_stream_split": ["v.list.element"]},
        {"write_page_checksum": False},
        {"write_statistics": True},
        {"data_page_version": "2.0"},
    ],
    ids=str,
)
def test_what_is_written_otherwise_is_left_to_pyarrow(tmp_path: Path, options: dict[str, Any]) -> None:
    assert read(stored(tmp_path / "p", list_vectors(vectors(20, 4)), **options), 4) is None


@pytest.mark.parametrize(
    "values",
    [
        pa.array([[1.0], [2.0, 3.0, 4.0]], pa.list_(pa.float32())),
        pa.array([[1.0, 2.0, 3.0, 4.0], []], pa.list_(pa.float32())),
        pa.array([[1.0, 2.0, 3.0], [4.0]], pa.list_(pa.float32())),
        pa.array([[1.0, None], [3.0, 4.0]], pa.list_(pa.float32(), 2)),
        pa.array([[1.0, 2.0]], pa.list_(pa.float64(), 2)),
        pa.array([[1.0, 2.0, 3.0]], pa.list_(pa.float32(), 3)),
    ],
    ids=["short and long", "empty", "long and short", "null", "double", "another dimension"],
)
def test_rows_of_other_lengths_and_nulls_are_left_to_pyarrow(tmp_path: Path, values: pa.Array) -> None:
    assert read(stored(tmp_path / "p", values), 2) is None


def test_a_column_that_is_not_there_is_left_to_pyarrow(tmp_path: Path) -> None:
    path = stored(tmp_path / "p", list_vectors(vectors(3, 2)))
    with path.open("rb") as file:
        assert plain_vectors(file, pq.read_metadata(path), "w.list.element", 2) is None


def test_no_flipped_bit_gives_other_vectors(tmp_path: Path) -> None:
    expected = vectors(6, 3)
    path = stored(tmp_path / "p", list_vectors(expected))
    chunk = pq.read_metadata(path).row_group(0).column(1)
    whole = path.read_bytes()[chunk.data_page_offset :][: chunk.total_compressed_size]
    doubted = 0
    for place in range(8 * len(whole)):
        flipped = bytearray(whole)
        flipped[place // 8] ^= 1 << place % 8
        try:
            found = b"".join(map(bytes, pages._pages(bytes(flipped), 3, 4)))
        except (LookupError, TypeError, ValueError):
            doubted += 1
        else:
            assert found == expected.tobytes()
    assert doubted > 0.9 * 8 * len(whole)


@given(st.binary(max_size=200))
def test_no_bytes_do_worse_than_raise_what_is_expected(content: bytes) -> None:
    with contextlib.suppress(LookupError, TypeError, ValueError):
        assert list(pages._pages(content, 3, 4)) == []


def test_a_set_is_read_without_decoding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "v")
    vs = VectorSet.open(tmp_path / "v")
    expected = np.array(vs.to_arrow().column("word_toy").to_pylist(), np.float32)
    monkeypatch.delattr(pq.ParquetFile, "read")
    np.testing.assert_array_equal(np.concatenate(list(vs["word_toy"].stored())), expected)
    assert vs["word_half"].vectors.shape == (10, 2)


def test_a_set_that_was_written_otherwise_is_read_all_the_same(tmp_path: Path) -> None:
    write(tmp_path / "v")
    vs = VectorSet.open(tmp_path / "v")
    expected = np.concatenate(list(vs["word_toy"].stored()))
    for part in (tmp_path / "v/data").iterdir():
        pq.write_table(pq.read_table(part, schema=schema().arrow()), part, compression="zstd")
    np.testing.assert_array_equal(np.concatenate(list(vs["word_toy"].stored())), expected)


def test_a_flipped_bit_of_a_vector_is_refused_by_name(tmp_path: Path) -> None:
    write(tmp_path / "v")
    part = tmp_path / "v/data/part-000001.parquet"
    content = bytearray(part.read_bytes())
    content[content.index(np.float32(7.1).tobytes())] ^= 1
    part.write_bytes(content)
    with pytest.raises(RefusedError, match=r"part-000001\.parquet' is damaged"):
        list(VectorSet.open(tmp_path / "v")["word_toy"].stored())

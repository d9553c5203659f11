"""Rows become Arrow tables without a detour: equal to what pyarrow would make of them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines import VectorSet
from pipelines.vectors import Cells, Schema, schema
from pipelines.vectors.schema import strings
from tests.pipelines.vectors.made import column, write

words = st.text(st.characters(codec="utf-8"), max_size=5)


@given(st.lists(st.none() | words))
def test_strings_are_those_of_pyarrow(values: list[str | None]) -> None:
    found = strings(values)
    found.validate(full=True)
    assert found.equals(pa.array(values, pa.string()))
    assert found.null_count == values.count(None)


def test_strings_too_many_for_one_array_come_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schema, "MOST_OFFSET", 3)
    assert strings(["ab", None, "cd"]).equals(pa.array(["ab", None, "cd"]))


@given(st.lists(st.lists(words, max_size=3), min_size=1, max_size=5))
def test_flags_are_lists_of_words(flags: list[list[str]]) -> None:
    rows = len(flags)
    cells = Cells(np.ones((rows, 2), np.float32), ["ok"] * rows, [None] * rows, flags)
    table = Schema((), (column("word_toy", 2),)).table(["a"] * rows, {}, {"word_toy": cells})
    assert table.column("word_toy_flags").to_pylist() == flags


def test_vectors_are_not_copied_into_their_table() -> None:
    vectors = np.ones((4, 3), np.float32)
    cells = Cells(vectors, ["ok"] * 4, [None] * 4, [[]] * 4)
    table = Schema((), (column(),)).table(list("abcd"), {}, {"word_toy": cells})
    address = table.column("word_toy").chunk(0).values.buffers()[1].address
    assert address == vectors.ctypes.data


def test_ids_are_as_wide_as_the_longest(tmp_path: Path) -> None:
    write(tmp_path / "v")
    ids = VectorSet.open(tmp_path / "v").ids
    assert ids.dtype == np.dtype("<U8")
    assert ids[4] == "0/engine"


def test_writing_and_reading_a_set_do_not_import_pandas(tmp_path: Path) -> None:
    code = f"""if True:
        import sys
        from pathlib import Path
        from pipelines import VectorSet
        from pipelines.vectors import verify
        from tests.pipelines.vectors.made import write
        write(Path({str(tmp_path / "v")!r}))
        vs = VectorSet.open({str(tmp_path / "v")!r})
        vs.ids, vs.failures(), vs.take([3, 1], ["id"]), vs["word_toy"].status, verify(vs.storage.root)
        vs["word_toy"].search(vs["word_toy"].vectors[0])
        print("pandas" in sys.modules)
    """
    root = Path(__file__).parents[3]
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root)
    assert found.stdout == "False\n"

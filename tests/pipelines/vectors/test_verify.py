"""Verifying names the very file that is wrong, and says what makes it right."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from embedders import UsageError
from pipelines import VectorSet
from pipelines.vectors import Schema, Writer, samples, verify
from pipelines.vectors.lock import Lock
from pipelines.vectors.schema import list_vectors
from tests.pipelines.vectors.made import WORDS, column, plan, rows, vector, write


@pytest.fixture
def out(where: Path) -> Path:
    write(where / "v", parts=3)
    return where / "v"


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def found(out: Path) -> list[tuple[str, str]]:
    return [(finding.file, finding.kind) for finding in verify(out)]


def test_of_a_good_set_there_is_nothing_to_say(out: Path) -> None:
    assert verify(out) == []
    assert VectorSet.open(out)["word_toy"].vectors.shape == (15, 3)
    assert verify(out) == []


DAMAGE: dict[str, tuple[Callable[[Path], object], list[tuple[str, str]], str]] = {
    "a flipped bit": (
        lambda out: flip(out / "data/part-000001.parquet"),
        [("data/part-000001.parquet", "damaged")],
        "another SHA-256 than was committed",
    ),
    "a missing part": (
        lambda out: (out / "data/part-000002.parquet").unlink(),
        [("data/part-000002.parquet", "damaged")],
        "part-000002.parquet' is missing",
    ),
    "a missing record": (
        lambda out: (out / "commits/part-000002.json").unlink(),
        [("commits/part-000002.json", "damaged"), ("data/part-000002.parquet", "leftover")],
        "it is missing, and the manifest says that the set is complete",
    ),
    "an extra part": (
        lambda out: shutil.copy(out / "data/part-000001.parquet", out / "data/part-000001.g2.parquet"),
        [("data/part-000001.g2.parquet", "leftover")],
        "no committed part",
    ),
    "a flipped manifest": (
        lambda out: (out / "manifest.json").write_text(
            (out / "manifest.json").read_text().replace('"toy:1"', '"toy:2"', 1)
        ),
        [("manifest.json", "damaged")],
        "does not agree",
    ),
    "an empty manifest": (
        lambda out: os.truncate(out / "manifest.json", 0),
        [("manifest.json", "damaged")],
        "is damaged",
    ),
    "a missing run": (lambda out: (out / "run.json").unlink(), [("run.json", "damaged")], "is missing"),
    "an unfinished set": (
        lambda out: (
            (out / "manifest.json").unlink(),
            (out / "commits/part-000000.json").unlink(),
            (out / "data/part-000000.parquet").unlink(),
        ),
        [("manifest.json", "unfinished")],
        "resumable: 2 of 3 parts",
    ),
    "a temporary file": (
        lambda out: (out / f"data/.tmp-part-000001.parquet-{'0' * 32}").touch(),
        [(f"data/.tmp-part-000001.parquet-{'0' * 32}", "leftover")],
        "begun and not finished",
    ),
    "a dead lock": (lambda out: (out / "LOCK").touch(), [("LOCK", "leftover")], "a run that was stopped left it"),
}


@pytest.mark.parametrize(("damage", "files", "says"), DAMAGE.values(), ids=DAMAGE)
def test_RES_18_what_is_wrong_is_named(
    out: Path, damage: Callable[[Path], object], files: list[tuple[str, str]], says: str
) -> None:
    damage(out)
    findings = verify(out)
    assert [(finding.file, finding.kind) for finding in findings] == files
    assert says in findings[0].problem
    assert all(finding.cure for finding in findings)


def test_another_run_description_is_noticed(out: Path) -> None:
    values = json.loads((out / "run.json").read_text())
    (out / "run.json").write_text(json.dumps({**values, "root": "/elsewhere"}))
    assert ("run.json", "damaged") in found(out)
    assert ("commits/part-000000.json", "damaged") in found(out)


def test_a_living_writer_is_named(where: Path) -> None:
    write(where / "v", only=[0])
    lock = Lock.take(where / "v/LOCK")
    assert found(where / "v") == [("manifest.json", "unfinished"), ("LOCK", "unfinished")]
    assert f"process {os.getpid()}" in verify(where / "v")[1].problem
    lock.release()


def test_a_stale_cache_is_told_from_a_wrong_one(out: Path) -> None:
    vectors = VectorSet.open(out)["word_toy"].vectors.copy()
    vectors[2, 0] += 1
    np.save(out / "cache/word_toy.npy", vectors)
    assert found(out) == [("cache/word_toy.npy", "damaged")]
    (out / "cache/word_toy.json").write_text('{"manifest_sha256": "of another set"}')
    assert found(out) == [("cache/word_toy.npy", "leftover")]
    (out / "cache/word_toy.json").write_text("{")
    assert found(out) == [("cache/word_toy.npy", "leftover")]
    np.testing.assert_array_equal(VectorSet.open(out)["word_toy"].vectors[2], np.array(vector(2), np.float32))
    assert found(out) == []


def changed(part: int, name: str, values: Any) -> pa.Table:
    table = rows(part)
    place = table.column_names.index(name)
    array = (
        list_vectors(values) if isinstance(values, np.ndarray) else pa.array(values, table.schema.field(name).type)
    )
    return table.set_column(place, table.schema.field(name), array)


def vectors_with(row: int, value: float) -> np.ndarray[Any, Any]:
    made = np.stack([np.array(vector(number), np.float32) for number in range(5)])
    made[[1, 3]] = np.nan
    made[row] = value
    return made


CONTENT = {
    "a vector where the status is not ok": (
        changed(0, "word_toy", vectors_with(1, 0.0)),
        "1 rows of 'word_toy' are not ok and hold numbers: '0/drum' for one",
    ),
    "an infinite vector": (changed(0, "word_toy", vectors_with(2, np.inf)), "hold no finite vector: '0/siren'"),
    "a missing vector": (changed(0, "word_toy", vectors_with(4, np.nan)), "hold no finite vector: '0/engine'"),
    "an id twice in a part": (
        changed(0, "id", ["0/bell", "0/drum", "0/bell", "x", "y"]),
        "the id '0/bell' stands there, and before",
    ),
    "an id of another part": (changed(0, "id", ["a", "b", "c", "d", "1/wave"]), "the id '1/wave' stands there"),
}


@pytest.mark.parametrize(("table", "says"), CONTENT.values(), ids=CONTENT)
def test_rows_that_were_committed_wrong_are_found(where: Path, table: pa.Table, says: str) -> None:
    schema = Schema(("word",), (column(), column("word_half", 2, "float16")))
    with Writer.open(where / "v", schema, plan(2)) as writer:
        writer.commit(0, table, {})
        writer.commit(1, rows(1), {})
        writer.finish()
    findings = verify(where / "v")
    assert len(findings) == 1
    assert says in findings[0].problem
    assert findings[0].file.startswith("data/")


def test_unit_length_is_held_where_it_is_promised(where: Path) -> None:
    info = column()
    promised = Schema(("word",), (type(info)(**{**info.to_json(), "normalized": True}),))
    table = rows(0).select(promised.arrow().names)
    with Writer.open(where / "v", promised, plan(1)) as writer:
        writer.commit(0, table, {})
        writer.finish()
    assert [finding.problem for finding in verify(where / "v")] == [
        "3 rows of 'word_toy' are not of length 1: '0/bell' for one"
    ]


@pytest.mark.parametrize(
    "forge",
    [
        lambda table: table.rename_columns(["x", *table.column_names[1:]]),
        lambda table: table.set_column(3, "word_toy", pa.array(["words"] * 5)),
        lambda table: table.slice(1),
        lambda table: pa.concat_tables([table] * 100),
        lambda table: table.drop_columns(["word_toy_status"]),
    ],
    ids=["names", "types", "fewer rows", "more rows", "fewer columns"],
)
def test_SEC_11_a_made_up_part_is_an_error_and_no_result(out: Path, forge: Callable[[pa.Table], pa.Table]) -> None:
    path = out / "data/part-000001.parquet"
    pq.write_table(forge(rows(1)), path)
    manifest = json.loads((out / "manifest.json").read_text())
    manifest["parts"][1]["bytes"] = path.stat().st_size
    (out / "manifest.json").write_text(json.dumps(manifest))
    vectors = VectorSet.open(out)
    with pytest.raises(Exception, match=r"is damaged \((it has|its columns)"):
        vectors.to_arrow()
    assert ("data/part-000001.parquet", "damaged") in found(out)
    (out / "run.json").unlink()
    assert [file for file, _ in found(out)] == ["run.json", "data/part-000001.parquet"]


def test_where_there_is_no_set_there_is_nothing_to_verify(where: Path) -> None:
    with pytest.raises(UsageError, match="no vector set"):
        verify(where)


def test_samples_are_the_stored_vectors_of_rows_that_are_ok(out: Path) -> None:
    drawn = list(samples(VectorSet.open(out), 4, seed=7))
    assert [sample.column for sample in drawn] == ["word_toy"] * 4 + ["word_half"] * 4
    for sample in drawn:
        part, word = sample.id.split("/")
        row = 5 * int(part) + WORDS.index(word)
        assert (sample.field, sample.stored) == ("word", word)
        assert word not in ("drum", "wave")
        np.testing.assert_allclose(sample.vector, vector(row, len(sample.vector)), rtol=1e-3)


def test_samples_follow_from_their_seed(out: Path) -> None:
    vectors = VectorSet.open(out)
    drawn = [[sample.id for sample in samples(vectors, 4, seed)] for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]
    assert len(list(samples(vectors, 99, 1))) == 18
    assert list(samples(vectors, 0, 1)) == []

"""The same run goes on where it was stopped, makes again what was broken, and touches nothing else."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from embedders import RefusedError, UsageError
from pipelines import VectorSet
from pipelines.vectors import Schema, Writer, verify
from pipelines.vectors.manifest import Manifest, read_commit
from pipelines.vectors.run import Run
from pipelines.vectors.storage import Storage
from tests.pipelines.vectors.crashes import tree
from tests.pipelines.vectors.made import column, plan, rows, schema, write


@pytest.fixture
def out(where: Path) -> Path:
    """A finished set of three parts."""
    write(where / "v", parts=3)
    return where / "v"


def stamps(out: Path) -> dict[str, tuple[int, int]]:
    return {str(p): (p.stat().st_ino, p.stat().st_mtime_ns) for p in [out, *out.rglob("*")]}


def made_again(out: Path, **options: Any) -> list[int]:
    """The parts that the same run finds missing, and then makes."""
    with Writer.open(out, schema(), plan(3), **options) as writer:
        missing = [part for part in range(3) if part not in writer.commits]
        for part in missing:
            writer.commit(part, rows(part), {"total": 1.0})
        writer.finish()
    return missing


def edit(path: Path, change: Callable[[Any], Any]) -> None:
    values = json.loads(path.read_text())
    path.write_text(json.dumps(change(values) or values, indent=1, ensure_ascii=False) + "\n")


def copy(out: Path, old: str, new: str) -> None:
    shutil.copy(out / old, out / new)


def flip(path: Path, place: float = 0.5) -> None:
    content = bytearray(path.read_bytes())
    content[int(place * len(content))] ^= 1
    path.write_bytes(content)


def test_PRO_16_nothing_of_a_complete_set_is_touched(out: Path) -> None:
    before = stamps(out)
    writer = Writer.open(out, schema(), plan(3))
    assert writer.complete
    assert sorted(writer.commits) == [0, 1, 2]
    writer.finish()
    writer.close()
    assert writer.notes == []
    assert stamps(out) == before


def test_committed_parts_keep_their_files(out: Path) -> None:
    (out / "data/part-000001.parquet").unlink()
    before = stamps(out)
    assert made_again(out) == [1]
    after = stamps(out)
    for name in ("data/part-000000.parquet", "data/part-000002.parquet", "commits/part-000002.json", "run.json"):
        assert after[str(out / name)] == before[str(out / name)]


def test_RES_16_the_clock_decides_nothing(out: Path) -> None:
    for path in out.rglob("*"):
        os.utime(path, (4e9, 4e9))
    assert Writer.open(out, schema(), plan(3)).complete


DAMAGE: dict[str, tuple[Callable[[Path], object], list[int], str]] = {
    "flipped": (lambda out: flip(out / "data/part-000001.parquet"), [1], "another SHA-256"),
    "cut": (lambda out: os.truncate(out / "data/part-000001.parquet", 100), [1], "100 bytes"),
    "missing": (lambda out: (out / "data/part-000001.parquet").unlink(), [1], "is missing"),
    "extra": (
        lambda out: shutil.copy(out / "data/part-000001.parquet", out / "data/part-000009.parquet"),
        [],
        "no com",
    ),
    "record flipped": (lambda out: flip(out / "commits/part-000001.json"), [1], "part-000001.json"),
    "record missing": (lambda out: (out / "commits/part-000001.json").unlink(), [1], "no committed part"),
    "record extra": (
        lambda out: shutil.copy(out / "run.json", out / "commits/part-000009.json"),
        [],
        "no committed",
    ),
    "record of another part": (
        lambda out: copy(out, "commits/part-000000.json", "commits/part-000001.json"),
        [1],
        "record of part 0",
    ),
    "manifest flipped": (lambda out: flip(out / "manifest.json"), [], "does not agree"),
    "manifest empty": (lambda out: os.truncate(out / "manifest.json", 0), [], "does not agree"),
    "manifest of fewer parts": (
        lambda out: edit(out / "manifest.json", lambda m: m["parts"].pop()),
        [],
        "does not agree",
    ),
    "run missing": (lambda out: (out / "run.json").unlink(), [], "run.json"),
    "run flipped": (lambda out: flip(out / "run.json"), [], "run.json"),
    "two parts swapped": (
        lambda out: (
            (out / "data/part-000000.parquet").rename(out / "x"),
            (out / "data/part-000001.parquet").rename(out / "data/part-000000.parquet"),
            (out / "x").rename(out / "data/part-000001.parquet"),
        ),
        [0, 1],
        "data/part-000000.parquet",
    ),
}


@pytest.mark.parametrize(("damage", "again", "says"), DAMAGE.values(), ids=DAMAGE)
def test_RES_18_RES_19_only_what_is_broken_is_made_again(
    out: Path, damage: Callable[[Path], object], again: list[int], says: str
) -> None:
    before = tree(out)
    damage(out)
    assert any(finding.kind == "damaged" or "committed part" in finding.problem for finding in verify(out))
    with Writer.open(out, schema(), plan(3)) as writer:
        assert any(says in note for note in writer.notes), writer.notes
        assert not writer.complete
        assert not (out / "manifest.json").exists()
    assert made_again(out) == again
    assert tree(out) == before
    assert verify(out) == []


def test_trust_takes_the_size_for_the_content(out: Path) -> None:
    flip(out / "data/part-000001.parquet")
    assert Writer.open(out, schema(), plan(3), trust=True).complete
    (out / "manifest.json").unlink()
    os.truncate(out / "data/part-000002.parquet", 10)
    assert made_again(out, trust=True) == [2]


def test_a_cache_of_what_was_broken_is_dropped(out: Path) -> None:
    fine = VectorSet.open(out)["word_toy"].vectors.copy()
    stale = out / "cache/word_toy.npy"
    stale.write_bytes(stale.read_bytes()[:-4] + b"\x00\x00\x80\x3f")
    flip(out / "data/part-000001.parquet")
    made_again(out)
    assert not stale.exists()
    assert VectorSet.open(out)["word_toy"].vectors.tobytes() == fine.tobytes()


def test_RES_19_cut_at_each_byte_nothing_is_taken_for_whole(where: Path) -> None:
    write(where / "v", parts=1)
    storage, run = Storage(where / "v"), Run.of(schema(), plan(1))
    readers: dict[str, Callable[[], object]] = {
        "manifest.json": lambda: Manifest.read(storage),
        "run.json": lambda: Run.read(storage),
        "commits/part-000000.json": lambda: read_commit(storage, 0, run),
    }
    for name, read in readers.items():
        content = (where / "v" / name).read_bytes()
        read()
        for end in range(len(content) - 1):  # without the line's end alone it says the same
            (where / "v" / name).write_bytes(content[:end])
            with pytest.raises(RefusedError, match="damaged"):
                read()
        (where / "v" / name).write_bytes(content)


@pytest.mark.parametrize("name", ["manifest.json", "run.json", "commits/part-000000.json"])
def test_RES_19_wherever_a_file_is_cut_the_same_run_makes_it_whole(where: Path, name: str) -> None:
    write(where / "v", parts=1)
    before = tree(where)
    content = (where / "v" / name).read_bytes()
    for end in [*range(0, len(content), 61), len(content) - 1]:
        (where / "v" / name).write_bytes(content[:end])
        write(where / "v", parts=1)
        found = tree(where)
        if end == len(content) - 1 and name != "manifest.json":  # the line's end is missing and nothing else
            found[f"v/{name}"] = content
        assert found == before


def test_a_damaged_run_of_which_nothing_is_committed_is_refused(where: Path) -> None:
    write(where / "v", only=[])
    os.truncate(where / "v/run.json", 30)
    with pytest.raises(RefusedError, match=r"damaged.*remove the folder"):
        write(where / "v")


CHANGES: dict[str, tuple[Schema, dict[str, Any], str]] = {
    "weights": (schema(sha256="b"), plan(3), "columns.word_toy.fingerprint.sha256: none -> 'b'"),
    "precision": (schema(precision="bf16"), plan(3), "fingerprint.precision: none -> 'bf16'"),
    "dim": (
        Schema(("word",), (column(dim=4), column("word_half", 2, "float16"))),
        plan(3),
        "columns.word_toy.dim: 3 -> 4",
    ),
    "a column more": (
        Schema(("word",), (*schema().columns, column("word_x"))),
        plan(3),
        "columns.word_x: none -> ",
    ),
    "columns in another order": (
        Schema(("word",), tuple(reversed(schema().columns))),
        plan(3),
        "order of columns: ",
    ),
    "records": (schema(), plan(4), "plan.rows: 15 -> 20"),
    "limits": (schema(), {**plan(3), "limits": {"bytes": 5}}, "limits: none -> {'bytes': 5}"),
    "root": (schema(), {**plan(3), "root": "/elsewhere"}, "root: none -> '/elsewhere'"),
}


@pytest.mark.parametrize(("asked", "run", "says"), CHANGES.values(), ids=CHANGES)
def test_PRO_14_another_run_is_refused_with_what_differs_and_nothing_is_written(
    out: Path, asked: Schema, run: dict[str, Any], says: str
) -> None:
    before = stamps(out)
    with pytest.raises(RefusedError) as raised:
        Writer.open(out, asked, run)
    assert says in str(raised.value)
    assert stamps(out) == before


def test_PRO_14_another_run_is_refused_in_an_unfinished_set_too(where: Path) -> None:
    write(where / "v", parts=3, only=[1], root="a")
    before = stamps(where / "v")
    with pytest.raises(RefusedError, match="root: 'a' -> 'b'"):
        write(where / "v", parts=3, root="b")
    assert stamps(where / "v") == before


def test_many_differences_are_counted(out: Path) -> None:
    with pytest.raises(RefusedError) as raised:
        Writer.open(out, schema(**{f"option{number}": "x" * 99 for number in range(30)}), plan(3))
    lines = str(raised.value).splitlines()
    assert len(lines) == 13
    assert lines[11] == "  and 20 more"
    assert max(map(len, lines[1:])) <= 80


def test_PRO_15_circumstances_may_change(out: Path) -> None:
    (out / "manifest.json").unlink()
    write(out, parts=3, circumstances={"threads": 7})
    assert len(VectorSet.open(out)) == 15


def test_a_folder_that_all_may_write_to_is_said(where: Path) -> None:
    (where / "v").mkdir(mode=0o755)
    assert write(where / "v", only=[]).notes == []
    (where / "v").chmod(0o777)
    assert "written by everyone" in write(where / "v", only=[0]).notes[0]


def test_an_unfinished_set_says_how_far_it_is(where: Path) -> None:
    write(where / "v", parts=3, only=[2])
    with pytest.raises(RefusedError, match=r"1 of 3 parts are committed\. Run the same command again"):
        VectorSet.open(where / "v")
    with pytest.raises(UsageError, match="no vector set"):
        VectorSet.open(where)

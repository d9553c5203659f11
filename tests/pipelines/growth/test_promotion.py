"""Wherever the grown set's way into its place is cut short, nothing is lost and the next run ends it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from embedders import RefusedError
from pipelines import VectorSet
from pipelines.growth import promotion, settle
from pipelines.growth.promotion import NEXT
from pipelines.vectors import Storage, Writer, verify
from pipelines.vectors.lock import Lock
from tests.pipelines.vectors.crashes import Subject, Tree, crashes, failures, tree
from tests.pipelines.vectors.made import plan, rows, schema, write
from tests.pipelines.vectors.recorder import Recorder


def make(out: Path, parts: int, first: int, finish: bool = True) -> None:
    with Writer.open(out, schema(), {**plan(parts), "made": first}) as writer:
        for part in range(parts - (not finish)):
            writer.commit(part, rows(first + part), {"total": 1.0})
        if finish:
            writer.finish()


def place(folder: Path, state: Tree) -> None:
    for name, content in state.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if content is None:
            path.mkdir(exist_ok=True)
        else:
            path.write_bytes(content)


Sets = tuple[Tree, Tree]


@pytest.fixture(params=[(2, True, 3), (3, True, 2), (2, False, 2)], ids=["grown", "shrunk", "unfinished"])
def sets(where: Path, request: pytest.FixtureRequest) -> Sets:
    """A set with a finished one in next/, and what is to become of the two."""
    old, finished, new = request.param
    make(where / "v", new, 10)
    after = tree(where)
    shutil.move(where / "v", where / "w")
    make(where / "v", old, 0, finished)
    if finished:
        assert VectorSet.open(where / "v")["word_toy"].vectors.shape == (old * 5, 3)  # there is a cache
        after["v/cache"] = None
    shutil.move(where / "w", where / "v" / NEXT)
    before = tree(where)
    shutil.rmtree(where / "v")
    return before, after


def settled(sets: Sets) -> Callable[[Recorder], list[str]]:
    """Settling, in a folder that tells its readers the truth before."""
    before, after = sets

    def run(storage: Recorder) -> list[str]:
        found = tree(storage.root.parent)
        manifest = found.get("v/manifest.json")
        if manifest is not None:
            told = before if manifest == before.get("v/manifest.json") else after
            for name, content in told.items():
                if name.startswith(("v/data/part", "v/commits/part", "v/manifest", "v/run")):
                    assert found.get(name) == content, f"readers take it for complete, and {name} is another"
        else:
            with pytest.raises(RefusedError, match="has not finished"):
                VectorSet.open(storage.root)
        damage = [finding for finding in verify(storage.root) if finding.kind == "damaged"]
        assert not damage, damage
        settle(storage)
        storage.mark("the end")
        return []

    return run


def swept(where: Path, sets: Sets) -> Iterator[str]:
    return crashes(Subject(settled(sets), is_set=False), where, sets[1], sets[0])


def test_PRO_02_a_power_cut_on_the_way_loses_nothing(where: Path, sets: Sets) -> None:
    assert list(swept(where, sets)) == []


def unflushed(storage: Storage, *folders: str) -> None:
    """Forgets to flush."""


def manifest_first(storage: Storage, folder: str) -> None:
    """The manifest comes before the rows."""
    promotion._rename(storage, "manifest.json")
    move(storage, folder)


def run_first(storage: Storage, folder: str) -> None:
    """Commits come before their run."""
    move(storage, folder)
    if folder == "data":
        move(storage, "commits")


move = promotion._move


@pytest.mark.parametrize(
    ("name", "mutant"),
    [("_flush", unflushed), ("_move", manifest_first), ("_move", run_first)],
    ids=["unflushed", "manifest first", "commits first"],
)
def test_a_wrong_way_is_noticed(
    where: Path, sets: Sets, monkeypatch: pytest.MonkeyPatch, name: str, mutant: Callable[..., None]
) -> None:
    monkeypatch.setattr(promotion, name, mutant)
    assert next(swept(where, sets), None)


def test_RES_09_any_step_may_fail(where: Path, sets: Sets) -> None:
    before, after = sets
    parts = sum(name.startswith("v/data/part") for name in after)

    def run(storage: Recorder) -> list[str]:
        if not storage.root.exists():
            place(storage.root.parent, before)
        settle(storage)
        with Writer.open(storage.root, schema(), {**plan(parts), "made": 10}, storage) as writer:
            assert writer.complete
        storage.mark("the end")
        return []

    assert list(failures(Subject(run, is_set=False), where, after)) == []


def test_PRO_04_the_second_attempt_may_be_cut_short_too(where: Path, sets: Sets) -> None:
    before, after = sets
    middle = len(before) // 2

    class Dying(Recorder):
        def rename(self, old: Path, new: Path) -> None:
            if self.steps > middle:
                raise KeyboardInterrupt
            super().rename(old, new)

    base = where / "half"
    place(base, before)
    with pytest.raises(KeyboardInterrupt):
        settle(Dying(base / "v"))
    assert list(swept(where, (tree(base), after))) == []


def test_a_part_that_is_nowhere_is_said_before_the_old_set_is_given_up(where: Path) -> None:
    write(where / "v", parts=2)
    make(where / "v" / NEXT, 2, 10)
    (where / "v" / NEXT / "data/part-000001.parquet").unlink()
    before = tree(where)
    with pytest.raises(RefusedError, match=r"damaged: 'data/part-000001.parquet' is missing"):
        settle(Storage(where / "v"))
    assert tree(where) == before
    assert len(VectorSet.open(where / "v")) == 10


def test_SEC_a_link_in_the_place_of_a_folder_is_not_followed(where: Path) -> None:
    write(where / "v", parts=2)
    make(where / "elsewhere", 2, 10)
    (where / "v" / NEXT).symlink_to(where / "elsewhere")
    before = tree(where)
    with pytest.raises(RefusedError, match="is a link"):
        settle(Storage(where / "v"))
    assert tree(where) == before


def test_PRO_12_a_living_writer_is_left_alone(where: Path) -> None:
    write(where / "v", parts=2)
    make(where / "v" / NEXT, 2, 10)
    assert [(found.file, found.kind) for found in verify(where / "v")] == [("next", "unfinished")]
    lock = Lock.take(where / "v/LOCK")
    before = tree(where)
    with pytest.raises(RefusedError, match="A run is writing"):
        settle(Storage(where / "v"))
    assert tree(where) == before
    lock.release()


def test_a_strangers_file_in_next_stays(where: Path) -> None:
    write(where / "v", parts=2)
    make(where / "v" / NEXT, 2, 10)
    (where / "v" / NEXT / "notes.txt").write_text("mine")
    for _ in range(2):
        settle(Storage(where / "v"))
    assert [path.name for path in (where / "v" / NEXT).rglob("*")] == ["notes.txt"]
    assert verify(where / "v") == []

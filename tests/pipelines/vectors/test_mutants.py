"""A sweep that lets a writer pass that was broken on purpose is no sweep: each of these must be found out."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow.compute as pc
import pytest

from pipelines.vectors import Commit, Storage, Writer
from pipelines.vectors import run as run_module
from tests.pipelines.vectors.crashes import Subject, Tree, crashes, undisturbed
from tests.pipelines.vectors.going import GOOD, PARTS, going, other
from tests.pipelines.vectors.recorder import Recorder


@pytest.fixture
def expected(where: Path) -> Tree:
    return undisturbed(GOOD, where)


class InPlace(Recorder):
    def write(self, name: str, fill: Callable[[BinaryIO], None], *, once: bool = False) -> None:
        path = self.path(name)
        if not path.parent.exists():
            self.make_folder(path.parent)
            self.flush_folder(path.parent.parent)
        if path.exists():
            self.unlink(path)
        with self.open_new(path) as file:
            fill(file)
            self.flush(file)
        self.flush_folder(path.parent)


class Unflushed(Recorder):
    def flush(self, file: BinaryIO) -> None:
        file.flush()


class FoldersUnflushed(Recorder):
    def flush_folder(self, path: Path) -> None:
        pass


class Untidy(Recorder):
    def tidy(self) -> list[str]:
        return []


class RecordFirst(Writer):
    def commit(self, part: int, table: Any, seconds: Mapping[str, float]) -> Commit:
        later: list[tuple[str, bytes]] = []
        inner, storage = self.storage, self.storage

        class Late(Storage):
            def write(self, name: str, fill: Callable[[BinaryIO], None], *, once: bool = False) -> None:
                if name.startswith("data/"):
                    held = io.BytesIO()
                    fill(held)
                    later.append((name, held.getvalue()))
                    Path(self.path(name)).parent.mkdir(exist_ok=True)
                    Path(self.path(name)).write_bytes(held.getvalue())
                else:
                    for late, _ in later:
                        self.path(late).unlink()
                    inner.write(name, fill, once=once)

        self.storage = Late(storage.root)
        try:
            found = super().commit(part, table, seconds)
        finally:
            self.storage = storage
        for name, content in later:
            storage.write_bytes(name, content)
        return found


class Forgetful(Writer):
    """Leaves out the rows that failed."""

    def commit(self, part: int, table: Any, seconds: Mapping[str, float]) -> Commit:
        return super().commit(part, table.filter(pc.not_equal(table["word_toy_status"], "corrupt")), seconds)

    def _check(self, part: int, table: Any) -> None:
        pass


def two_files(storage: Recorder) -> list[str]:
    """Vectors in one file and what they belong to in another, and a part is there when its vectors are."""
    made = []
    storage.create()
    storage.tidy()
    for part in range(PARTS):
        if not storage.exists(f"data/{part}.npy"):
            storage.write_bytes(f"data/{part}.npy", bytes([part]) * 99)
            storage.write_bytes(f"data/{part}.ids", bytes([part]) * 9)
            storage.mark(f"part {part}")
            made.append(f"part {part}")
    return made


def appending(storage: Recorder) -> list[str]:
    """Rows appended to one file, and a second file that says how many parts of it are done."""
    made = []
    storage.create()
    storage.tidy()
    start = storage.read_json("progress.json") if storage.exists("progress.json") else 0
    for part in range(start, PARTS):
        before = storage.read_bytes("rows") if storage.exists("rows") else b""
        storage.write_bytes("rows", before + bytes([part]) * 99)
        storage.write_json("progress.json", part + 1)
        storage.mark(f"part {part}")
        made.append(f"part {part}")
    return made


def existing(storage: Recorder) -> list[str]:
    """A part is there when its file is, whatever it holds."""
    made = []
    storage.create()
    storage.tidy()
    for part in range(PARTS):
        if not storage.exists(f"data/{part}.npy"):
            storage.write_bytes(f"data/{part}.npy", bytes([part]) * 99)
            storage.mark(f"part {part}")
            made.append(f"part {part}")
    return made


MUTANTS = {
    "writes in place": (Subject(going(), other, InPlace), "run.json' is damaged"),
    "writes vectors and ids as two files": (Subject(two_files, is_set=False), "0.ids is not what"),
    "appends and keeps count": (Subject(appending, is_set=False), "rows is not what"),
    "does not flush files": (Subject(going(), other, Unflushed), "had been promised and was made again"),
    "does not flush folders": (Subject(going(), other, FoldersUnflushed), "had been promised and was made again"),
    "trusts that files exist": (Subject(existing, storage=InPlace, is_set=False), "0.npy is not what"),
    "drops the rows that failed": (Subject(going(Forgetful), other), "part-000000.parquet is not what"),
    "records before it writes": (Subject(going(RecordFirst), other), "part-000000.parquet' is missing"),
    "leaves temporary files": (Subject(going(), other, Untidy), "/.tmp-"),
}


@pytest.mark.parametrize(("subject", "found"), MUTANTS.values(), ids=MUTANTS)
def test_a_writer_that_is_broken_on_purpose_is_found_out(
    subject: Subject, found: str, where: Path, expected: Tree
) -> None:
    aim = expected if subject.is_set else None
    assert any(found in wrong for wrong in crashes(subject, where, aim))


def test_a_writer_that_ignores_the_fingerprint_is_found_out(where: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_module, "NOT_DECIDING", ("circumstances", "columns"))
    assert any("another run was let in" in wrong for wrong in crashes(GOOD, where))


@pytest.mark.parametrize("run", [two_files, appending, existing])
def test_these_writers_are_found_out_by_their_faults_alone(
    run: Callable[[Recorder], list[str]], where: Path
) -> None:
    made = undisturbed(Subject(run, is_set=False), where)
    assert list(crashes(Subject(run, is_set=False), where, made, made)) == []

"""Files appear whole or not at all, inside of their folder, and what the disk refuses is said."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import BinaryIO

import pytest

from embedders import RefusedError, StorageError
from pipelines.vectors import Storage

REFUSALS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG, errno.EIO)


class Fails(Storage):
    """Refuses one operation, whatever file it is about."""

    def __init__(self, root: Path, operation: str, code: int) -> None:
        super().__init__(root)
        self.asked = 0

        def fail(*arguments: object) -> None:
            self.asked += 1
            raise OSError(code, os.strerror(code))

        setattr(self, operation, fail)


@pytest.mark.parametrize("code", REFUSALS, ids=[errno.errorcode[code] for code in REFUSALS])
@pytest.mark.parametrize("operation", ["open_new", "flush", "rename", "flush_folder"])
def test_RES_10_the_message_names_path_reason_and_the_way_on(where: Path, operation: str, code: int) -> None:
    storage = Fails(where, operation, code)
    with pytest.raises(StorageError) as raised:
        storage.write_bytes("a", b"12345")
    said = str(raised.value)
    assert str(where / "a") in said
    assert os.strerror(code) in said
    assert said.endswith("the same command goes on from there")
    assert ("after 5 bytes" in said) == (operation in ("flush", "rename"))
    assert [path.name for path in where.iterdir()] == (["a"] if operation == "flush_folder" else [])


def test_RES_09_a_flush_that_failed_is_not_repeated(where: Path) -> None:
    storage = Fails(where, "flush", errno.EIO)
    with pytest.raises(StorageError):
        storage.write_bytes("a", b"1")
    assert storage.asked == 1


@pytest.mark.parametrize("operation", ["open_new", "flush", "rename"])
def test_what_stood_there_stays_when_writing_fails(where: Path, operation: str) -> None:
    Storage(where).write_bytes("a", b"before")
    with pytest.raises(StorageError):
        Fails(where, operation, errno.ENOSPC).write_bytes("a", b"after")
    assert {path.name: path.read_bytes() for path in where.iterdir()} == {"a": b"before"}


def test_a_file_that_is_written_once_is_not_written_twice(where: Path) -> None:
    Storage(where).write_bytes("a", b"first", once=True)
    with pytest.raises(RefusedError, match="written by another run"):
        Storage(where).write_bytes("a", b"second", once=True)
    assert {path.name: path.read_bytes() for path in where.iterdir()} == {"a": b"first"}


def test_without_hard_links_files_are_still_written_once(where: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    test_a_file_that_is_written_once_is_not_written_twice(where)


@pytest.mark.parametrize(("code", "fatal"), [(errno.EINVAL, False), (errno.ENOTSUP, False), (errno.EIO, True)])
def test_a_folder_that_cannot_be_flushed_at_all_is_no_failure(
    where: Path, code: int, fatal: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fsync(descriptor: int) -> None:
        if os.path.isdir(f"/proc/self/fd/{descriptor}"):
            raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", fsync)
    if fatal:
        with pytest.raises(StorageError):
            Storage(where).write_bytes("a", b"1")
    else:
        Storage(where).write_bytes("a", b"1")
    assert (where / "a").read_bytes() == b"1"


@pytest.mark.parametrize("name", ["../a", "/etc/passwd", "data/../../a", "a/..", "..\\a", "a\0", "\\\\host\\a"])
def test_SEC_10_a_name_that_leads_out_of_the_folder_is_refused(where: Path, name: str) -> None:
    storage = Storage(where)
    for touch in (storage.path, storage.exists, storage.size, storage.sha256, storage.read_json, storage.remove):
        with pytest.raises(RefusedError, match="leads out of"):
            touch(name)
    with pytest.raises(RefusedError, match="leads out of"):
        storage.write_bytes(name, b"1")


@pytest.mark.parametrize("target", [".", "data", "data/a"])
def test_SEC_12_nothing_is_written_or_removed_through_a_link(where: Path, target: str) -> None:
    elsewhere = where / "elsewhere"
    (elsewhere / "data").mkdir(parents=True)
    (elsewhere / "data/a").write_bytes(b"mine")
    root = where / "v"
    link = root / target
    if target != ".":
        link.parent.mkdir(parents=True)
    link.symlink_to(elsewhere / target)
    for change in (lambda: Storage(root).write_bytes("data/a", b"1"), lambda: Storage(root).remove("data/a")):
        with pytest.raises(RefusedError, match=r"is a link to .*elsewhere"):
            change()
    assert (elsewhere / "data/a").read_bytes() == b"mine"


def test_only_our_own_temporary_files_are_removed(where: Path) -> None:
    ours = f".tmp-part-000000.parquet-{'a' * 32}"
    (where / "data").mkdir()
    for name in (ours, f"data/{ours}", ".tmp-of-another-tool", "data/.tmp-x-123", "data/notes.txt"):
        (where / name).touch()
    storage = Storage(where)
    assert storage.leftovers() == [ours, f"data/{ours}"]
    assert storage.tidy() == [ours, f"data/{ours}"]
    assert storage.leftovers() == []
    assert sorted(p.name for p in (where / "data").iterdir()) == [".tmp-x-123", "notes.txt"]


def test_an_interruption_leaves_no_temporary_file(where: Path) -> None:
    def fill(file: BinaryIO) -> None:
        file.write(b"half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Storage(where).write("a", fill)
    assert list(where.iterdir()) == []


def test_removing_what_is_not_there_is_no_error(where: Path) -> None:
    Storage(where).remove("data/a")
    assert list(where.iterdir()) == []

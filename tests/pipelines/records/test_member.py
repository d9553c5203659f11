"""A member is read where it lies, or is a row that says why not."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from embedders import BadInput, UsageError
from pipelines.records import Member, Plan, ShardSource, make_plan, shards
from tests.pipelines.records.archives import LIMIT, SUFFIXES, of, packed, tar

NAMES = ["s.tar", "s.tar.gz", "s.tar.zst"]


def member(path: Path, content: bytes = b"a.jpg") -> Member:
    path.write_bytes(packed(path.name, tar([("a.jpg", content), ("b.jpg", b"b")])))
    found = next(ShardSource(path, SUFFIXES).records()).fields["photo"]
    assert isinstance(found, Member)
    return found


def problem(read: Callable[[], bytes]) -> str:
    with pytest.raises(BadInput) as raised:
        read()
    return f"{raised.value.status}/{raised.value.code}"


@pytest.mark.parametrize("name", NAMES)
def test_a_member_travels_and_is_read_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    found = member(Path(name), b"x" * 2000)
    monkeypatch.chdir("/")
    assert pickle.loads(pickle.dumps(found)).read(LIMIT) == b"x" * 2000
    assert found.name == f"{name}#a.jpg"
    assert len(pickle.dumps(found)) < 500 or found.packed


@pytest.mark.parametrize("name", NAMES)
def test_a_member_above_the_limit_is_not_read(tmp_path: Path, name: str) -> None:
    assert problem(lambda: member(tmp_path / name).read(4)) == "limit/BYTES"
    assert member(tmp_path / name).read(5) == b"a.jpg"


def piped(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda path: path.unlink(), "not_found/NO_FILE"),
        (lambda path: os.truncate(path, 100), "changed/TAR_CHANGED"),
        (lambda path: os.utime(path, ns=(0, 0)), "changed/TAR_CHANGED"),
        (piped, "changed/TAR_CHANGED"),
        (lambda path: (path.unlink(), path.mkdir()), "unreadable/READ|changed/TAR_CHANGED"),
        (lambda path: (path.unlink(), path.symlink_to(path)), "unreadable/READ"),
    ],
    ids=["deleted", "cut", "touched", "pipe", "folder", "loop"],
)
def test_an_archive_that_changed_is_not_read(
    tmp_path: Path, name: str, change: Callable[[Path], object], expected: str
) -> None:
    found = member(tmp_path / name)
    change(tmp_path / name)
    assert problem(lambda: found.read(LIMIT)) in expected.split("|")


def test_a_change_while_reading_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = member(tmp_path / "s.tar")
    fdopen = os.fdopen

    def changed(descriptor: int, mode: str) -> object:
        file = fdopen(descriptor, mode)
        seek = file.seek

        class Changing:
            def __enter__(self) -> Changing:
                return self

            def __exit__(self, *error: object) -> None:
                file.close()

            def seek(self, offset: int) -> None:
                os.truncate(tmp_path / "s.tar", 700)
                seek(offset)

            read = file.read

        return Changing()

    monkeypatch.setattr(os, "fdopen", changed)
    assert problem(lambda: found.read(LIMIT)) == "changed/TAR_CHANGED"


@pytest.mark.parametrize("name", NAMES)
def test_a_shard_that_changes_between_plan_and_run_changes_its_rows(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(packed(name, of("a.jpg", "b.jpg")))
    source = ShardSource(path, SUFFIXES)
    plan = make_plan(source, 10)
    os.utime(path, ns=(0, 0))
    ((_, records),) = plan.read(source)
    for record in records:
        assert problem(partial(record.fields["photo"].read, LIMIT)) == "changed/TAR_CHANGED"


def test_a_shard_of_other_members_is_another_plan(tmp_path: Path) -> None:
    path = tmp_path / "s.tar"
    path.write_bytes(of("a.jpg", "b.jpg"))
    source = ShardSource(path, SUFFIXES)
    plan = make_plan(source, 10)
    path.write_bytes(of("a.jpg", "c.jpg"))
    with pytest.raises(UsageError, match="The source changed while it was read"):
        list(plan.read(source))


def test_a_copy_elsewhere_is_the_same_plan(tmp_path: Path) -> None:
    plans: list[Plan] = []
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "s.tar").write_bytes(of("a.jpg", "b.jpg"))
        os.utime(tmp_path / folder / "s.tar", ns=(0, len(plans)))
        plans.append(make_plan(ShardSource(tmp_path / folder / "s.tar", SUFFIXES), 10))
    assert plans[0] == plans[1]


def test_a_member_written_again_is_another_plan(tmp_path: Path) -> None:
    path = tmp_path / "s.tar"
    path.write_bytes(of("a.jpg"))
    before = make_plan(ShardSource(path, SUFFIXES), 10)
    whole = bytearray(of("a.jpg"))
    whole[136:148] = b"00000000001\0"  # its time
    whole[148:156] = b"%06o\0 " % (sum(whole[:148]) + 256 + sum(whole[156:512]))
    path.write_bytes(whole)
    assert make_plan(ShardSource(path, SUFFIXES), 10).digest != before.digest


@pytest.mark.parametrize("name", NAMES[1:])
def test_a_member_too_large_to_hold_is_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(shards, "HELD_BYTES", 3)
    assert problem(lambda: member(tmp_path / name).read(LIMIT)) == "limit/TAR_HELD"

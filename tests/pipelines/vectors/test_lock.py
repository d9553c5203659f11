"""A folder has one writer, however the one before it ended."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from embedders import RefusedError, StorageError
from pipelines import VectorSet
from pipelines.vectors import Storage, Writer
from pipelines.vectors.lock import Holder, Lock
from tests.pipelines.vectors.made import plan, rows, schema, write


@pytest.fixture
def path(where: Path) -> Path:
    return where / "LOCK"


def no_flock(descriptor: int, operation: int) -> None:
    raise OSError(errno.ENOSYS, "Function not implemented")


def test_PRO_12_a_second_run_is_told_of_the_first(where: Path) -> None:
    with (
        Writer.open(where / "v", schema(), plan(2)),
        pytest.raises(RefusedError, match=f"is writing to '{where / 'v'}': process {os.getpid()} on "),
    ):
        write(where / "v")
    write(where / "v")
    assert len(VectorSet.open(where / "v")) == 10


def test_PRO_12_of_ten_at_once_one_proceeds(where: Path) -> None:
    start, end, refused = threading.Barrier(10), threading.Barrier(11), []
    writers: list[Writer] = []

    def begin() -> None:
        start.wait()
        try:
            writers.append(Writer.open(where / "v", schema(), plan(2)))
        except RefusedError as error:
            refused.append(str(error))
        end.wait()

    threads = [threading.Thread(target=begin) for _ in range(10)]
    for thread in threads:
        thread.start()
    end.wait()
    for thread in threads:
        thread.join()
    assert len(writers) == 1
    assert len(refused) == 9
    assert all("is writing to" in said for said in refused)
    writers[0].close()


def test_RES_17_the_lock_of_a_killed_process_is_taken_over(where: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from pipelines.vectors.lock import Lock\n"
        "lock = Lock.take(Path(sys.argv[1])); print('taken', flush=True); time.sleep(60)"
    )
    child = subprocess.Popen([sys.executable, "-c", code, str(where / "LOCK")], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    with child, child.stdout:
        assert child.stdout.readline() == "taken\n"
        with pytest.raises(RefusedError, match=f"process {child.pid} on"):
            Lock.take(where / "LOCK")
        holder = Holder.read(where / "LOCK")
        assert holder is not None
        assert holder.alive
        child.send_signal(signal.SIGKILL)
        child.wait()
    assert not holder.alive
    lock = Lock.take(where / "LOCK")
    assert Holder.read(where / "LOCK").pid == os.getpid()  # type: ignore[union-attr]
    lock.release()


ME = Holder.me()
LEFT = {
    "a dead process": (replace(ME, pid=2**22 + 1), True),
    "a process whose number was given away": (replace(ME, started=(ME.started or 0) + 1), True),
    "this machine before it was started anew": (replace(ME, boot="of yesterday"), True),
    "a container on this machine": (replace(ME, host="of a container"), True),
    "another machine": (replace(ME, host="other", boot="other"), False),
}


@pytest.mark.parametrize(("holder", "taken"), LEFT.values(), ids=LEFT)
def test_RES_17_a_lock_that_nobody_holds_is_taken_over_unless_it_is_of_another_machine(
    path: Path, holder: Holder, taken: bool
) -> None:
    path.write_text(json.dumps(asdict(holder)))
    if taken:
        Lock.take(path).release()
        assert Holder.read(path) == replace(Holder.me(), since=Holder.read(path).since)  # type: ignore[union-attr]
    else:
        with pytest.raises(RefusedError, match=r"on 'other'.*cannot be asked from here.*remove that file"):
            Lock.take(path)
        assert json.loads(path.read_text()) == asdict(holder)


WITHOUT_FLOCK = {
    "a living process": (ME, "is writing to"),
    "a dead process": (replace(ME, pid=2**22 + 1), ""),
    "a process whose number was given away": (replace(ME, started=(ME.started or 0) + 1), ""),
    "this machine before it was started anew": (replace(ME, boot="of yesterday"), ""),
    "a container on this machine": (replace(ME, host="of a container"), "cannot be asked"),
    "another machine": (replace(ME, host="other", boot="other"), "cannot be asked"),
}


@pytest.mark.parametrize(("holder", "refused"), WITHOUT_FLOCK.values(), ids=WITHOUT_FLOCK)
def test_RES_17_where_files_cannot_be_locked_the_record_decides(
    path: Path, holder: Holder, refused: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fcntl, "flock", no_flock)
    path.write_text(json.dumps(asdict(holder)))
    if refused:
        with pytest.raises(RefusedError, match=refused):
            Lock.take(path)
    else:
        Lock.take(path).release()


@pytest.mark.parametrize(
    "content", [b"", b"{", b"\xff", b"[]", b'{"pid": 1}', b"null", b'{"host": "' + b"x" * 99_999]
)
def test_a_lock_that_says_nothing_is_that_of_a_dead_writer(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    assert Holder.read(path) is None
    Lock.take(path).release()


def test_only_its_owner_may_read_it(path: Path) -> None:
    Lock.take(path).release()
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_lock_whose_name_was_taken_away_protects_nothing(path: Path) -> None:
    lock = Lock.take(path)
    assert lock.standing
    path.unlink()
    assert not lock.standing
    other = Lock.take(path)
    assert not lock.standing
    assert other.standing
    lock.release()
    other.release()


def test_a_lock_that_is_removed_between_opening_and_locking_is_not_taken_for_held(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = fcntl.flock, []

    def late(descriptor: int, operation: int) -> None:
        calls.append(descriptor)
        if len(calls) == 1:
            path.unlink()
        real(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", late)
    lock = Lock.take(path)
    assert len(calls) == 2
    assert lock.standing
    lock.release()


def test_nothing_of_a_lock_remains(where: Path) -> None:
    write(where / "v", only=[0])
    assert not (where / "v/LOCK").exists()


def test_SEC_12_a_lock_that_is_a_link_is_refused(where: Path) -> None:
    write(where / "v", only=[])
    (where / "mine").write_text("mine")
    (where / "v/LOCK").symlink_to(where / "mine")
    with pytest.raises(RefusedError, match="is a link"):
        write(where / "v")
    assert (where / "mine").read_text() == "mine"


def test_a_lock_that_cannot_be_removed_does_not_hide_what_went_wrong(where: Path) -> None:
    class Stuck(Storage):
        def unlink(self, path: Path) -> None:
            if path.name == "LOCK":
                raise OSError(errno.EIO, "Input/output error")
            super().unlink(path)

    def run(interrupted: bool) -> None:
        with Writer.open(where / "v", schema(), plan(1), Stuck(where / "v")) as writer:
            if interrupted:
                raise KeyboardInterrupt
            writer.commit(0, rows(0), {})
            writer.finish()

    with pytest.raises(KeyboardInterrupt):
        run(interrupted=True)
    with pytest.raises(StorageError, match="LOCK"):
        run(interrupted=False)
    assert (where / "v/LOCK").exists()
    assert Writer.open(where / "v", schema(), plan(1)).complete
    write(where / "v", parts=1)
    assert not (where / "v/LOCK").exists()

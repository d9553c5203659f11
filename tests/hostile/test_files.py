"""The file system (FS): files that are missing, no files, elsewhere, changing or failing, amid good neighbours."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from embedders import BadInput, Limits, SetupError
from embedders import modality as decoding
from embedders.modality import read_file
from pipelines import Pipeline
from tests.embedders.modalities.pictures import colours, encode
from tests.hostile.conftest import Contained
from tests.hostile.containment import rows_of
from tests.hostile.measures import PictureMeasures

pytestmark = pytest.mark.usefixtures("torchless")

P = encode(colours(8, 9))


@pytest.fixture(name="root")
def _root(tmp_path: Path) -> Path:
    """A folder with one good picture, and a secret beside it."""
    root = tmp_path / "root"
    (root / "a").mkdir(parents=True)
    (root / "a" / "x.png").write_bytes(P)
    (tmp_path / "secret.png").write_bytes(b"what lies outside")
    return root


# ---- what is no file ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "status", "code"),
    [
        pytest.param("gone.png", "not_found", "NO_FILE", id="FS-01 missing file"),
        pytest.param("gone/x.png", "not_found", "NO_FILE", id="FS-01 missing folder"),
        pytest.param("a/x.png/y.png", "not_found", "NO_FILE", id="FS-01 file as a folder"),
        pytest.param("", "empty", "NO_PATH", id="FS-01 no name"),
        pytest.param("a/x.png\0", "unreadable", "READ", id="FS-01 NUL in the name"),
        pytest.param("x" * 5000, "unreadable", "READ", id="FS-01 name of 5,000 characters"),
        pytest.param("a", "unreadable", "NOT_A_FILE", id="FS-03 folder"),
        pytest.param(".", "unreadable", "NOT_A_FILE", id="FS-03 the root"),
        pytest.param("../secret.png", "blocked", "PATH", id="FS-05 parent"),
        pytest.param("a/../../secret.png", "blocked", "PATH", id="FS-05 parent in the middle"),
        pytest.param("/etc/passwd", "blocked", "PATH", id="FS-05 absolute"),
        pytest.param("//etc/passwd", "blocked", "PATH", id="FS-05 two slashes"),
        pytest.param("~/secret.png", "not_found", "NO_FILE", id="FS-05 home"),
        pytest.param("$HOME/secret.png", "not_found", "NO_FILE", id="FS-05 variable"),
        pytest.param("file:///etc/passwd", "not_found", "NO_FILE", id="FS-05 file URL"),
        pytest.param(r"\\host\share\x.png", "not_found", "NO_FILE", id="FS-05 UNC"),
        pytest.param("%2e%2e/secret.png", "not_found", "NO_FILE", id="FS-05 percent-encoded"),
        pytest.param("..%2fsecret.png", "not_found", "NO_FILE", id="FS-05 percent-encoded slash"),
    ],
)
def test_a_name_is_taken_literally_and_stays_under_the_root(
    contained: Contained, root: Path, name: str, status: str, code: str
) -> None:
    contained({"picture": name}, status, code, root=root)


def test_FS_02_a_file_without_permission_is_unreadable(
    contained: Contained, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail(monkeypatch, errno.EACCES, times=99)
    row = contained({"picture": "a/x.png"}, "unreadable", "READ", root=root)
    assert "Permission denied" in row.error


@pytest.mark.parametrize("kind", ["FIFO", "FIFO with a writer", "socket"], ids=lambda kind: f"FS-03 {kind}")
def test_what_is_no_file_is_refused_at_once(
    contained: Contained, root: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(root)  # a socket's path must be short
    with socket.socket(socket.AF_UNIX) as made:
        if kind == "socket":
            made.bind("odd.png")
        else:
            os.mkfifo("odd.png")
        writer = os.open("odd.png", os.O_RDWR | os.O_NONBLOCK) if kind == "FIFO with a writer" else None
        if writer is not None:
            os.write(writer, P)
        contained({"picture": "odd.png"}, "unreadable", "NOT_A_FILE", root=root)
        if writer is not None:
            os.close(writer)


def test_FS_03_an_endless_device_is_not_read(contained: Contained) -> None:
    contained({"picture": Path("/dev/zero")}, "unreadable", "NOT_A_FILE")


def test_a_huge_file_is_a_limit_before_any_of_it_is_read(contained: Contained, root: Path) -> None:
    with (root / "huge.png").open("wb") as file:
        file.truncate(1 << 42)
    contained({"picture": "huge.png"}, "limit", "BYTES", root=root, megabytes=20)


# ---- links -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "status", "code"),
    [
        pytest.param("a/x.png", "ok", "", id="FS-04 inside"),
        pytest.param("a/../a/x.png", "ok", "", id="FS-04 inside by a detour"),
        pytest.param("../secret.png", "blocked", "PATH", id="FS-04 outside"),
        pytest.param("/dev/zero", "blocked", "PATH", id="FS-04 device"),
        pytest.param("link.png", "unreadable", "NOT_A_FILE", id="FS-04 loop"),
        pytest.param("a/gone.png", "not_found", "NO_FILE", id="FS-04 dangling"),
        pytest.param("../gone.png", "blocked", "PATH", id="FS-04 dangling outside"),
    ],
)
def test_a_link_counts_as_what_it_leads_to(
    contained: Contained, root: Path, target: str, status: str, code: str
) -> None:
    (root / "link.png").symlink_to(target)
    contained({"picture": "link.png"}, status, code, root=root)


def test_FS_04_a_link_to_a_folder_is_followed_inside_only(contained: Contained, root: Path) -> None:
    (root / "b").symlink_to("a")
    contained({"picture": "b/x.png"}, "ok", root=root)


@pytest.mark.parametrize("swapped", ["a/x.png", "a"], ids=["FS-07 file", "FS-07 folder"])
def test_what_is_exchanged_for_a_link_after_the_check_is_never_followed(
    contained: Contained, root: Path, swapped: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    outside = root.parent / "outside"
    outside.mkdir()
    (outside / "x.png").write_bytes(P)
    genuine: Callable[..., str] = os.path.realpath

    def realpath(path: Any, **options: Any) -> str:
        found = genuine(path, **options)
        if str(path).endswith("x.png") and not (root / swapped).is_symlink():
            (root / swapped).rename(root / "was")
            (root / swapped).symlink_to(outside / "x.png" if swapped == "a/x.png" else outside)
        return found

    monkeypatch.setattr(os.path, "realpath", realpath)
    expected = ("unreadable", "NOT_A_FILE") if swapped == "a/x.png" else ("not_found", "NO_FILE")
    assert contained({"picture": "a/x.png"}, *expected, root=root).sha256 is None


def test_FS_07_a_file_exchanged_for_a_pipe_after_the_check_is_not_waited_for(
    contained: Contained, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    genuine: Callable[..., int] = os.open

    def opened(path: Any, *rest: Any, **options: Any) -> int:
        if str(path).endswith("x.png") and (root / "a/x.png").is_file():
            (root / "a/x.png").unlink()
            os.mkfifo(root / "a/x.png")
        return genuine(path, *rest, **options)

    monkeypatch.setattr(os, "open", opened)
    contained({"picture": "a/x.png"}, "unreadable", "NOT_A_FILE", root=root)


def test_FS_07_a_link_that_flickers_never_shows_the_outside(root: Path) -> None:
    link, stop = root / "link.png", threading.Event()
    link.symlink_to("a/x.png")

    def flicker() -> None:
        while not stop.is_set():
            for target in ("../secret.png", "a/x.png"):
                (root / "next").symlink_to(target)
                (root / "next").replace(link)

    swapping = threading.Thread(target=flicker)
    swapping.start()
    seen = set()
    try:
        for _ in range(400):
            with contextlib.suppress(BadInput):
                seen.add(read_file(link, Limits(), root))
    finally:
        stop.set()
        swapping.join()
    assert seen <= {P}


# ---- files that change, disks that fail --------------------------------------------------------------------------


@pytest.mark.parametrize("change", ["grown", "truncated", "rewritten"], ids=lambda change: f"FS-08 {change}")
def test_a_file_written_to_while_it_is_read_has_changed(
    contained: Contained, root: Path, change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = root / "a" / "x.png"
    genuine: Callable[..., Any] = os.fdopen

    def fdopen(descriptor: int, *rest: Any, **options: Any) -> Any:
        file = genuine(descriptor, *rest, **options)
        if os.path.samestat(os.fstat(descriptor), path.stat()):
            when = path.stat().st_mtime_ns
            path.write_bytes({"grown": P + b"more", "truncated": P[:50], "rewritten": P[::-1]}[change])
            os.utime(path, ns=(when, when + (change == "rewritten")))  # a size that differs is enough
        return file

    monkeypatch.setattr(os, "fdopen", fdopen)
    contained({"picture": "a/x.png"}, "changed", "CHANGED", root=root)


@pytest.mark.parametrize("change", ["deleted", "replaced"], ids=lambda change: f"FS-08 {change}")
def test_a_file_exchanged_between_plan_and_read_is_what_its_checksum_says(
    root: Path, tmp_path: Path, change: str
) -> None:
    path, other = root / "a" / "x.png", encode(colours(4, 4))
    job = Pipeline({"picture": PictureMeasures()}).plan([{"picture": "a/x.png"}], root=root)
    path.unlink()
    if change == "replaced":
        path.write_bytes(other)
    job.run(tmp_path / "set")
    (row,) = rows_of(tmp_path / "set")
    checksum = hashlib.sha256(other).hexdigest()
    expected = ("not_found", None) if change == "deleted" else ("ok", checksum)
    assert (row["picture_picturemeasures_status"], row["picture_sha256"]) == expected


def fail(monkeypatch: pytest.MonkeyPatch, number: int, times: int) -> list[float]:
    """Opening ``x.png`` fails so often; gives the pauses that were made in between, which take no time."""
    pauses: list[float] = []
    genuine_open: Callable[..., int] = os.open
    left = times

    def opened(path: Any, *rest: Any, **options: Any) -> int:
        nonlocal left
        if str(path).endswith("x.png") and left:
            left -= 1
            raise OSError(number, os.strerror(number))
        return genuine_open(path, *rest, **options)

    monkeypatch.setattr(os, "open", opened)
    monkeypatch.setattr(decoding.time, "sleep", pauses.append)
    return pauses


@pytest.mark.parametrize(
    "number", [errno.EIO, errno.ESTALE, errno.EINTR], ids=lambda n: f"FS-09 {errno.errorcode[n]}"
)
@pytest.mark.parametrize(("times", "status", "code"), [(2, "ok", ""), (3, "unreadable", "READ")])
def test_a_disk_that_fails_twice_is_asked_a_third_time(
    contained: Contained,
    root: Path,
    number: int,
    times: int,
    status: str,
    code: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pauses = fail(monkeypatch, number, times)
    contained({"picture": "a/x.png"}, status, code, root=root)
    assert pauses == [0.05, 0.2]


def test_FS_09_a_failing_read_is_unreadable(
    contained: Contained, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    genuine: Callable[..., Any] = os.fdopen

    def fdopen(descriptor: int, *rest: Any, **options: Any) -> Any:
        if os.path.samestat(os.fstat(descriptor), (root / "a" / "x.png").stat()):
            raise OSError(errno.EIO, "the disk fails")
        return genuine(descriptor, *rest, **options)

    monkeypatch.setattr(os, "fdopen", fdopen)
    monkeypatch.setattr(decoding, "PAUSES", ())
    assert "the disk fails" in contained({"picture": "a/x.png"}, "unreadable", "READ", root=root).error


def test_too_little_memory_for_a_file_is_a_limit(
    contained: Contained, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def once(path: Path, *rest: Any) -> bytes:
        raise MemoryError

    monkeypatch.setattr(decoding, "_read_once", once)
    contained({"picture": "a/x.png"}, "limit", "MEMORY", root=root)


def test_FS_12_too_many_open_files_say_nothing_about_the_input(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail(monkeypatch, errno.EMFILE, times=1)
    with pytest.raises(SetupError, match="ulimit -n"):
        Pipeline({"picture": PictureMeasures()}).run([{"picture": "a/x.png"}], tmp_path / "set", root=root)
    assert not (tmp_path / "set" / "manifest.json").exists()

"""Every file operation on a vector set, in one class, so that a test can record, fail or reorder any of them."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import re
import stat
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from embedders.errors import RefusedError, StorageError
from pipelines.vectors.lock import Lock

__all__ = ["CURE", "LOCK", "Storage", "json_bytes"]

LOCK = "LOCK"
"""Name of the file that says who writes to the folder."""

FOLDERS = (".", "data", "commits", "cache")
"""The folders in which files appear."""

TEMPORARY = re.compile(r"\.tmp-.+-[0-9a-f]{32}")
"""Names of files that are being written; after a kill they remain until the next writer."""

JSON_BYTES = 256 << 20
"""Largest JSON file that is read: a part takes up to a kilobyte of the manifest, so that this is 250,000 parts."""

CURE = "What is committed stays valid, and the same command goes on from there"
"""What every StorageError of the folder ends with."""


class Storage:
    """A folder in which files appear whole or not at all.

    A file is written under a temporary name in its own folder, flushed to the disk, renamed, and the folder
    flushed, so that a name never stands for half a file, even after a power cut. A failed flush is never repeated
    on the same file, since the system may have dropped what it could not write: the attempt is over.

    Names are relative, with ``/``. Raises RefusedError for a name that leads out of the folder and, before any
    change, for a folder or file that is a link; StorageError, with path and reason, for whatever the operating
    system refuses.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    # reading

    def path(self, name: str) -> Path:
        """The full path of a file in the folder."""
        pure = PurePosixPath(name)
        if pure.is_absolute() or ".." in pure.parts or "\0" in name or "\\" in name:
            raise RefusedError(f"The name {name!r} leads out of {str(self.root)!r}", "Nothing was touched")
        return self.root / name

    def exists(self, name: str) -> bool:
        """Whether a file or folder of that name is there."""
        with self._explained(self.path(name)):
            return self.path(name).exists()

    def names(self, folder: str) -> list[str]:
        """Names of the finished files in a folder, sorted; none for a folder that is not there."""
        return [name for name in self._listed(folder) if not TEMPORARY.fullmatch(name)]

    def leftovers(self) -> list[str]:
        """Files that an attempt began and did not finish, with their folders."""
        found = [(folder, name) for folder in FOLDERS for name in self._listed(folder) if TEMPORARY.fullmatch(name)]
        return [str(PurePosixPath(folder, name)) for folder, name in found]

    def read_bytes(self, name: str) -> bytes:
        """The content of a small file; RefusedError for one of more than 256 MiB."""
        if (size := self.size(name)) > JSON_BYTES:
            raise RefusedError(f"{str(self.path(name))!r} has {size:,} bytes; at most {JSON_BYTES:,} are read")
        with self._explained(self.path(name)):
            return self.path(name).read_bytes()

    def read_json(self, name: str) -> Any:
        """The values of a JSON file; RefusedError if it is none."""
        try:
            return json.loads(self.read_bytes(name))
        except (ValueError, RecursionError) as error:
            raise RefusedError(f"{str(self.path(name))!r} is damaged ({error})") from error

    def size(self, name: str) -> int:
        """Size of a file in bytes."""
        with self._explained(self.path(name)):
            return self.path(name).stat().st_size

    def sha256(self, name: str) -> str:
        """The SHA-256 of a file's content, in hexadecimal."""
        with self._explained(self.path(name)), self.path(name).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    @property
    def exposed(self) -> bool:
        """Whether everyone on this machine may put files into the folder."""
        with self._explained(self.root):
            return bool(self.root.stat().st_mode & stat.S_IWOTH)

    # changing

    def create(self) -> None:
        """Make the folder and its parents, where they are missing."""
        self._refuse_links()
        missing = [folder for folder in (self.root, *self.root.parents) if not folder.exists()]
        with self._explained(self.root):
            for folder in reversed(missing):
                self.make_folder(folder)
                self.flush_folder(folder.parent)

    def create_empty(self) -> None:
        """Make the folder, or take an empty one; RefusedError for any other."""
        with self._explained(self.root):
            if self.root.is_dir() and any(self.root.iterdir()):
                raise RefusedError(f"{str(self.root)!r} is not empty", "Choose another folder")
            if self.root.exists() and not self.root.is_dir():
                raise RefusedError(f"{str(self.root)!r} is not a folder", "Choose another name")
        self.create()

    def write(self, name: str, fill: Callable[[BinaryIO], None], *, once: bool = False) -> None:
        """Make a file out of what ``fill`` writes; on any failure the name keeps what it stood for before.

        With ``once`` a file that is there already is left, and RefusedError raised.
        """
        path = self._target(name)
        temporary = path.with_name(f".tmp-{path.name}-{uuid.uuid4().hex}")
        with self._explained(path):
            if not path.parent.exists():
                self.make_folder(path.parent)
                self.flush_folder(path.parent.parent)
            try:
                with self.open_new(temporary) as file:
                    fill(file)
                    self.flush(file)
                if once:
                    self._link(temporary, path)
                else:
                    self.rename(temporary, path)
            except OSError as error:
                written = self._discard(temporary)
                raise OSError(error.errno, f"{error.strerror or error}, after {written:,} bytes") from error
            except BaseException:
                self._discard(temporary)
                raise
            self.flush_folder(path.parent)

    def write_bytes(self, name: str, content: bytes, *, once: bool = False) -> None:
        """Make a file of this content."""
        self.write(name, lambda file: _write_all(file, content), once=once)

    def write_json(self, name: str, values: Any, *, once: bool = False) -> None:
        """Write plain JSON values, for people as much as for programs."""
        self.write_bytes(name, json_bytes(values), once=once)

    def remove(self, name: str) -> None:
        """Remove a file for good; one that is not there is no error."""
        path = self._target(name)
        with self._explained(path):
            with contextlib.suppress(FileNotFoundError):
                self.unlink(path)
            if path.parent.exists():
                self.flush_folder(path.parent)

    def tidy(self) -> list[str]:
        """Remove what dead attempts left, and name it. Only for the holder of the lock: others may be writing."""
        found = self.leftovers()
        for name in found:
            self.remove(name)
        return found

    def lock(self) -> Lock:
        """Become the folder's only writer; RefusedError while another one lives."""
        path = self._target(LOCK)
        with self._explained(path):
            return self.take_lock(path)

    def unlock(self, lock: Lock) -> None:
        """Let others write."""
        with self._explained(lock.path):
            try:
                if lock.standing:  # where the folder was swapped away, another's lock may stand there
                    self.unlink(lock.path)
            finally:
                lock.release()

    # operations: the only places where the disk is changed

    def take_lock(self, path: Path) -> Lock:
        """Make the lock file, or take over what a dead writer left of it."""
        return Lock.take(path)

    def make_folder(self, path: Path) -> None:
        """Make one folder, which may have appeared meanwhile."""
        path.mkdir(exist_ok=True)

    def open_new(self, path: Path) -> BinaryIO:
        """Open a file that is not there yet."""
        return path.open("xb")

    def flush(self, file: BinaryIO) -> None:
        """Bring a file's content to the disk."""
        file.flush()
        os.fsync(file.fileno())

    def rename(self, old: Path, new: Path) -> None:
        """Give a file its name, in place of the one that had it."""
        old.replace(new)

    def link(self, old: Path, new: Path) -> None:
        """Give a file a second name; FileExistsError where that is taken."""
        try:
            os.link(old, new)
        except OSError as error:
            if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK):
                raise
            # a file system without hard links: the lock alone keeps other writers away
            if new.exists():
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(new)) from error
            old.rename(new)

    def unlink(self, path: Path) -> None:
        """Take a name away."""
        path.unlink()

    def flush_folder(self, path: Path) -> None:
        """Bring a folder's names to the disk."""
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP):  # folders need no flush there
                raise
        finally:
            os.close(descriptor)

    def _link(self, temporary: Path, path: Path) -> None:
        try:
            self.link(temporary, path)
        except FileExistsError as error:
            raise RefusedError(f"{str(path)!r} was written by another run", "Leave one of them running") from error
        with contextlib.suppress(FileNotFoundError):
            self.unlink(temporary)

    def _discard(self, temporary: Path) -> int:
        """Drop a file that came to nothing, where the disk lets us; returns how many bytes it had."""
        size = 0
        with contextlib.suppress(OSError):
            size = temporary.stat().st_size
            self.unlink(temporary)
        return size

    def _listed(self, folder: str) -> list[str]:
        with self._explained(self.path(folder)):
            try:
                return sorted(os.listdir(self.path(folder)))
            except (FileNotFoundError, NotADirectoryError):
                return []

    def _target(self, name: str) -> Path:
        """The path of a file that is about to be changed."""
        path = self.path(name)
        self._refuse_links(*(folder for folder in path.parents if self.root in folder.parents), path)
        return path

    def _refuse_links(self, *paths: Path) -> None:
        for path in (self.root, *paths):
            if path.is_symlink():
                where = os.path.realpath(path)
                raise RefusedError(f"{str(path)!r} is a link to {where!r}", "Name the folder itself")

    @contextlib.contextmanager
    def _explained(self, path: Path) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StorageError(f"{str(path)!r}: {error.strerror or error}", CURE) from error


def json_bytes(values: Any) -> bytes:
    """Plain JSON values as they are stored: equal values give equal bytes."""
    return (json.dumps(values, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()


def _write_all(file: BinaryIO, content: bytes) -> None:
    file.write(content)

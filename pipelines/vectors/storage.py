"""Every file operation on a vector set, in one class, so that a test can make any of them fail."""

from __future__ import annotations

import contextlib
import json
import os
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from embedders.errors import RefusedError, StorageError

__all__ = ["Storage"]


class Storage:
    """A folder in which files appear whole or not at all.

    A file is written under a temporary name in its own folder, flushed to the disk, renamed, and the folder
    flushed, so that a name never stands for half a file, even after a power cut. Raises StorageError, naming
    the path and the reason, for whatever the operating system refuses.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, name: str) -> Path:
        """The full path of a file in the folder."""
        return self.root / name

    def create(self) -> None:
        """Make the folder, with its parents; an empty one is taken as it is. RefusedError for any other."""
        with self._explained(self.root):
            if self.root.is_dir():
                if any(self.root.iterdir()):
                    raise RefusedError(f"{str(self.root)!r} is not empty", "Choose another folder")
            elif self.root.exists():
                raise RefusedError(f"{str(self.root)!r} is not a folder", "Choose another name")
            self.root.mkdir(parents=True, exist_ok=True)

    def exists(self, name: str) -> bool:
        """Whether a file or folder of that name is there."""
        with self._explained(self.path(name)):
            return self.path(name).exists()

    def names(self, folder: str) -> list[str]:
        """Names of the finished files in a folder, sorted; none for a folder that is not there."""
        with self._explained(self.path(folder)):
            if not self.path(folder).is_dir():
                return []
            return sorted(p.name for p in self.path(folder).iterdir() if not p.name.startswith(".tmp-"))

    def write(self, name: str, fill: Callable[[BinaryIO], None]) -> None:
        """Make a file out of what ``fill`` writes; on any failure the name keeps what it stood for before."""
        path = self.path(name)
        temporary = path.with_name(f".tmp-{path.name}-{uuid.uuid4().hex}")
        with self._explained(path):
            path.parent.mkdir(exist_ok=True)
            try:
                with temporary.open("xb") as file:
                    fill(file)
                    file.flush()
                    os.fsync(file.fileno())
                temporary.replace(path)
            finally:
                temporary.unlink(missing_ok=True)
            self._flush_folder(path.parent)

    def write_bytes(self, name: str, content: bytes) -> None:
        """Make a file of this content."""
        self.write(name, lambda file: _write_all(file, content))

    def write_json(self, name: str, values: Any) -> None:
        """Write plain JSON values, for people as much as for programs."""
        text = json.dumps(values, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
        self.write_bytes(name, text.encode())

    def read_json(self, name: str) -> Any:
        """The values of a JSON file; RefusedError if it is none."""
        with self._explained(self.path(name)):
            content = self.path(name).read_bytes()
        try:
            return json.loads(content)
        except (ValueError, RecursionError) as error:
            raise RefusedError(f"{str(self.path(name))!r} is damaged ({error})") from error

    def size(self, name: str) -> int:
        """Size of a file in bytes."""
        with self._explained(self.path(name)):
            return self.path(name).stat().st_size

    def _flush_folder(self, folder: Path) -> None:
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    @contextlib.contextmanager
    def _explained(self, path: Path) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            reason = error.strerror or str(error)
            raise StorageError(f"{str(path)!r}: {reason}", "What is committed stays valid") from error


def _write_all(file: BinaryIO, content: bytes) -> None:
    file.write(content)

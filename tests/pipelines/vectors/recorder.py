"""A storage that notes what is done to the disk, and fails where it is told to."""

from __future__ import annotations

import io
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from pipelines.vectors import Storage
from pipelines.vectors.lock import Lock

Fails = Callable[[int, str], OSError | None]
"""What the n-th operation, of this kind, raises."""


class Recorder(Storage):
    """A storage that notes what it does, flushes nothing, and fails where it is told to.

    ``log`` holds the operations, with paths relative to the folder around the root; files are numbered, since a
    name may stand for several in turn. ``marks`` are what the run calls done: such work must survive anything.
    """

    def __init__(self, root: Path, fails: Fails = lambda number, kind: None) -> None:
        super().__init__(root)
        self.log: list[tuple[Any, ...]] = []
        self.steps = 0
        self._fails = fails
        self._files = itertools.count()

    def note(self, *operation: Any) -> None:
        self.log.append(tuple(self.relative(o) if isinstance(o, Path) else o for o in operation))

    def relative(self, path: Path) -> str:
        return str(path.relative_to(self.root.parent))

    def step(self, kind: str) -> None:
        """An operation is about to happen; raise what it is to fail with."""
        self.steps += 1
        if error := self._fails(self.steps, kind):
            raise error

    def mark(self, done: str) -> None:
        self.note("mark", done)

    def take_lock(self, path: Path) -> Lock:
        self.step("lock")
        kind = "reuse" if path.exists() else "create"
        lock = super().take_lock(path)
        number = next(self._files)
        self.note(kind, path, number)
        self.note("write", number, path.read_bytes())
        return lock

    def make_folder(self, path: Path) -> None:
        self.step("mkdir")
        super().make_folder(path)
        self.note("mkdir", path)

    def open_new(self, path: Path) -> BinaryIO:
        self.step("open")
        tape = _Tape(path, self, next(self._files))
        self.note("create", path, tape.number)
        return io.BufferedWriter(tape)

    def flush(self, file: BinaryIO) -> None:
        file.flush()
        self.step("fsync")
        self.note("sync", file.raw.number)  # type: ignore[attr-defined]

    def rename(self, old: Path, new: Path) -> None:
        self.step("rename")
        super().rename(old, new)
        self.note("rename", old, new)

    def link(self, old: Path, new: Path) -> None:
        self.step("link")
        super().link(old, new)
        self.note("link", old, new)

    def unlink(self, path: Path) -> None:
        self.step("unlink")
        super().unlink(path)
        self.note("unlink", path)

    def flush_folder(self, path: Path) -> None:
        self.step("fsync of folder")
        self.note("sync folder", path)


class _Tape(io.FileIO):
    def __init__(self, path: Path, recorder: Recorder, number: int) -> None:
        super().__init__(path, "xb")
        self.recorder, self.number, self.shut = recorder, number, False

    def write(self, content: Any) -> int:
        content = bytes(content)
        try:
            self.recorder.step("write")
        except OSError:
            self._put(content[: len(content) // 2])  # a disk fills up in the middle
            raise
        return self._put(content)

    def _put(self, content: bytes) -> int:
        super().write(content)
        self.recorder.note("write", self.number, content)
        return len(content)

    def close(self) -> None:
        super().close()
        if not self.shut:
            self.shut = True
            self.recorder.step("close")

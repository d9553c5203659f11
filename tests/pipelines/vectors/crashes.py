"""Every way in which a run can be cut short, tried one after the other: what the tests of any writer share.

A :class:`Recorder` does what a storage does and notes each operation. From the notes, :func:`crash_states`
builds every folder that a power cut at that moment may legally leave: what was not flushed is lost, torn, zeroed or
there; names appear before their content, or not at all, in any combination. :func:`crashes` puts each of them on
the disk and lets the run go on; :func:`failures` makes each operation fail instead. Both yield what they find wrong
as sentences, so that a writer is right when there are none, and a sweep is right when it finds every broken writer.
"""

from __future__ import annotations

import errno
import itertools
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from embedders import EmbedError, RefusedError, StorageError, UsageError
from pipelines.vectors import VectorSet, verify
from tests.pipelines.vectors.recorder import Recorder

Tree = dict[str, bytes | None]
"""A folder by relative paths: the content of files, None for folders."""

Fate = Callable[[bytes, bytes], bytes]
"""What a power cut makes of a file, given its flushed content and all that was written."""


@dataclass
class Disk:
    """What a disk holds after some operations: ``durable`` names, and the changes of names not flushed yet."""

    durable: dict[str, int | None] = field(default_factory=dict)
    live: dict[str, int | None] = field(default_factory=dict)
    pending: list[tuple[str, list[tuple[str, Any]]]] = field(default_factory=list)
    written: dict[int, bytes] = field(default_factory=dict)
    synced: dict[int, bytes] = field(default_factory=dict)

    @classmethod
    def holding(cls, tree: Tree) -> Disk:
        """A disk on which all of this lies safely."""
        disk = cls()
        for number, (name, content) in enumerate(tree.items(), 1):
            disk.durable[name] = None if content is None else -number
            if content is not None:
                disk.written[-number] = disk.synced[-number] = content
        disk.live = dict(disk.durable)
        return disk

    def do(self, operation: Sequence[Any]) -> None:
        match operation:
            case ("mkdir", path):
                self._name(path, None)
            case ("create", path, number):
                self.written[number] = self.synced[number] = b""
                self._name(path, number)
            case ("reuse", path, number):  # of another content, under the name it has
                self.written[number] = b""
                self.synced[number] = self.synced.get(self.live[path] or 0, b"")
                self._name(path, number)
            case ("write", number, content):
                self.written[number] += content
            case ("sync", number):
                self.synced[number] = self.written[number]
            case ("rename", old, new):
                number = self.live.pop(old)
                self.live[new] = number
                self._pend(new, [(old, ...), (new, number)])
            case ("link", old, new):
                self._name(new, self.live[old])
            case ("unlink", path):
                del self.live[path]
                self._pend(path, [(path, ...)])
            case ("sync folder", path):
                for folder, changes in self.pending:
                    if folder == path:
                        _apply(self.durable, changes)
                self.pending = [change for change in self.pending if change[0] != path]

    def states(self) -> Iterator[Tree]:
        """The folders that a power cut may leave now."""
        for chosen in _subsets(len(self.pending)):
            names = dict(self.durable)
            for index in chosen:
                _apply(names, self.pending[index][1])
            names = {name: number for name, number in names.items() if _rooted(name, names)}
            loose = {name: n for name, n in names.items() if n is not None and self.written[n] != self.synced[n]}
            ours = [number for name, number in loose.items() if not name.endswith("LOCK")]
            for fate in _FATES if loose else _FATES[:1]:
                for suffering in (set(loose.values()), *({number} for number in ours if len(ours) > 1)):
                    yield {name: self._content(number, fate, suffering) for name, number in sorted(names.items())}

    def _content(self, number: int | None, fate: Fate, suffering: set[int]) -> bytes | None:
        if number is None:
            return None
        return fate(self.synced[number], self.written[number]) if number in suffering else self.written[number]

    def _name(self, path: str, number: int | None) -> None:
        if path not in self.live or self.live[path] != number:
            self.live[path] = number
            self._pend(path, [(path, number)])

    def _pend(self, path: str, changes: list[tuple[str, Any]]) -> None:
        self.pending.append((os.path.dirname(path) or ".", changes))


_FATES: tuple[Fate, ...] = (
    lambda synced, written: written,
    lambda synced, written: synced,
    lambda synced, written: written[: len(written) // 2],
    lambda synced, written: bytes(len(written)),
)
"""It is there, lost, torn, or zeros of its length: for all files that were not flushed, or for one of them."""


def _apply(names: dict[str, int | None], changes: Sequence[tuple[str, Any]]) -> None:
    for name, number in changes:
        if number is ...:
            names.pop(name, None)
        else:
            names[name] = number


def _rooted(name: str, names: dict[str, int | None]) -> bool:
    return all(str(parent) in names for parent in list(Path(name).parents)[:-1])


def _subsets(count: int) -> Iterator[tuple[int, ...]]:
    """All subsets of a few changes; of many: none, all, the first, each alone, and all without one."""
    places = range(count)
    if count <= 4:
        for size in range(count, -1, -1):
            yield from itertools.combinations(places, size)
        return
    yield tuple(places)
    for place in places:
        yield tuple(places[:place])
        yield (place,)
        yield tuple(p for p in places if p != place)


@dataclass(frozen=True)
class Subject:
    """A way of writing sets that is put to the test.

    ``run`` makes the set in a storage, or goes on with it, calls ``storage.mark`` for each part and for the end
    once that is promised to last, and returns the parts that this attempt made. ``other`` asks for another result
    in the same folder. ``is_set`` tells whether the checks of vector sets apply.
    """

    run: Callable[[Recorder], list[str]]
    other: Callable[[Recorder], object] | None = None
    storage: type[Recorder] = Recorder
    is_set: bool = True


def crashes(
    subject: Subject, where: Path, expected: Tree | None = None, before: Tree | None = None
) -> Iterator[str]:
    """What goes wrong when the run, begun in ``before``, loses power after each of its operations."""
    expected = expected if expected is not None else undisturbed(subject, where)
    recorder = subject.storage(_placed(where, before or {}))
    subject.run(recorder)
    disk, done, seen = Disk.holding(before or {}), set[str](), set[tuple[Any, ...]]()
    for number, operation in enumerate([("begin",), *recorder.log]):
        disk.do(operation)
        if operation[0] == "mark":
            done.add(operation[1])
        for state in disk.states():
            key = (frozenset(done), *state.items())
            if key not in seen:
                seen.add(key)
                after = f"after operation {number}, {operation[:2]}"
                yield from (f"{after}: {wrong}" for wrong in _gone_on(subject, where, state, done, expected))


def crash_states(subject: Subject, where: Path) -> list[Tree]:
    """The different folders that a power cut may leave of the run, in the order in which they become possible."""
    recorder = subject.storage(_placed(where, {}))
    subject.run(recorder)
    disk, found = Disk(), dict[tuple[Any, ...], Tree]()
    for operation in recorder.log:
        disk.do(operation)
        for state in disk.states():
            found.setdefault(tuple(state.items()), state)
    return list(found.values())


def failures(subject: Subject, where: Path, expected: Tree | None = None) -> Iterator[str]:
    """What goes wrong when each operation of the run fails, once or from then on, with a full or a broken disk."""
    expected = expected if expected is not None else undisturbed(subject, where)
    kinds = list(itertools.product((errno.ENOSPC, errno.EIO), (False, True)))
    for number, (code, lasting) in ((number, kind) for number in itertools.count(1) for kind in kinds):
        failing = _Failing(number, code, lasting)
        recorder = subject.storage(_placed(where, {}), failing)
        after = f"when operation {number} fails with {errno.errorcode[code]}{' and all that follow' * lasting}"
        try:
            subject.run(recorder)
        except StorageError:
            pass
        except Exception as error:
            yield f"{after}, {failing.failed[:1]}: raised {error!r}"
        if not failing.failed:
            return
        done = {operation[1] for operation in recorder.log if operation[0] == "mark"}
        state = tree(recorder.root.parent)
        yield from (
            f"{after}, {failing.failed[0]}: {wrong}" for wrong in _gone_on(subject, where, state, done, expected)
        )


@dataclass
class _Failing:
    """Fails at one operation, or at that and all that follow."""

    at: int
    code: int
    lasting: bool
    failed: list[str] = field(default_factory=list)

    def __call__(self, step: int, kind: str) -> OSError | None:
        if step != self.at and not (self.lasting and step > self.at):
            return None
        self.failed.append(kind)
        return OSError(self.code, os.strerror(self.code))


def undisturbed(subject: Subject, where: Path) -> Tree:
    """The folder that a run leaves when nothing happens."""
    subject.run(subject.storage(_placed(where, {})))
    return tree(where / "out")


def tree(folder: Path) -> Tree:
    """All that lies in a folder."""
    paths = folder.rglob("*")
    return {str(path.relative_to(folder)): None if path.is_dir() else path.read_bytes() for path in paths}


def _gone_on(subject: Subject, where: Path, state: Tree, done: set[str], expected: Tree) -> Iterator[str]:
    """What is wrong with a folder that a run left so, and with what the same run makes of it."""
    storage = subject.storage(_placed(where, state))
    if subject.is_set:
        yield from _told(storage.root, state, expected)
    if subject.other and any(name.endswith("run.json") for name in state):
        try:
            subject.other(subject.storage(storage.root))
            yield "another run was let in"
        except RefusedError:
            if tree(where / "out") != state:
                yield "another run was refused and left something"
    try:
        made = subject.run(storage)
    except Exception as error:
        yield f"the same run does not go on: {error!r}"
        return
    if again := done.intersection(made):
        yield f"{sorted(again)} had been promised and was made again"
    found = tree(where / "out")
    for name in sorted(found.keys() | expected.keys()):
        if found.get(name, "missing") != expected.get(name, "missing"):
            yield f"{name} is not what an undisturbed run leaves"


def _told(out: Path, state: Tree, expected: Tree) -> Iterator[str]:
    """Whether readers of the folder, as it is, are told anything that is not so."""
    try:
        VectorSet.open(out)
    except (RefusedError, UsageError):
        pass
    else:
        for name, content in expected.items():
            if name.endswith((".parquet", "manifest.json")) and state.get(name) != content:
                yield f"readers take it for complete, and {name} is not what it should be"
    try:
        for finding in verify(out):
            if finding.kind == "damaged":
                yield f"no damage is legal, and yet {finding.file}: {finding.problem}"
    except UsageError:
        pass
    except EmbedError as error:
        yield f"it cannot be verified: {error}"


def _placed(where: Path, state: Tree) -> Path:
    """Put a folder on the real disk, in place of the one before."""
    base = where / "out"
    if base.exists():
        shutil.rmtree(base)
    base.mkdir()
    for name, content in sorted(state.items()):
        path = base / name
        if content is None:
            path.mkdir()
        else:
            path.write_bytes(content)
    return base / "v"

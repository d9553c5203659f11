"""The set in ``next/`` takes the place of the one around it, in steps that can be repeated from anywhere.

``next/manifest.json`` decides: while it stands there, the old set is given up and the new one is moved file by
file, itself last. So the folder holds the old set, or one that says it is unfinished, or the new set; and whatever
the new one consists of lies in one of two places.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from embedders.errors import RefusedError, StorageError
from pipelines.vectors import Storage
from pipelines.vectors.manifest import MANIFEST, Manifest, commit_file
from pipelines.vectors.run import RUN, Run
from pipelines.vectors.storage import CURE, LOCK

__all__ = ["NEXT", "clear", "locked", "promote", "settle"]

NEXT = "next"
"""Folder of a set that is growing, inside of it."""

PART_FOLDERS = ("data", "commits")


def settle(storage: Storage) -> None:
    """Before anything else is done in a folder: finish a promotion that was begun, and remove what one left.

    Raises RefusedError where the new set is damaged or another run is writing, StorageError.
    """
    if not storage.exists(NEXT):
        return
    if storage.exists(f"{NEXT}/{MANIFEST}"):
        with locked(storage):
            promote(storage)
    elif not storage.exists(f"{NEXT}/{RUN}"):
        with locked(storage):
            clear(storage)


def promote(storage: Storage) -> None:
    """Put the finished set in ``next/`` in the place of what stands around it; for the holder of the lock.

    Raises RefusedError, and changes nothing, where a part of the new set is neither here nor there.
    """
    if not storage.exists(f"{NEXT}/{MANIFEST}"):
        return
    new = _files(storage)
    storage.remove(MANIFEST)
    with _explained(storage):
        # what waits in next/ has a namesake here that is old; what is new and waits no more was moved already
        for folder in ("commits", "data", "cache"):
            waiting = set(storage.names(f"{NEXT}/{folder}"))
            for name in storage.names(folder):
                old = name in waiting or f"{folder}/{name}" not in new
                if old and (_ours(name) or folder == "cache"):
                    storage.unlink(storage.path(f"{folder}/{name}"))
            _flush(storage, folder)  # also where nothing was left to do: it may have been done a moment ago
        # readers of an unfinished run hold commits against run.json: rows come before it, their commits after
        _move(storage, "data")
        _rename(storage, RUN)
        _move(storage, "commits")
        _rename(storage, MANIFEST)
    clear(storage)


def clear(storage: Storage) -> None:
    """Remove ``next/`` with all that a run puts there; for the holder of the lock. A stranger's file stays."""
    inner = Storage(storage.path(NEXT))
    found = [f"{folder}/{name}" for folder in PART_FOLDERS for name in inner.names(folder) if _ours(name)]
    found += [f"cache/{name}" for name in inner.names("cache")]
    for name in (MANIFEST, *sorted(found), *inner.leftovers(), RUN, LOCK):  # nothing looks complete that is not
        if inner.exists(name):
            storage.remove(f"{NEXT}/{name}")
    for folder in (*PART_FOLDERS, "cache", "."):
        with contextlib.suppress(OSError):  # not there, or not empty: it harms nobody
            os.rmdir(inner.path(folder))
    with _explained(storage):
        _flush(storage, ".")


@contextlib.contextmanager
def locked(storage: Storage) -> Iterator[None]:
    """Be the only writer of a folder; RefusedError while another one lives."""
    lock = storage.lock()
    try:
        yield
    except BaseException:
        with contextlib.suppress(StorageError):  # it must not hide what went wrong before
            storage.unlock(lock)
        raise
    storage.unlock(lock)


def _files(storage: Storage) -> set[str]:
    """Names of the new set's files; raises RefusedError unless all of them are there, or were moved."""
    for folder in (NEXT, *(f"{NEXT}/{name}" for name in PART_FOLDERS), *PART_FOLDERS, "cache"):
        if storage.path(folder).is_symlink():
            raise RefusedError(f"{str(storage.path(folder))!r} is a link", "Put the folder itself there")
    inner = Storage(storage.path(NEXT))
    manifest = Manifest.read(inner)
    run = Run.read(inner if inner.exists(RUN) else storage)
    problem = "" if manifest.values.get("run") == run.digest else f"{RUN!r} is of another run"
    for part in manifest.parts:
        where = next((place for place in (inner, storage) if place.exists(part.file)), None)
        if where is None or where.size(part.file) != part.bytes:
            problem = f"{part.file!r} is missing or not what was committed"
        if not any(place.exists(commit_file(part.part)) for place in (inner, storage)):
            problem = f"{commit_file(part.part)!r} is missing"
    if problem:
        raise RefusedError(
            f"The grown set in {str(inner.root)!r} is damaged: {problem}",
            "Restore the file, or remove that folder and run the same command again",
        )
    return {name for part in manifest.parts for name in (part.file, commit_file(part.part))}


def _move(storage: Storage, folder: str) -> None:
    target = storage.path(folder)
    if not target.exists():
        storage.make_folder(target)
        storage.flush_folder(storage.root)
    for name in filter(_ours, storage.names(f"{NEXT}/{folder}")):
        storage.rename(storage.path(f"{NEXT}/{folder}/{name}"), target / name)
    _flush(storage, folder, f"{NEXT}/{folder}")


def _rename(storage: Storage, name: str) -> None:
    old = storage.path(f"{NEXT}/{name}")
    if old.exists():
        storage.rename(old, storage.path(name))
    _flush(storage, ".", NEXT)


def _flush(storage: Storage, *folders: str) -> None:
    for folder in map(storage.path, folders):
        if folder.exists():
            storage.flush_folder(folder)


def _ours(name: str) -> bool:
    return name.startswith("part-")


@contextlib.contextmanager
def _explained(storage: Storage) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        where = error.filename or storage.root
        raise StorageError(f"{str(where)!r}: {error.strerror or error}", CURE) from error

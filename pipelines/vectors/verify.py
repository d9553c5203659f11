"""Whether a vector set is what it says: every file is hashed, every row is read, and all records are cross-checked.

Nothing is believed: a set that was cut, flipped, swapped, edited or made up gives findings and no exception.
Memory is bounded by one part, and 8 bytes per record for their ids.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from embedders.errors import EmbedError, Status, UsageError
from pipelines.vectors import cache
from pipelines.vectors.lock import Holder
from pipelines.vectors.manifest import MANIFEST, Commit, Manifest, commit_file, count_cells, read_commit
from pipelines.vectors.run import RUN, Run
from pipelines.vectors.schema import Schema, vectors_of
from pipelines.vectors.standing import agreeing, check_file, strays
from pipelines.vectors.storage import LOCK, Storage
from pipelines.vectors.vector_set import VectorSet, read_part

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Finding", "Sample", "samples", "verify"]

UNIT_TOLERANCE = 2e-3
"""How far from 1 a stored vector of unit length may lie: 1e-3 as embedders are held to, as much for float16."""

AGAIN = "The command that made the set makes exactly this again"
NEXT = "The next run removes it"
GROWN = "Any run into the folder puts it there"


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong: with which file, what, and what to do.

    ``kind`` is ``damaged``; ``unfinished`` for what a stopped run has not made yet; ``leftover`` for what it left
    behind and the next one removes.
    """

    file: str
    problem: str
    cure: str
    kind: str = "damaged"


@dataclass(frozen=True)
class Sample:
    """One stored vector and what it was made of: enough to make it again and compare."""

    id: str
    field: str
    stored: str | None
    """The field's value as stored: the words, or the path as given."""
    column: str
    vector: npt.NDArray[np.float32]
    """Shape ``(dim,)``."""


def verify(out: str | Path) -> list[Finding]:
    """All that is wrong with the set in a folder, finished or not; nothing where it is complete and good.

    Raises UsageError where there is no set.
    """
    storage = Storage(Path(out))
    if not storage.exists(RUN) and not storage.exists(MANIFEST):
        raise UsageError(f"There is no vector set in {str(out)!r}", "embed run SOURCE -o FOLDER makes one")
    return list(_findings(storage))


def samples(vector_set: VectorSet, count: int, seed: int) -> Iterator[Sample]:
    """Up to ``count`` stored vectors of every column, drawn without repetition; equal seeds draw equal rows."""
    for number, (name, column) in enumerate(vector_set.columns.items()):
        rows = np.flatnonzero(column.ok)
        chosen = np.random.default_rng([seed, number]).permutation(rows)[:count]
        field = column.info.field
        table = vector_set.take(np.sort(chosen).tolist(), ["id", field, name])
        vectors = vectors_of(table.column(name).combine_chunks()).astype(np.float32)
        for row, vector in zip(table.select(["id", field]).to_pylist(), vectors, strict=True):
            yield Sample(row["id"], field, row[field], name, vector)


def _findings(storage: Storage) -> Iterator[Finding]:
    try:
        run = Run.read(storage)
    except EmbedError as error:
        yield Finding(RUN, _said(error), "Restore the file, or run the same command again")
        if storage.exists(MANIFEST):
            yield from _manifest_alone(storage)
        return
    good: dict[int, Commit] = {}
    named: set[str] = set()
    recorded = set(storage.names("commits"))
    for part in range(len(run.parts)):
        name = commit_file(part)
        if name.rpartition("/")[2] not in recorded:
            if storage.exists(MANIFEST):
                yield Finding(name, "it is missing, and the manifest says that the set is complete", AGAIN)
            continue
        named.add(name)
        try:
            commit = read_commit(storage, part, run)
            name = commit.file
            named.add(name)
            check_file(storage, commit)
            good[part] = commit
        except EmbedError as error:
            yield Finding(name, _said(error), AGAIN)
    yield from _contents(storage, list(good.values()), run.schema)
    yield from _manifest(storage, run, good)
    yield from _leftovers(storage, named)


def _manifest(storage: Storage, run: Run, good: Mapping[int, Commit]) -> Iterator[Finding]:
    if not storage.exists(MANIFEST):
        said = f"the set is unfinished and resumable: {len(good)} of {len(run.parts)} parts are there"
        yield Finding(MANIFEST, said, "The command that began it goes on from there", "unfinished")
        return
    try:
        manifest = Manifest.read(storage)
        whole = len(good) == len(run.parts)
        agrees = not whole or agreeing(storage, run, good)
    except EmbedError as error:
        yield Finding(MANIFEST, _said(error), AGAIN)
        return
    if manifest.values.get("run") != run.digest:
        yield Finding(RUN, "it is not the run that the manifest was made for", "Restore the file")
    elif not agrees:
        yield Finding(MANIFEST, "it does not agree with the commit records", AGAIN)
    elif whole:
        yield from _caches(storage, VectorSet(storage, manifest))


def _manifest_alone(storage: Storage) -> Iterator[Finding]:
    """What can be said of a set whose run is unknown: whether its manifest tells its readers the truth."""
    try:
        manifest = Manifest.read(storage)
    except EmbedError as error:
        yield Finding(MANIFEST, _said(error), "Run the same command again")
        return
    good = []
    for commit in manifest.parts:
        try:
            check_file(storage, commit)
            good.append(commit)
        except EmbedError as error:
            yield Finding(commit.file, _said(error), "Restore the file, or run again into another folder")
    yield from _contents(storage, good, manifest.schema)


def _contents(storage: Storage, commits: Sequence[Commit], schema: Schema) -> Iterator[Finding]:
    """What is wrong with rows that are as they were committed: the writer itself, or whoever made the set up."""
    readable: list[Commit] = []
    hashes = array("q")
    for commit in commits:
        cure = f"Remove {commit_file(commit.part)} and run the same command: it makes this part again"
        try:
            table = read_part(storage, commit, schema)
            table.validate(full=True)
            for problem in _rows(table, commit, schema):
                yield Finding(commit.file, problem, cure)
            readable.append(commit)
            hashes.extend(map(_hash, table.column("id").to_pylist()))
        except (EmbedError, OSError, ValueError) as error:
            yield Finding(commit.file, _said(error), cure)
    for name, file in _repeated(storage, readable, schema, hashes):
        yield Finding(file, f"the id {name!r} stands there, and before", "Give every record its own id")


def _rows(table: pa.Table, commit: Commit, schema: Schema) -> Iterator[str]:
    statuses, flags = count_cells(table, schema)
    ids = table.column("id")
    for info in schema.columns:
        if statuses[info.name] != commit.statuses[info.name] or flags[info.name] != commit.flags[info.name]:
            yield f"the statuses or flags of {info.name!r} are not those that were counted"
        ok = np.array(table.column(f"{info.name}_status").to_pylist(), np.str_) == Status.OK.value
        vectors = vectors_of(table.column(info.name).combine_chunks()).astype(np.float32)
        wrong = {
            "are ok and hold no finite vector": ok & ~np.isfinite(vectors).all(axis=1),
            "are not ok and hold numbers": ~ok & ~np.isnan(vectors).all(axis=1),
        }
        if info.normalized:
            lengths = np.linalg.norm(vectors.astype(np.float64), axis=1)
            wrong["are not of length 1"] = ok & (np.abs(lengths - 1) > UNIT_TOLERANCE)
        for problem, rows in wrong.items():
            if rows.any():
                yield f"{rows.sum()} rows of {info.name!r} {problem}: {ids[int(rows.argmax())].as_py()!r} for one"


def _repeated(
    storage: Storage, commits: Sequence[Commit], schema: Schema, hashes: array[int]
) -> Iterator[tuple[str, str]]:
    """Ids that stand in the set twice, with the file of the second; equal hashes are looked into."""
    ordered = np.sort(np.array(hashes, np.int64))
    suspects = set(ordered[1:][ordered[1:] == ordered[:-1]].tolist())
    seen: set[str] = set()
    for commit in commits if suspects else ():
        for name in read_part(storage, commit, schema, ["id"]).column(0).to_pylist():
            if _hash(name) in suspects:
                if name in seen:
                    yield name, commit.file
                seen.add(name)


_hash = hash
"""64 bits, by a key of this process that nobody can aim at."""


def _caches(storage: Storage, owner: VectorSet) -> Iterator[Finding]:
    for name, column in owner.columns.items():
        file = f"{cache.file_of(name)}.npy"
        found = cache.current(storage, name, (len(owner), column.info.dim))
        if found is None:
            if storage.exists(file):
                yield Finding(
                    file, "it was made from another manifest", "The next reader makes it again", "leftover"
                )
            continue
        start = 0
        for piece in column.stored():
            if not np.array_equal(found[start : start + len(piece)], piece, equal_nan=True):
                yield Finding(
                    file, "its vectors are not those of the parts", "Remove the file: a reader makes it again"
                )
                break
            start += len(piece)


def _leftovers(storage: Storage, named: set[str]) -> Iterator[Finding]:
    if storage.exists(f"next/{MANIFEST}"):
        yield Finding("next", "a finished growth of the set waits to take its place", GROWN, "unfinished")
    elif storage.exists(f"next/{RUN}"):
        found = len(storage.names("next/commits"))
        said = f"a growth of the set was begun and not finished: {found} parts; the set is complete without it"
        yield Finding("next", said, "The command that began it goes on; or remove the folder", "leftover")
    for name in storage.leftovers():
        yield Finding(name, "it was begun and not finished", NEXT, "leftover")
    for name in strays(storage, named):
        yield Finding(name, "it belongs to no committed part", NEXT, "leftover")
    if storage.exists(LOCK):
        holder = Holder.read(storage.path(LOCK))
        if holder is not None and holder.alive:
            yield Finding(LOCK, f"a run is writing here: {holder}", "Wait for its end", "unfinished")
        else:
            yield Finding(LOCK, f"a run that was stopped left it: {holder or 'it says nothing'}", NEXT, "leftover")


def _said(error: Exception) -> str:
    """An error without its cure: a finding has its own."""
    return str(error.args[0] if isinstance(error, EmbedError) else error)

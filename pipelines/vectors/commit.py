"""Writing a vector set: the plan first, then its parts, the manifest last; or going on where that was stopped.

A part exists once its commit record does; a set is complete once its manifest is there. Nothing that a reader
may meet before that can be taken for more than it is, and what one run leaves is where the same run goes on.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from embedders.errors import ContractError, StorageError
from pipelines.vectors.hashing import Hashing
from pipelines.vectors.lock import Lock
from pipelines.vectors.manifest import (
    MANIFEST,
    Commit,
    commit_file,
    commit_record,
    count_cells,
    manifest_values,
    part_file,
)
from pipelines.vectors.run import RUN, Run
from pipelines.vectors.schema import Schema
from pipelines.vectors.standing import Standing, examine, refuse_foreign, same_run
from pipelines.vectors.storage import CURE, LOCK, Storage

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Commit", "Writer", "refuse_foreign"]


class Writer:
    """Writes one vector set, or what is missing of it; the only writer of its folder until it is closed.

    ::

        with Writer.open(out, schema, run) as writer:
            for part in ...:                      # those not in writer.commits, in any order
                writer.commit(part, table, seconds)
            writer.finish()

    ``commits`` holds the parts that are there and good; ``notes`` says what was found broken, and removed;
    ``complete`` is True once the manifest stands and everything that it names is good.
    """

    def __init__(self, storage: Storage, run: Run) -> None:
        self.storage = storage
        self.run = run
        self.schema: Schema = run.schema
        self.commits: dict[int, Commit] = {}
        self.notes: list[str] = []
        self.complete = False
        self._lock: Lock | None = None

    @classmethod
    def open(
        cls, out: Path, schema: Schema, run: Mapping[str, Any], storage: Storage | None = None, trust: bool = False
    ) -> Self:
        """Begin in a new or empty folder, or go on in one where the same run was stopped.

        ``run`` is all that was asked for, as plain JSON, with the plan under ``plan``; what it holds under
        ``circumstances`` decides nothing and may differ. Every part that is there is checked by its size and,
        unless ``trust``, by its SHA-256; what is broken is removed. Of a complete set nothing is touched.

        Raises RefusedError, and writes nothing, for a folder of anything else, of another run (with what
        differs), of another format or with a living writer; StorageError for whatever the disk refuses.
        """
        writer = cls(storage or Storage(out), Run.of(schema, run))
        if writer._nothing_to_do(trust):
            return writer
        writer.storage.create()
        writer._lock = writer.storage.lock()
        try:
            writer._go_on(trust)
            if writer.complete:
                writer.close()
        except BaseException as error:
            writer.__exit__(type(error))
            raise
        return writer

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *raised: object) -> None:
        # a lock that cannot be removed must not hide what went wrong before
        with contextlib.suppress(*[StorageError] * (kind is not None)):
            self.close()

    def close(self) -> None:
        """Let other writers in; what was committed stays."""
        if self._lock is not None:
            lock, self._lock = self._lock, None
            self.storage.unlock(lock)

    def commit(self, part: int, table: pa.Table, seconds: Mapping[str, float]) -> Commit:
        """Make a part's rows durable; ``seconds`` per stage are recorded. Parts come in any order, each once.

        Raises ContractError for a table that is not the planned part's, StorageError where the disk refuses or
        does not hold what was written.
        """
        self._check(part, table)
        name = part_file(part)
        size, digest = self._write_rows(name, table)
        counts = count_cells(table, self.schema)
        found = Commit(part, name, self.run.parts[part].start, table.num_rows, size, digest, *counts)
        self._require_lock()
        self.storage.write_json(commit_file(part), commit_record(found, self.run, seconds), once=True)
        self.commits[part] = found
        return found

    def finish(self, source_errors: Sequence[Any] = ()) -> None:
        """Write the manifest: from now on the set is complete. Does nothing where it is.

        ``source_errors`` says what of the source belongs to no record and was accepted, as plain JSON. Raises
        ContractError while a part is missing.
        """
        if self.complete:
            return
        if missing := [part for part in range(len(self.run.parts)) if part not in self.commits]:
            raise ContractError(
                f"{len(missing)} of {len(self.run.parts)} parts are not committed, part {missing[0]} for one"
            )
        for commit in self.commits.values():
            if not self.storage.exists(commit.file) or self.storage.size(commit.file) != commit.bytes:
                path = str(self.storage.path(commit.file))
                raise StorageError(f"{path!r} has changed since it was committed", CURE)
        self._require_lock()
        self.storage.write_json(MANIFEST, manifest_values(self.run, self.commits, source_errors))
        self.complete = True

    def _nothing_to_do(self, trust: bool) -> bool:
        """Look without the lock, which is a file: a complete set stays untouched, and may be read-only."""
        same_run(self.storage, self.run)  # another run is refused before anything is written
        if not self.storage.exists(MANIFEST) or self.storage.exists(LOCK) or self.storage.leftovers():
            return False
        standing = examine(self.storage, self.run, trust=trust)
        if standing is not None and standing.whole:
            self.commits, self.complete = standing.commits, True
        return self.complete

    def _go_on(self, trust: bool) -> None:
        standing = examine(self.storage, self.run, trust=trust)
        self.storage.tidy()
        if standing is None:
            self.storage.write_json(RUN, self.run.values, once=True)
        else:
            self._clear(standing)
            self.commits, self.complete = standing.commits, standing.whole
        if self.storage.exposed:
            self.notes.append(f"{str(self.storage.root)!r} can be written by everyone on this machine")

    def _clear(self, standing: Standing) -> None:
        """Remove what is broken: the manifest first, so that nothing looks complete that is not."""
        broken = standing.broken
        self.notes += [f"{name}: {problem}" for name, problem in broken.items() if problem]
        if MANIFEST in broken:
            self.storage.remove(MANIFEST)
        if not standing.whole:  # a cache may hold what has just been found broken
            for name in self.storage.names("cache"):
                self.storage.remove(f"cache/{name}")
        for name in sorted(broken):  # commits/ before data/
            if name not in (MANIFEST, RUN):
                self.storage.remove(name)
        if RUN in broken:
            self.storage.write_json(RUN, self.run.values)

    def _check(self, part: int, table: pa.Table) -> None:
        if part not in range(len(self.run.parts)) or part in self.commits:
            raise ContractError(f"Part {part} is not one that is missing of {len(self.run.parts)} parts")
        planned = self.run.parts[part]
        if table.num_rows != planned.rows:
            raise ContractError(f"Part {part} came with {table.num_rows} rows; {planned.rows} were planned")
        if not table.schema.equals(self.schema.arrow()):
            raise ContractError(f"Part {part} came with other columns than were planned")

    def _write_rows(self, name: str, table: pa.Table) -> tuple[int, str]:
        """Write a part's file; returns its size and SHA-256."""
        import pyarrow.parquet as pq

        options = self.schema.parquet_options()
        self._require_lock()
        with Hashing() as hashing:
            self.storage.write(name, lambda file: pq.write_table(table, hashing.onto(file), **options))
        path = self.storage.path(name)
        try:
            with pq.ParquetFile(path) as file:
                rows = file.metadata.num_rows
        except (OSError, ValueError) as error:
            raise StorageError(f"{str(path)!r} cannot be read back ({error})", CURE) from error
        if rows != table.num_rows:
            raise StorageError(f"{str(path)!r} holds {rows} of the {table.num_rows} rows just written", CURE)
        if (size := self.storage.size(name)) != hashing.size:
            raise StorageError(f"{str(path)!r} has {size:,} of the {hashing.size:,} bytes just written", CURE)
        return hashing.size, hashing.digest

    def _require_lock(self) -> None:
        if self._lock is None:
            raise ContractError("This writer is closed, or its set was complete")
        if not self._lock.standing:
            path = str(self.storage.path(LOCK))
            raise StorageError(f"{path!r} was removed or replaced while the run was writing", CURE)

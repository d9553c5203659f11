"""From a source to a vector set in three lines: which embedder for which field, and how to run it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from embedders import BaseEmbedder, Limits, UsageError
from embedders.registry import registry
from embedders.remote import Policy
from pipelines.embedding import Column, columns_for
from pipelines.engines import Engine, Progress, Settings, described, failure_limit, make_engines, run_parts
from pipelines.growth import Grow, decide, grow_set, schema_there, settle
from pipelines.records import FolderSource, Plan, ShardSource, Source, TableSource, make_plan, open_source
from pipelines.records.record import portable
from pipelines.vectors import ColumnInfo, Schema, Storage, VectorSet, Writer
from pipelines.vectors.commit import refuse_foreign
from pipelines.vectors.manifest import MANIFEST
from pipelines.vectors.run import Run
from pipelines.vectors.schema import check_names

__all__ = ["PART_ROWS", "Job", "Pipeline"]

PART_ROWS = 1024
"""Records per part: what a kill can cost at most, against the number of files of a large set."""


@dataclass(frozen=True)
class Job:
    """A run that is fully decided and has not begun: nothing is loaded and nothing written."""

    source: Source
    plan: Plan
    columns: tuple[Column, ...]
    settings: Pipeline
    root: Path | None
    limit: int | None = None

    @property
    def vector_bytes(self) -> int:
        """About how many bytes of vectors the run will write."""
        return self.plan.rows * sum(4 * column.spec.dim for column in self.columns)

    def run(
        self,
        out: str | Path,
        observe: Callable[[Progress], None] = lambda progress: None,
        stop: Callable[[], bool] = lambda: False,
        grow: Grow | None = None,
    ) -> Progress:
        """Write the set part by part, or what is missing of it where the same run was stopped.

        Of a complete set nothing is loaded or touched; columns that it has not are added to it, over the same
        records, and those that were not asked for stay. With ``grow`` the set follows its source (``update``: what
        is new or changed is computed, by content) or its failed cells are computed again (``retry_failed``).
        ``stop`` is asked before every part; where it ends the run, ``stopped`` is True and the same run goes on
        later.

        Raises RefusedError if ``out`` holds anything else, SetupError for missing weights (both before anything is
        written), StorageError for what the disk refuses, TooManyFailures, ContractError for a broken embedder.
        """
        storage = Storage(Path(out))
        refuse_foreign(storage)
        settle(storage)
        there = schema_there(storage)
        job, before = self._beside(there.fields)
        workers, settings = job.settings.workers, job.engine(there.columns)
        engines = make_engines(job.columns, settings, workers)
        try:
            fields = tuple(dict.fromkeys(column.field for column in job.columns))
            schema = Schema(fields, described(engines))
            growth = decide(storage, Run.of(schema, job._described()), grow, before)
            if growth is None:
                return job._written(storage, engines, schema, observe, stop)
        finally:
            for engine in engines:
                engine.close()
        return grow_set(
            storage,
            growth,
            job.plan,
            job.source,
            job.columns,
            job.engine(growth.run.schema.columns),
            workers,
            observe,
            stop=stop,
            max_failures=job.settings.max_failures,
        )

    def _written(
        self,
        storage: Storage,
        engines: Sequence[Engine],
        schema: Schema,
        observe: Callable[[Progress], None],
        stop: Callable[[], bool],
    ) -> Progress:
        """Begin, go on, repair, or find that nothing is to be done."""
        finished = storage.exists(MANIFEST)
        if not finished:  # what is missing is said before anything is written
            for engine in engines:
                engine.load()
        with Writer.open(storage.root, schema, self._described(), storage) as writer:
            if finished and not writer.complete:
                for engine in engines:
                    engine.load()
            progress = run_parts(
                self.plan,
                self.source,
                engines,
                writer,
                observe,
                stop=stop,
                max_failures=self.settings.max_failures,
            )
            progress.notes[:0] = writer.notes
        return progress

    def engine(self, columns: Sequence[ColumnInfo]) -> Settings:
        """What the engines are told; where these columns stand already, ``auto`` means their runtimes."""
        held = {column.name: column.fingerprint.get("runtime", {}) for column in columns}
        return replace(self.settings.engine(self.root), rows=self.plan.rows, held=held)

    def _beside(self, held: Sequence[str]) -> tuple[Job, Plan]:
        """The job with the columns of a table that a set holds besides, and the plan over the set's columns alone.

        A plan speaks of the columns that are read: only so can it be seen that the records are the same.
        """
        source, plan = self.source, self.plan
        if not isinstance(source, TableSource) or not held or set(held) == set(source.fields()):
            return self, plan
        if not set(held) <= set(TableSource(source.path, source.id_column).fields()):
            return self, plan
        wider = source.only(tuple(dict.fromkeys((*held, *source.fields()))))
        job = replace(self, source=wider, plan=make_plan(wider, plan.part_rows, self.limit))
        return job, make_plan(source.only(held), plan.part_rows, self.limit)

    def _described(self) -> dict[str, Any]:
        """What ``run.json`` holds besides the columns; where things lay and who worked decides nothing."""
        settings = self.settings
        root = None if self.root is None else portable(os.path.abspath(self.root))
        return {
            "limits": asdict(settings.limits),
            "batch_size": settings.batch_size,
            "urls": sorted(settings.urls.hosts) if settings.urls is not None and settings.urls.enabled else None,
            "plan": self.plan.to_json(),
            "circumstances": {"source": self.source.describe(), "root": root},
        }


class Pipeline:
    """Embeds sources into vector sets.

    ``embed`` maps fields to embedders (see :func:`~pipelines.embedding.columns.columns_for`); without it every
    field named like a modality gets that modality's defaults, or the embedder named ``models`` of its modality
    (``starter``). ``precision`` (``fp32``, ``bf16``, ``fp16``) and ``accel`` (``none``, ``compile``, ``openvino``)
    are what ``auto`` finds to be fastest and right, see :func:`embedders.runtime.choose`; ``fp32`` with ``none`` is
    exact. ``weights`` is one option for all embedders or one per name; ``batch_size`` caps the rows of a
    batch; ``threads`` decode (default: one per core). ``workers`` is None for this process, True or a count for
    worker processes, which may die of an input without taking the run along; ``max_failures``, a count or a share,
    says when a run gives up (see :func:`~pipelines.engines.failure_limit`); ``urls`` allows inputs to be fetched;
    ``record_seconds`` is how long a worker may take to read and decode one record before it is ``timeout``::

        Pipeline({"photo": ["image.resnet50", "image.clip"]}, device="cuda").run("photos.csv", "vectors")
    """

    def __init__(
        self,
        embed: Mapping[str, str | BaseEmbedder | Sequence[str | BaseEmbedder]] | None = None,
        *,
        models: str | None = None,
        weights: str | Mapping[str, str] | None = None,
        device: str = "auto",
        precision: str = "auto",
        accel: str = "auto",
        batch_size: int | None = None,
        part_rows: int = PART_ROWS,
        limits: Limits | None = None,
        threads: int | None = None,
        workers: bool | int | None = None,
        max_failures: float | str | None = None,
        urls: Policy | None = None,
        record_seconds: float = 120.0,
    ) -> None:
        for name, value in (("batch_size", batch_size), ("part_rows", part_rows), ("threads", threads)):
            if value is not None and value < 1:
                raise UsageError(f"{name} is {value}; it must be at least 1")
        if not record_seconds > 0:
            raise UsageError(f"record_seconds is {record_seconds}; it must be more than 0")
        self.embed = embed
        self.models = models
        self.weights = weights
        self.device = device
        self.precision = precision
        self.accel = accel
        self.batch_size = batch_size
        self.part_rows = part_rows
        self.limits = limits or Limits()
        self.threads = threads
        self.workers = workers
        self.max_failures = max_failures
        self.urls = urls
        self.record_seconds = record_seconds
        failure_limit(max_failures)  # refuses what is none, before anything is read

    def engine(self, root: Path | None) -> Settings:
        """What every engine of a run is told."""
        return Settings(
            root=root,
            limits=self.limits,
            device=self.device,
            precision=self.precision,
            accel=self.accel,
            batch_size=self.batch_size,
            threads=self.threads,
            urls=self.urls,
            record_seconds=self.record_seconds,
        )

    def plan(
        self,
        source: Any,
        *,
        limit: int | None = None,
        join: bool = True,
        id_column: str | None = None,
        root: str | Path | None = None,
        group: str = "adjacent",
    ) -> Job:
        """Read the source once, cut it into parts and settle the columns; loads and writes nothing.

        ``source`` is a folder, a table (CSV, TSV, JSONL, Parquet), tar shards (``train-{000..099}.tar``) or an
        iterable of dicts. In a folder, files of one stem make one record unless ``join`` is off; ``id_column``
        names a table's ids; paths in a table are relative to ``root`` (default: its folder) and must lie under it;
        ``group`` says whether the members of a shard's record stand together; ``limit`` takes the first records.

        Raises UsageError for a source without records or with duplicate ids, and for wrong choices.
        """
        suffixes = registry.suffixes(tuple(self.embed or ()))
        opened = open_source(source, suffixes=suffixes, join=join, id_column=id_column, group=group)
        if isinstance(opened, FolderSource | ShardSource) and root is not None:
            raise UsageError(
                f"Files of a folder or shards lie in it; root {str(root)!r} is for the paths of a table"
            )
        if not opened.fields():
            make_plan(opened, self.part_rows)  # says why there is nothing
        columns = tuple(columns_for(opened.fields(), self.embed, self.weights, self.models))
        fields = list(dict.fromkeys(column.field for column in columns))
        check_names(fields, [column.name for column in columns])
        if isinstance(opened, TableSource):
            opened = opened.only(fields)
        plan = make_plan(opened, self.part_rows, limit)
        return Job(opened, plan, columns, self, Path(root) if root is not None else opened.root, limit)

    def run(
        self,
        source: Any,
        out: str | Path,
        *,
        limit: int | None = None,
        join: bool = True,
        id_column: str | None = None,
        root: str | Path | None = None,
        group: str = "adjacent",
        observe: Callable[[Progress], None] = lambda progress: None,
        grow: Grow | None = None,
    ) -> VectorSet:
        """Embed a source into the folder ``out``, and open it; one row per record, whatever becomes of it.

        See :meth:`plan` for the source's options, :meth:`Job.run` for ``grow`` and for what is raised.
        """
        refuse_foreign(Storage(Path(out)))  # said at once, not after a long look at the source
        job = self.plan(source, limit=limit, join=join, id_column=id_column, root=root, group=group)
        job.run(out, observe, grow=grow)
        return VectorSet.open(out)

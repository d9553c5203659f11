"""From a source to a vector set in three lines: which embedder for which field, and how to run it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from embedders import BaseEmbedder, Limits, Runtime, UsageError
from embedders.registry import registry
from pipelines.embedding import Column, PartEmbedder, columns_for
from pipelines.engines.local import Progress, run_parts
from pipelines.records import FolderSource, Plan, Source, TableSource, make_plan, open_source
from pipelines.records.record import portable
from pipelines.vectors import Schema, Storage, VectorSet, Writer
from pipelines.vectors.commit import refuse_foreign
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

    @property
    def vector_bytes(self) -> int:
        """About how many bytes of vectors the run will write."""
        return self.plan.rows * sum(4 * column.spec.dim for column in self.columns)

    def run(self, out: str | Path, observe: Callable[[Progress], None] = lambda progress: None) -> VectorSet:
        """Load the weights, then write the set part by part; returns it opened.

        Raises RefusedError if ``out`` holds anything, SetupError for missing weights (both before anything is
        written), StorageError for what the disk refuses, ContractError for a broken embedder.
        """
        settings = self.settings
        refuse_foreign(Storage(Path(out)))
        runtime = Runtime.of(settings.device, settings.precision)
        threads = settings.threads or _cores()
        with ThreadPoolExecutor(threads, thread_name_prefix="decode") as pool:
            embedder = PartEmbedder(
                self.columns,
                runtime,
                pool,
                root=self.root,
                limits=settings.limits,
                batch_size=settings.batch_size,
            )
            embedder.load()
            fields = tuple(dict.fromkeys(column.field for column in self.columns))
            schema = Schema(fields, tuple(column.info(runtime) for column in self.columns))
            run = {
                "source": self.source.describe(),
                "root": None if self.root is None else portable(os.path.abspath(self.root)),
                "plan": self.plan.to_json(),
            }
            writer = Writer(Path(out), schema, run)
            run_parts(self.plan, self.source, embedder, writer, observe)
        return VectorSet.open(out)


class Pipeline:
    """Embeds sources into vector sets.

    ``embed`` maps fields to embedders (see :func:`~pipelines.embedding.columns.columns_for`); without it every
    field named like a modality gets that modality's defaults, or the embedder named ``models`` of its modality
    (``starter``). ``weights`` is one option for all embedders or one per name; ``batch_size`` caps the rows of a
    batch; ``threads`` decode (default: one per core)::

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
        batch_size: int | None = None,
        part_rows: int = PART_ROWS,
        limits: Limits | None = None,
        threads: int | None = None,
    ) -> None:
        for name, value in (("batch_size", batch_size), ("part_rows", part_rows), ("threads", threads)):
            if value is not None and value < 1:
                raise UsageError(f"{name} is {value}; it must be at least 1")
        self.embed = embed
        self.models = models
        self.weights = weights
        self.device = device
        self.precision = precision
        self.batch_size = batch_size
        self.part_rows = part_rows
        self.limits = limits or Limits()
        self.threads = threads

    def plan(
        self,
        source: Any,
        *,
        limit: int | None = None,
        join: bool = True,
        id_column: str | None = None,
        root: str | Path | None = None,
    ) -> Job:
        """Read the source once, cut it into parts and settle the columns; loads and writes nothing.

        ``source`` is a folder, a table (CSV, TSV, JSONL, Parquet) or an iterable of dicts. In a folder, files of
        one stem make one record unless ``join`` is off; ``id_column`` names a table's ids; paths in a table are
        relative to ``root`` (default: its folder) and must lie under it; ``limit`` takes the first records only.

        Raises UsageError for a source without records or with duplicate ids, and for wrong choices.
        """
        suffixes = {suffix: m.name for m in registry.modalities() for suffix in m.suffixes}
        opened = open_source(source, suffixes=suffixes, join=join, id_column=id_column)
        if isinstance(opened, FolderSource) and root is not None:
            raise UsageError(f"A folder's files lie in it; root {str(root)!r} is for the paths of a table")
        if not opened.fields():
            make_plan(opened, self.part_rows)  # says why there is nothing
        columns = tuple(columns_for(opened.fields(), self.embed, self.weights, self.models))
        fields = list(dict.fromkeys(column.field for column in columns))
        check_names(fields, [column.name for column in columns])
        if isinstance(opened, TableSource):
            opened = opened.only(fields)
        plan = make_plan(opened, self.part_rows, limit)
        return Job(opened, plan, columns, self, Path(root) if root is not None else opened.root)

    def run(
        self,
        source: Any,
        out: str | Path,
        *,
        limit: int | None = None,
        join: bool = True,
        id_column: str | None = None,
        root: str | Path | None = None,
        observe: Callable[[Progress], None] = lambda progress: None,
    ) -> VectorSet:
        """Embed a source into the new folder ``out``; one row per record, whatever becomes of it.

        See :meth:`plan` for the source's options and :meth:`Job.run` for what is raised.
        """
        refuse_foreign(Storage(Path(out)))  # said at once, not after a long look at the source
        return self.plan(source, limit=limit, join=join, id_column=id_column, root=root).run(out, observe)


def _cores() -> int:
    """Cores this process may use: in a container fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

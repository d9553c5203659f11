"""Embed parts in this process."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from embedders.runtime import choose
from pipelines.embedding import Column, Embedded, PartEmbedder
from pipelines.embedding.part import Mark, Observer
from pipelines.engines.contained import contained
from pipelines.engines.engine import Settings
from pipelines.records import Record
from pipelines.vectors import ColumnInfo

__all__ = ["LocalEngine"]


class LocalEngine:
    """The engine of a notebook or a test: no process to start, and none to protect the caller's.

    ``mark`` hears what is being done with which row; a worker shows it to its parent.
    """

    def __init__(
        self, columns: Sequence[Column], settings: Settings, mark: Mark = lambda rows, stage: None
    ) -> None:
        # a relative root would follow an embedder that changes the working folder
        root = None if settings.root is None else Path(os.path.abspath(settings.root))
        self.columns = tuple(columns)
        self.settings = replace(settings, root=root)
        self.mark = mark

    @cached_property
    def settled(self) -> list[Column]:
        """The columns, each with its runtime; this may try what is fast and right."""
        wish = self.settings.wish
        with contained(self._notes):
            return [
                replace(column, runtime=choose(column.embedder, wish, column.name, self._notes.append))
                for column in self.columns
            ]

    def describe(self) -> list[ColumnInfo]:
        """See :class:`~pipelines.engines.engine.Engine`."""
        return [column.info() for column in self.settled]

    def load(self) -> None:
        """See :class:`~pipelines.engines.engine.Engine`."""
        with contained(self._notes):
            self._part.load()

    def embed(self, records: Sequence[Record], observe: Observer = lambda done, failed: None) -> Embedded:
        """See :class:`~pipelines.engines.engine.Engine`."""
        with contained(self._notes):
            found = self._part.embed(records, observe)
        found.notes += self._notes
        self._notes.clear()
        return found

    def close(self) -> None:
        """See :class:`~pipelines.engines.engine.Engine`; a part in work is not cut short."""
        if "_part" in self.__dict__:
            self._threads.shutdown(wait=False, cancel_futures=True)
            self._part.close()
            del self._part

    @cached_property
    def _notes(self) -> list[str]:
        return []

    @cached_property
    def _threads(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(self.settings.decoders, thread_name_prefix="decode")

    @cached_property
    def _part(self) -> PartEmbedder:
        settings = self.settings
        return PartEmbedder(
            self.settled,
            self._threads,
            root=settings.root,
            limits=settings.limits,
            urls=settings.urls,
            batch_size=settings.batch_size,
            mark=self.mark,
        )

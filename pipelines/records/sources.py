"""From what the user names to a source of records."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from embedders.errors import UsageError
from pipelines.records.folder import FolderSource
from pipelines.records.memory import IterableSource
from pipelines.records.naming import SHARDS, is_shard
from pipelines.records.record import Source
from pipelines.records.shards import ShardSource
from pipelines.records.table import FORMATS, TableSource, table_suffix

__all__ = ["open_source"]


def open_source(
    source: Any,
    *,
    suffixes: Mapping[str, str],
    join: bool = True,
    id_column: str | None = None,
    group: str = "adjacent",
) -> Source:
    """The records of a folder, a table, tar shards, Python objects, or a source of the user's own.

    ``suffixes`` (suffix to field) is for folders and shards, ``join`` for folders, ``group`` for shards, which may
    also be a list of paths; ``id_column`` is the column of a table, or the key of dictionaries, that holds ids.
    Raises UsageError for what is none of these, or cannot be read.
    """
    if callable(getattr(source, "records", None)):
        found: Source = source
        return found
    if isinstance(source, str | os.PathLike):
        path = Path(source)
        if os.path.isdir(path):  # unlike Path.is_dir, false for what is no path at all
            return FolderSource(path, suffixes, join)
        if is_shard(path.name):
            return ShardSource(source, suffixes, group)
        if table_suffix(path) is not None:
            return TableSource(path, id_column)
        what = f"There is no file or folder '{path}'" if not os.path.exists(path) else f"'{path}' is no table"
        raise UsageError(
            what, f"Give a folder, shards that end in {', '.join(SHARDS)}, or a table: {', '.join(FORMATS)}"
        )
    if isinstance(source, list | tuple) and source and all(isinstance(s, str | os.PathLike) for s in source):
        return ShardSource(source, suffixes, group)
    if callable(source) or (isinstance(source, Iterable) and not isinstance(source, bytes | bytearray | Mapping)):
        return IterableSource(source, id_column or "id")
    raise UsageError(
        f"A {type(source).__name__} is no source of records",
        "Give a folder, a table, a list of dicts, or a function that returns an iterator of dicts",
    )

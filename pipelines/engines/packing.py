"""What goes to a worker process: embedders by class and options, registered classes by name, and records."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from dataclasses import replace

from embedders import BadInput, Status, UsageError
from embedders.registry import MODALITIES, registry
from pipelines.embedding import Column
from pipelines.records import Record

__all__ = ["packed_columns", "packed_registry", "sendable"]

CURE = "Put it into a module that can be imported, or run without workers"


def packed_columns(columns: Sequence[Column]) -> bytes:
    """The columns, without any weights; raises UsageError for classes that another process cannot import."""
    for column in columns:
        for cls in (type(column.embedder), type(registry.modality(column.modality))):
            if not _importable(cls):
                where = "in a function" if "<locals>" in cls.__qualname__ else "in the script itself"
                raise UsageError(
                    f"A worker process cannot find {cls.__qualname__!r} of column {column.name!r}: "
                    f"it is defined {where}",
                    CURE,
                )
    try:
        return pickle.dumps(tuple(columns), pickle.HIGHEST_PROTOCOL)
    except Exception as error:
        raise UsageError(f"The embedders cannot be sent to a worker process: {error}", CURE) from error


def packed_registry() -> list[tuple[str, bytes]]:
    """Names and packed classes that were registered in this process alone, modalities first.

    Each is packed by itself: one that a worker cannot find is missed only where a column needs it.
    """
    found: list[tuple[str, bytes]] = []
    for name, entry in [*registry.entries(MODALITIES).items(), *registry.entries().items()]:
        if entry.provider == "register()":
            cls = registry.find(name) if "." in name else type(registry.modality(name))
            if _importable(cls):
                found.append((name, pickle.dumps(cls, pickle.HIGHEST_PROTOCOL)))
    return found


def sendable(records: Sequence[Record]) -> list[Record]:
    """The records; one that cannot be sent says so and keeps its place."""
    if _pickles(list(records)):
        return list(records)
    problem = BadInput(Status.INVALID, "UNSENDABLE", "it holds objects that cannot be sent to a worker process")
    return [r if _pickles(r) else replace(r, fields={}, problem=problem) for r in records]


def _importable(cls: type) -> bool:
    return cls.__module__ != "__main__" and "<locals>" not in cls.__qualname__ and _pickles(cls)


def _pickles(found: object) -> bool:
    try:
        pickle.dumps(found, pickle.HIGHEST_PROTOCOL)
    except Exception:  # __reduce__ of foreign objects raises whatever it likes
        return False
    return True

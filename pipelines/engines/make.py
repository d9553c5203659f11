"""From what the user says about workers to engines that agree on what they make."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from embedders import SetupError, UsageError
from pipelines.embedding import Column
from pipelines.engines.engine import Engine, Settings
from pipelines.engines.local import LocalEngine
from pipelines.engines.workers import WorkerEngine
from pipelines.vectors import ColumnInfo

__all__ = ["described", "make_engines"]


def make_engines(columns: Sequence[Column], settings: Settings, workers: bool | int | None = None) -> list[Engine]:
    """The engines of a run; nothing is started or loaded yet.

    ``workers`` is None, False or 0 for this process, True or a count for worker processes: one, or so many. Where
    ``settings.device`` names several (``cuda:0,cuda:1``), each worker gets one in turn, and True means one per
    device. Threads are shared out among them. Raises UsageError for a negative count, for several devices without
    workers, and for embedders that no worker could import.
    """
    devices = settings.device.split(",")
    count = len(devices) if workers is True else int(workers or 0)
    if count < 0:
        raise UsageError(f"workers is {workers!r}; it must be at least 0")
    if not count:
        if len(devices) > 1:
            raise UsageError(f"This process embeds on one device, not on {settings.device!r}", "Ask for workers")
        return [LocalEngine(columns, settings)]
    threads = max(1, settings.decoders // count)
    return [
        WorkerEngine(columns, replace(settings, device=devices[i % len(devices)], threads=threads))
        for i in range(count)
    ]


def described(engines: Sequence[Engine]) -> tuple[ColumnInfo, ...]:
    """What all engines say of the columns; the others take the runtimes that the first one finds.

    Raises SetupError where two would fill one column differently.
    """
    found = tuple(engines[0].describe())
    held = {column.name: column.fingerprint["runtime"] for column in found}
    for engine in engines[1:]:
        engine.settings = replace(engine.settings, held=held)
        other = tuple(engine.describe())
        if other != found:
            raise SetupError(
                "The devices of this run would embed differently: "
                f"{found[0].fingerprint['runtime']} and {other[0].fingerprint['runtime']}",
                "Name devices of one kind",
            )
    return found

"""What an engine is, and what it is told beforehand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from embedders import Limits
from embedders.remote import Policy
from embedders.runtime import Wish
from embedders.runtime.machine import cores
from pipelines.embedding import Embedded
from pipelines.embedding.part import Observer
from pipelines.records import Record
from pipelines.vectors import ColumnInfo

__all__ = ["Engine", "Settings"]


@dataclass(frozen=True)
class Settings:
    """How records are opened and embedded; the same wherever that happens.

    The seconds bound what a worker may take: ``record_seconds`` to read, decode and prepare one record (then it is
    ``timeout``), ``forward_seconds`` for one batch, ``silence_seconds`` without any sign of life. In the caller's
    own process nothing can be cut short, and they have no effect. ``memory`` bounds a worker's address space in
    bytes, for the CPU: accelerators map far more than they use. ``urls`` says what may
    be fetched. ``rows`` is the size of the job, and
    ``held`` what the set at hand records of its columns' runtimes: see :class:`~embedders.runtime.Wish`.
    """

    root: Path | None = None
    limits: Limits = field(default_factory=Limits)
    device: str = "auto"
    precision: str = "auto"
    accel: str = "auto"
    rows: int | None = None
    held: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    batch_size: int | None = None
    threads: int | None = None
    record_seconds: float = 120.0
    forward_seconds: float = 3600.0
    silence_seconds: float = 30.0
    memory: int | None = None
    urls: Policy | None = None

    @property
    def wish(self) -> Wish:
        """What is asked of the columns' runtimes."""
        return Wish(self.device, self.precision, self.accel, self.rows, self.held)

    @property
    def beat_seconds(self) -> float:
        """How often a worker gives a sign of life."""
        return min(1.0, self.silence_seconds / 10)

    @property
    def decoders(self) -> int:
        """Threads that open records: as many as asked for, or as cores that this process may use."""
        return self.threads or cores()


class Engine(Protocol):
    """Embeds parts on one device. What it returns depends on the records, the columns and the settings alone."""

    settings: Settings

    def describe(self) -> Sequence[ColumnInfo]:
        """The facts and fingerprint of every column; resolves the device and loads no weights."""

    def load(self) -> None:
        """Load all weights, so that a SetupError for what is missing comes before anything is written."""

    def embed(self, records: Sequence[Record], observe: Observer) -> Embedded:
        """One row per record, in their order, whatever becomes of them.

        ``observe`` is told of cells as they are done; negative numbers take back what has to be done again.
        """

    def close(self) -> None:
        """Give up weights, threads and processes; at once, also while another thread waits for ``embed``."""

"""What a worker is busy with, in memory that its parent sees and that outlives the worker."""

from __future__ import annotations

import mmap
import os
import tempfile
from collections.abc import Sequence

from pipelines.embedding.part import Stage

__all__ = ["Ledger"]

BEAT = 0
"""Where the pulse is; rows begin one after it."""


class Ledger:
    """One byte of pulse and one per row of the part in work: its stage.

    Plain memory and not messages: a byte is set in well under a microsecond, needs no one to read it, and stands
    exactly as it was when the worker is gone. ``ROWS`` of a part can be told apart; further ones are not marked.
    """

    ROWS = 1 << 22

    def __init__(self, descriptor: int | None = None) -> None:
        self.descriptor = _memory(1 + self.ROWS) if descriptor is None else descriptor
        self._bytes = mmap.mmap(self.descriptor, 1 + self.ROWS)

    @property
    def pulse(self) -> int:
        """0 before the first :meth:`beat`, and another number after each."""
        return self._bytes[BEAT]

    def beat(self) -> None:
        """Give a sign of life."""
        self._bytes[BEAT] = self._bytes[BEAT] % 255 + 1

    def mark(self, rows: Sequence[int], stage: Stage) -> None:
        """Note the stage of these rows."""
        for row in rows:
            if row < self.ROWS:
                self._bytes[1 + row] = stage

    def clear(self, rows: int) -> None:
        """Let so many rows rest, before they are begun."""
        count = min(rows, self.ROWS)
        self._bytes[1 : 1 + count] = bytes(count)

    def busy(self, rows: int) -> dict[int, Stage]:
        """Which of so many rows are in which stage; those that rest are left out."""
        stages = self._bytes[1 : 1 + min(rows, self.ROWS)]
        return {row: Stage(stage) for row, stage in enumerate(stages) if stage} if any(stages) else {}

    def close(self) -> None:
        """Give the memory back."""
        self._bytes.close()
        os.close(self.descriptor)


def _memory(size: int) -> int:
    """A descriptor of zeros that take no space until they are written."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("ledger")
    else:
        with tempfile.TemporaryFile() as file:
            descriptor = os.dup(file.fileno())
    os.ftruncate(descriptor, size)
    return descriptor

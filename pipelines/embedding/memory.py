"""Freed memory goes back to the system now and then, so that a long run stays as small as a short one."""

from __future__ import annotations

import ctypes
import time

__all__ = ["FreeMemory"]

EVERY = 5.0
"""Seconds between two returns: one takes milliseconds, and so does faulting the pages in again."""


class FreeMemory:
    """Gives freed memory back where the C library keeps it; does nothing where that has no such call.

    glibc holds on to freed blocks of up to 32 MB, and pictures and sounds of ever other sizes leave gaps that the
    next ones do not fit into: without this a process grows by gigabytes over a long run while using none of it.
    Lowering glibc's threshold instead, so that it never holds them, costs a forward 15 to 40 % of its speed.
    """

    def __init__(self) -> None:
        self._trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        self._last = time.monotonic()

    def give_back(self) -> None:
        """Return what is free, unless that was done a moment ago."""
        now = time.monotonic()
        if self._trim is not None and now - self._last >= EVERY:
            self._last = now
            self._trim(0)

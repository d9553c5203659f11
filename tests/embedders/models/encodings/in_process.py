"""The checks of the conformance kit that start no other process, which takes seconds each time."""

from __future__ import annotations

from embedders.conformance import CHECKS

__all__ = ["IN_PROCESS"]

IN_PROCESS = [
    check for check in CHECKS if "process" not in check.__name__ and check.__name__ != "importing_is_cheap"
]

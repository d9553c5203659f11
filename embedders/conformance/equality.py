"""Whether two things are the same, and what arrays hang on one: both look into whatever an author may use."""

from __future__ import annotations

import types
from typing import Any

__all__ = ["array_bytes", "equal"]


def equal(first: Any, second: Any) -> bool:
    """Equality that looks into containers, arrays, tensors and plain objects."""
    if type(first) is not type(second):
        return False
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(equal(first[key], second[key]) for key in first)
    if isinstance(first, list | tuple):
        return len(first) == len(second) and all(map(equal, first, second))
    if hasattr(first, "shape"):
        return bool(first.shape == second.shape and (first == second).all())
    if hasattr(first, "__dict__") and not callable(first):
        return equal(vars(first), vars(second))
    return bool(first == second)


def array_bytes(found: Any, leave: frozenset[str] = frozenset()) -> int:
    """Bytes of all arrays and tensors reached from an object: through containers, attributes and closures.

    Attributes of the object itself that are named in ``leave`` do not count.
    """
    total, seen = 0, set[int]()
    ahead = [value for name, value in vars(found).items() if name not in leave]
    while ahead:
        held = ahead.pop()
        if id(held) in seen or isinstance(held, type | types.ModuleType | str | bytes):
            continue
        seen.add(id(held))
        if isinstance(size := getattr(held, "nbytes", None), int):
            total += size
        elif isinstance(held, dict):
            ahead += held.values()
        elif isinstance(held, list | tuple | set | frozenset):
            ahead += held
        else:
            ahead += getattr(held, "__dict__", {}).values()
            ahead += (cell.cell_contents for cell in getattr(held, "__closure__", None) or () if _filled(cell))
    return total


def _filled(cell: Any) -> bool:
    try:
        cell.cell_contents  # noqa: B018  # reading it is the question
    except ValueError:
        return False
    return True

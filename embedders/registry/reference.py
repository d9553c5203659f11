"""How a person names an embedder with options: ``text.bert(pooling=cls)``."""

from __future__ import annotations

import json
import re
from typing import Any

from embedders.errors import UsageError

__all__ = ["parse"]


def parse(reference: str) -> tuple[str, dict[str, Any]]:
    """Split ``name(option=value, ...)``: values are JSON where they can be, else text.

    Raises UsageError for anything else.
    """
    match = re.fullmatch(r"\s*([^\s()]+)\s*(?:\((.*)\))?\s*", reference, re.DOTALL)
    if match is None:
        raise UsageError(f"{reference!r} is no embedder", "Write image.clip or text.bert(pooling=cls, ...)")
    options: dict[str, Any] = {}
    for part in _arguments(match[2] or ""):
        key, equals, value = part.partition("=")
        key, value = key.strip(), value.strip()
        if not equals or not key.isidentifier():
            raise UsageError(f"{part.strip()!r} in {reference!r} is no option", "Write name(option=value, ...)")
        if key in options:
            raise UsageError(f"{reference!r} gives {key!r} twice")
        try:
            options[key] = json.loads(value)
        except ValueError:
            options[key] = value
    return match[1], options


def _arguments(text: str) -> list[str]:
    """Cut at commas outside quotes and brackets."""
    parts, depth, quoted, escaped = [""], 0, False, False
    for char in text:
        if char == '"' and not escaped:
            quoted = not quoted
        escaped = quoted and char == "\\" and not escaped
        depth += (char in "([{") - (char in ")]}") if not quoted else 0
        if char == "," and depth == 0 and not quoted:
            parts.append("")
        else:
            parts[-1] += char
    return [part for part in parts if part.strip()]

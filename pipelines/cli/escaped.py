"""Words of strangers on a terminal: ids, paths, captions and messages may hold what would steer it."""

from __future__ import annotations

__all__ = ["escaped"]


def escaped(words: str) -> str:
    r"""The words on one line, with control and direction characters, halves of pairs and tabs shown as ``\x1b``.

    Without it an id could clear the screen, set a title, forge a second line of a log or turn a name round.
    """
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in words)

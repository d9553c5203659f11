"""Names of shards and of their members: patterns, keys, suffixes, and ids that are safe to keep."""

from __future__ import annotations

import itertools
import math
import os
import re
from collections.abc import Sequence
from pathlib import Path

from embedders.errors import UsageError
from pipelines.records.record import portable

__all__ = ["SHARDS", "described", "expand", "is_shard", "key_of", "shard_paths", "shard_stem", "unpacked_name"]

SHARDS = (".tar", ".tar.gz", ".tgz", ".tar.zst")
"""Suffixes of shards, lower case."""

PATTERN_PATHS = 1_000_000
"""Paths that a pattern may stand for."""

MISSING_NAMED = 3
"""Missing shards that an error lists."""

SUFFIX_LENGTH = 20
"""Suffixes are counted by this many characters: a name is nobody's promise."""

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_BRACES = re.compile(r"\{([^{}]*)\}")
_RANGE = re.compile(r"(\d{1,18})\.\.(\d{1,18})")
_UNSAFE = re.compile(r"\A/|(?<![^/])\.\.(?![^/])|[\\\0]|%[0-9A-F]{2}")
_ESCAPED = re.compile("[\\\\\0\udc80-\udcff]")


def is_shard(name: str) -> bool:
    """Whether a path or pattern is one of shards, by its suffix."""
    return name.lower().endswith(SHARDS)


def shard_stem(path: Path) -> str:
    """A shard's name without suffix: the first half of its records' ids."""
    suffix = max((suffix for suffix in SHARDS if path.name.lower().endswith(suffix)), key=len)
    return portable(path.name[: -len(suffix)])


def shard_paths(given: Sequence[str]) -> list[Path]:
    """Absolute paths of all shards; each given one is a path or a pattern.

    Raises UsageError for other suffixes, anything with a scheme (``pipe:``, ``http:``), missing files, and two
    shards whose records would have the same ids.
    """
    if not given:
        raise UsageError("There are no shards", f"Give paths that end in {', '.join(SHARDS)}")
    found: dict[str, Path] = {}
    missing: list[str] = []
    for name in itertools.chain.from_iterable(map(expand, given)):
        if not is_shard(name):
            raise UsageError(f"{name!r} is no shard", f"Shards end in {', '.join(SHARDS)}")
        path = Path(os.path.abspath(name))
        if not path.is_file():
            if _SCHEME.match(name):
                cure = "Bring the shards to a disk; nothing is fetched, and no command is run"
                raise UsageError(f"{name!r} is no path of a file", cure)
            missing.append(name)
            if len(missing) == MISSING_NAMED:
                break
            continue
        other = found.setdefault(shard_stem(path), path)
        if other is not path:
            raise UsageError(
                f"'{other}' and '{path}' would give their records the same ids", "Rename one, or run them apart"
            )
    if missing:
        raise UsageError(f"There is no file {', '.join(map(repr, missing))}", "Check the paths of the shards")
    return list(found.values())


def expand(pattern: str) -> list[str]:
    """The paths that a pattern stands for, in order: ``{000..003}`` counts, ``{a,b}`` lists; braces do not nest.

    A file of that very name goes first; braces with neither ``..`` nor ``,`` are meant literally. Raises
    UsageError, before anything is made, for more than a million.
    """
    if os.path.exists(pattern):
        return [pattern]
    pieces: list[Sequence[str]] = []
    lengths: list[int] = []
    for position, piece in enumerate(_BRACES.split(pattern)):
        choices = _choices(piece) if position % 2 else [piece]
        lengths.append(choices if isinstance(choices, int) else len(choices))
        pieces.append([] if isinstance(choices, int) else choices)
    if math.prod(lengths) > PATTERN_PATHS:
        shown = pattern if len(pattern) < 100 else pattern[:100] + "..."
        raise UsageError(
            f"{shown!r} stands for too many paths; the most are {PATTERN_PATHS:,}", "Give fewer shards at once"
        )
    return ["".join(choice) for choice in itertools.product(*pieces)]


def _choices(inner: str) -> Sequence[str] | int:
    """What braces stand for; of a count that is too large, only how many."""
    if counted := _RANGE.fullmatch(inner):
        first, last = counted.groups()
        many = abs(int(last) - int(first)) + 1
        if many > PATTERN_PATHS:
            return many
        padded = any(len(number) > 1 and number[0] == "0" for number in (first, last))
        width = max(len(first), len(last)) if padded else 0
        step = 1 if int(first) <= int(last) else -1
        return [f"{number:0{width}d}" for number in range(int(first), int(last) + step, step)]
    return inner.split(",") if "," in inner else [f"{{{inner}}}"]


def key_of(name: bytes) -> tuple[bytes, str]:
    """A member's key and its suffix in lower case, with its dot; the key is empty for hidden files.

    The key is the path up to the first dot of its last component; ``./`` in front of it is no part of it. Hidden
    is what lies in or is a name with a leading dot.
    """
    while name.startswith(b"./"):
        name = name[2:]
    folder, slash, last = name.rpartition(b"/")
    stem, dot, rest = last.partition(b".")
    hidden = any(part.startswith(b".") and part not in (b".", b"..") for part in folder.split(b"/"))
    if hidden or not stem:
        return b"", ""
    return folder + slash + stem, (dot + rest).decode("utf-8", "backslashreplace").lower()


def described(suffix: str) -> str:
    """A suffix as it is counted: its last dot and a few characters."""
    return os.path.splitext("x" + suffix)[1][:SUFFIX_LENGTH] or "no suffix"


def unpacked_name(raw: bytes) -> str:
    """A member's name as part of an id: valid, harmless as a path, and different for different names.

    A relative path in UTF-8 is left alone. Otherwise bytes that are not UTF-8, backslashes, NUL, a leading slash,
    the dots of ``..`` and, so that nothing is mistaken for an escape, ``%`` are percent-escaped; so is ``%`` in a
    name that looks escaped already.
    """
    name = raw.decode(errors="surrogateescape")
    if not _UNSAFE.search(name) and not _ESCAPED.search(name):
        return name
    name = _ESCAPED.sub(lambda found: f"%{ord(found.group()) & 0xFF:02X}", name.replace("%", "%25"))
    name = "/".join("%2E%2E" if part == ".." else part for part in name.split("/"))
    return "%2F" + name[1:] if name.startswith("/") else name

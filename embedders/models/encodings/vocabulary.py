"""The words that a text is counted by, as one JSON file that ``embed train words`` writes and anyone can read."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from embedders.errors import SetupError

__all__ = ["FORMAT", "LARGEST", "Vocabulary", "read_vocabulary"]

FORMAT = 1
LARGEST = 100_000
"""Words: a text's vector has a number for each of them, nearly all of them zero."""


@dataclass(frozen=True)
class Vocabulary:
    """Words in the order of the vector's numbers; ``idf`` weighs them, where that was measured."""

    words: tuple[str, ...]
    lower: bool
    """Whether texts are brought to lower case first."""
    idf: tuple[float, ...] | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values, which :func:`read_vocabulary` reads."""
        known: dict[str, Any] = {"format": FORMAT, "lower": self.lower, "words": list(self.words)}
        return known if self.idf is None else {**known, "idf": list(self.idf)}


def read_vocabulary(path: Path) -> Vocabulary:
    """A vocabulary from its file; entries that are not asked for pass.

    Raises SetupError for a missing file, for what is no such JSON, for words that are none or twice there, for
    more than :data:`LARGEST` of them, and for weights that are not positive numbers, one per word.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise SetupError(f"The vocabulary {str(path)!r} cannot be read ({error})", "Make it anew") from error
    if not isinstance(found, Mapping) or found.get("format") != FORMAT:
        version = found.get("format") if isinstance(found, Mapping) else None
        raise SetupError(f"{str(path)!r} is no vocabulary: its format is {version!r}, not {FORMAT}", "Make it anew")
    words, lower, idf = found.get("words"), found.get("lower"), found.get("idf")
    if not isinstance(words, list) or not all(isinstance(word, str) and word for word in words):
        raise _broken(path, "its words are no list of words")
    if not 0 < len(words) <= LARGEST or len(set(words)) < len(words):
        raise _broken(
            path, f"it holds {len(words):,} words, {len(set(words)):,} different; 1 to {LARGEST:,} are allowed"
        )
    if not isinstance(lower, bool):
        raise _broken(path, f"'lower' is {lower!r}, neither true nor false")
    if idf is not None:
        sound = isinstance(idf, list) and all(type(x) in (int, float) and 0 < x < math.inf for x in idf)
        if not sound or len(idf) != len(words):
            raise _broken(path, "'idf' is no list of a positive number per word")
    return Vocabulary(tuple(words), lower, None if idf is None else tuple(map(float, idf)))


def _broken(path: Path, what: str) -> SetupError:
    return SetupError(f"The vocabulary {str(path)!r} is broken: {what}", "Make it anew")

"""Which words a text has: one rule, kept by whatever trains on words and whatever looks them up."""

from __future__ import annotations

import unicodedata
from collections.abc import Container
from dataclasses import dataclass

from embedders.errors import BadInput, Status

__all__ = ["RULE", "Bag", "bag_of", "split_words"]

RULE = {
    "words": "runs of letters, marks, numbers and connectors in NFC, with apostrophes inside",
    "unicode": unicodedata.unidata_version,
}
"""For the fingerprint: the rule, and the version of the tables that say what a letter is."""

APOSTROPHES = "'\N{RIGHT SINGLE QUOTATION MARK}"
JOINERS = "\N{ZERO WIDTH JOINER}\N{ZERO WIDTH NON-JOINER}"


class _Kept(dict[int, str | None]):
    """What becomes of a character, found out when it is met first."""

    def __missing__(self, code: int) -> str | None:
        char = chr(code)
        category = unicodedata.category(char)
        kept: str | None = " "
        if category[0] in "LMN" or category == "Pc" or char in JOINERS:
            kept = char
        elif char in APOSTROPHES:
            kept = "'"
        elif category == "Cf":  # soft hyphens and marks of direction stand inside words and are no part of them
            kept = None
        self[code] = kept
        return kept


_KEPT = _Kept()


def split_words(text: str, *, lower: bool) -> list[str]:
    """The words of a text in their order: runs of letters, marks, numbers and connectors such as ``_``, in NFC.

    An apostrophe inside a word belongs to it (``don't``; the typographic one becomes ``'``), and every other
    character parts words, the hyphen too. Scripts that leave no space between words are not cut: a Chinese
    sentence is one word, unless it was given with spaces.
    """
    text = unicodedata.normalize("NFC", text.lower() if lower else text)
    words = (word.strip("'") for word in text.translate(_KEPT).split())
    return [word for word in words if word]


@dataclass(frozen=True)
class Bag:
    """The words of one text that something is known of, in order and as often as they stand there."""

    words: tuple[str, ...]
    unknown: int
    """How many words were left out."""

    @property
    def flags(self) -> tuple[str, ...]:
        """``oov_40`` where 40 per cent of the words are unknown, from 1 to 99; nothing where all are known."""
        if not self.unknown:
            return ()
        share = round(100 * self.unknown / (self.unknown + len(self.words)))
        return (f"oov_{min(max(share, 1), 99)}",)


def bag_of(text: str, *, lower: bool, known: Container[str] | None) -> Bag:
    """The words of a text that ``known`` holds; None knows every word.

    Raises BadInput ``empty/TXT_NO_WORD`` for a text without words (``?!``) and ``unsupported/TXT_NO_KNOWN_WORD``
    for one that has some and none that is known: a vector of zeros would pass for a meaning.
    """
    words = split_words(text, lower=lower)
    if not words:
        raise BadInput(Status.EMPTY, "TXT_NO_WORD", "the text has no letter and no number")
    found = tuple(words) if known is None else tuple(word for word in words if word in known)
    if not found:
        message = f"none of its {len(words)} words is in the vocabulary, {words[0][:40]!r} for one"
        raise BadInput(Status.UNSUPPORTED, "TXT_NO_KNOWN_WORD", message)
    return Bag(found, len(words) - len(found))

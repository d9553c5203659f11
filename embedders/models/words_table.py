"""Words and their vectors, read where they lie: word2vec's files, text and binary, and GloVe's.

A file is walked through once: every entry is checked and the place of its numbers noted. The numbers stay in the
file until their word is asked for, so that a process holds the vocabulary and the words it met.
"""

from __future__ import annotations

import functools
import itertools
from abc import ABC, abstractmethod
from array import array
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from embedders.models.words_files import Heading, broken, is_number, mapped

__all__ = ["WORD", "Entries", "Table", "Vector", "decoded", "has_no_capitals"]

Vector = npt.NDArray[np.float32]
"""Shape ``(dim,)``, float32."""

WORD = 10_000
"""Bytes of the longest word."""
NUMERIC = b"0123456789.eE+- "
UNDECODED, UNDECODED_SHARE = 10, 0.01
"""Words that may be no UTF-8, before the file counts as one in another encoding: word2vec's own tool cuts long
words between two bytes of a character."""
CACHED = 1 << 15
"""Vectors kept after they were read."""
JUDGED = 10_000
"""Words that say whether a vocabulary has capitals."""


class Table(ABC):
    """Words and their vectors: what is ``in`` a table has a vector."""

    lower: bool
    """Whether no word has capitals, judged by the first 10,000: texts are then looked up in lower case."""

    def __init__(self) -> None:
        self.vector = functools.lru_cache(CACHED)(self.read)

    @abstractmethod
    def __contains__(self, word: object) -> bool: ...

    @abstractmethod
    def read(self, word: str) -> Vector:
        """The vector of a word of the table, ``(dim,)``; :attr:`vector` is the same and remembers."""

    @abstractmethod
    def share(self, word: str) -> float:
        """How much of all running text the word is, 0 to 1; 0 where it was too rare to be counted."""


class Entries(Table):
    """A file of words with their numbers. ``most`` reads only that many entries, and checks no more of them.

    Such files are in the order of frequency and tell none. Zipf's law does: the word of rank r is 1 / (r H) of all
    text, H being the sum of 1 / r over all ranks read. Raises SetupError for a file that is not whole: where the
    promised count is not kept, an entry is short or long, and a number is none or not finite, naming the line or
    the byte. Of equal words the first counts.
    """

    def __init__(self, path: Path, heading: Heading, most: int | None = None) -> None:
        super().__init__()
        self.path, self.heading = path, heading
        self._content = mapped(path)
        self._rows: dict[str, int] = {}
        self._starts = array("q")
        self._undecoded = 0
        promised = heading.words
        self._wanted = min((number for number in (promised, most) if number is not None), default=None)
        end = self._walk_binary() if heading.format == "binary" else self._walk_text()
        if self._wanted == promised and self._content[end : end + WORD].strip():
            raise broken(path, f"its first line promises {promised:,} words, and more follow")
        if not self._rows:
            raise broken(path, "it holds no word in UTF-8")
        self.lower = has_no_capitals(self._rows)
        self._harmonic = float((1 / np.arange(1, len(self._starts) + 1)).sum())

    def __contains__(self, word: object) -> bool:
        return word in self._rows

    def share(self, word: str) -> float:
        """By rank."""
        return 1 / ((self._rows[word] + 1) * self._harmonic)

    def read(self, word: str) -> Vector:
        """Raises SetupError for numbers beyond float32, and for digits that make none (``1.2.3``)."""
        start = self._starts[self._rows[word]]
        if self.heading.format == "binary":
            return np.frombuffer(self._content, "<f4", self.heading.dim, start).astype(np.float32)
        end = self._content.find(b"\n", start)
        numbers = self._content[start : end if end >= 0 else len(self._content)].split()
        try:
            with np.errstate(over="ignore"):
                vector = np.array([float(number) for number in numbers]).astype(np.float32)
        except ValueError as error:
            raise broken(self.path, f"the numbers of {word!r} cannot be read ({error})") from error
        if not np.isfinite(vector).all():
            raise broken(self.path, f"the numbers of {word!r} are beyond float32")
        return vector

    def _add(self, raw: bytes, start: int, place: str) -> None:
        if not 0 < len(raw) <= WORD:
            raise broken(self.path, f"{place} has a word of {len(raw):,} bytes; 1 to {WORD:,} are allowed")
        word = decoded(raw)
        if word is not None:
            self._rows.setdefault(word, len(self._starts))
        else:
            self._undecoded += 1
            if self._undecoded > UNDECODED + UNDECODED_SHARE * len(self._starts):
                raise broken(
                    self.path, f"{place} is one of many with a word not in UTF-8, {raw[:20]!r}", "Convert it"
                )
        self._starts.append(start)

    def _walk_text(self) -> int:
        """A line is a word and ``dim`` numbers, parted by single spaces; some of GloVe's words have spaces too."""
        content, dim, path = self._content, self.heading.dim, self.path
        position, size = self.heading.begin, len(content)
        for number in itertools.count(2 if position else 1):
            if position >= size or len(self._starts) == self._wanted:
                break
            end = content.find(b"\n", position)
            end = size if end < 0 else end
            line = content[position:end].rstrip(b" \t\r")
            if not line and not content[position : position + WORD].strip():
                break
            spaces = line.count(b" ")
            cut = line.find(b" ") if spaces == dim else len(line.rsplit(b" ", dim)[0])
            if spaces < dim or (spaces > dim and is_number(line[:cut].split(b" ")[-1])):
                raise broken(
                    path, f"line {number:,} has {spaces:,} numbers parted by single spaces; {dim:,} are needed"
                )
            if b"  " in line or line[cut:].translate(None, NUMERIC):
                fields = line[cut + 1 :].split(b" ")
                wrong = next((field for field in fields if not field or field.translate(None, NUMERIC)), b"")
                raise broken(path, f"line {number:,} has {wrong[:20]!r} for a number")
            self._add(line[:cut], position + cut + 1, f"line {number:,}")
            position = end + 1
        if self.heading.words is not None and len(self._starts) < (self._wanted or 0):
            promised, found = self.heading.words, len(self._starts)
            raise broken(path, f"its first line promises {promised:,} words, and {found:,} follow")
        return position

    def _walk_binary(self) -> int:
        """An entry is a word, a space and ``dim`` little-endian float32; its first byte may be a line break."""
        content, length, size = self._content, 4 * self.heading.dim, len(self._content)
        position = self.heading.begin
        for number in range(1, (self._wanted or 0) + 1):
            place = f"entry {number:,}, at byte {position:,},"
            start = content.find(b" ", position, position + WORD + 2) + 1
            if not start or start + length > size:
                raise broken(self.path, f"{place} is cut off")
            if not np.isfinite(np.frombuffer(content, "<f4", self.heading.dim, start)).all():
                raise broken(self.path, f"{place} has numbers that are NaN or infinite")
            self._add(content[position : start - 1].lstrip(b"\n"), start, place)
            position = start + length
        return position


def decoded(raw: bytes) -> str | None:
    """A word in UTF-8; None for what is none, and so in no text."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return None


def has_no_capitals(words: Iterable[str]) -> bool:
    """Whether the first 10,000 words are their own lower case."""
    return all(word == word.lower() for word in itertools.islice(words, JUDGED))

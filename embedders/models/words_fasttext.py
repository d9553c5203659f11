"""fastText's own files (``.bin``): vectors of words and of the pieces that unknown words are made of.

The layout is that of fastText 0.9 (``fasttext.cc``, ``dictionary.cc``, ``matrix.cc``); the matrix stays in the
file, mapped into memory.
"""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

from embedders.errors import SetupError
from embedders.models.words_files import Content, broken, mapped
from embedders.models.words_table import WORD, Table, Vector, decoded, has_no_capitals

__all__ = ["SubWords", "pieces"]

VERSIONS = (11, 12)
SUPERVISED = 3
"""A kind of model; in version 11 it has no pieces, whatever its arguments say."""
ARGUMENTS = struct.Struct("<14id")
"""Magic, version, dim, ws, epoch, minCount, neg, wordNgrams, loss, model, bucket, minn, maxn, lrUpdateRate, t."""
COUNTS = struct.Struct("<3i2q")
"""Entries, words, labels, tokens, pruned."""
MATRIX = struct.Struct("<?2q")
"""Quantised, rows, columns."""
END = "</s>"
"""The end of a line, the one word that fastText does not take to pieces."""
CHECKED = 1 << 22
"""Numbers checked at once."""


class SubWords(Table):
    """A model with sub-words: every word long enough for one piece has a vector.

    A word's vector is the mean of its own and of its pieces, an unknown one's the mean of its pieces. Raises
    SetupError for files that are cut off, hold NaN, are of another version, or are quantised (``.ftz``).
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path
        content = mapped(path)
        try:
            self._read(content)
        except (struct.error, ValueError) as error:
            raise broken(path, f"the file of {len(content):,} bytes is cut off") from error

    def __contains__(self, word: object) -> bool:
        return isinstance(word, str) and (word in self._rows or bool(self._buckets(word)))

    def share(self, word: str) -> float:
        """By the counts of the file; unknown words are 0."""
        row = self._rows.get(word)
        return 0.0 if row is None else self._occurrences[row] / max(1, self._tokens)

    def read(self, word: str) -> Vector:
        """The mean of all rows that belong to the word."""
        row = self._rows.get(word)
        rows = ([] if row is None else [row]) + ([] if row is not None and word == END else self._buckets(word))
        mean: Vector = self._matrix[rows].mean(axis=0, dtype=np.float64).astype(np.float32)
        return mean

    def _buckets(self, word: str) -> list[int]:
        """The rows of a word's pieces."""
        if not self._bucket:
            return []
        return [self._words + _hash(piece) % self._bucket for piece in pieces(word, self._shortest, self._longest)]

    def _read(self, content: Content) -> None:
        _, version, dim, *_, model, bucket, shortest, longest, _, _ = ARGUMENTS.unpack_from(content)
        if version not in VERSIONS:
            raise SetupError(f"{self._path} has version {version} of fastText's format; {VERSIONS} are read")
        self._shortest, self._longest = shortest, 0 if (version, model) == (11, SUPERVISED) else longest
        entries, self._words, _, self._tokens, pruned = COUNTS.unpack_from(content, ARGUMENTS.size)
        position = ARGUMENTS.size + COUNTS.size
        self._rows: dict[str, int] = {}
        self._occurrences: list[int] = []
        for number in range(entries):
            end = content.find(b"\0", position, position + WORD + 1)
            if end < 0:
                raise broken(
                    self._path, f"entry {number + 1:,} of its dictionary, at byte {position:,}, has no end"
                )
            count, label = struct.unpack_from("<qb", content, end + 1)
            word = decoded(content[position:end])
            if word is not None and not label:
                self._rows.setdefault(word, number)
            self._occurrences.append(count)
            position = end + 10
        quantised, rows, columns = MATRIX.unpack_from(content, position + 8 * max(0, pruned))
        if quantised or pruned > 0:
            raise SetupError(f"{self._path} is quantised (.ftz)", "Take the model's .bin")
        self._bucket = bucket if self._longest > 0 and rows > self._words else 0
        start = position + MATRIX.size
        end = start + 4 * rows * columns
        if columns != dim or dim < 1 or rows - self._words not in (0, bucket) or not 0 < self._words <= entries:
            shape = f"{rows:,} rows of {columns:,} for {self._words:,} words and {bucket:,} buckets of {dim:,}"
            raise broken(self._path, f"its matrix has {shape}")
        _, more, width = MATRIX.unpack_from(content, end)
        if end + MATRIX.size + 4 * more * width != len(content):
            raise broken(self._path, f"its matrices do not fill its {len(content):,} bytes")
        self._matrix = np.frombuffer(content, "<f4", rows * columns, start).reshape(rows, columns)
        step = max(1, CHECKED // dim)
        for first in range(0, rows, step):
            wrong = ~np.isfinite(self._matrix[first : first + step]).all(axis=1)
            if wrong.any():
                row = first + int(wrong.argmax())
                raise broken(
                    self._path, f"row {row:,} of its matrix, at byte {start + 4 * dim * row:,}, is not finite"
                )
        self.lower = has_no_capitals(self._rows)


def pieces(word: str, shortest: int, longest: int) -> list[str]:
    """The character n-grams of ``<word>`` from ``shortest`` to ``longest``; the brackets alone are none."""
    marked = f"<{word}>"
    return [
        marked[start : start + length]
        for start in range(len(marked))
        for length in range(max(1, shortest), min(longest, len(marked) - start) + 1)
        if not (length == 1 and start in (0, len(marked) - 1))
    ]


def _hash(piece: str) -> int:
    """FNV-1a in 32 bits, with every byte widened by its sign, as fastText's C++ does."""
    found = 2166136261
    for byte in piece.encode():
        found = ((found ^ (byte if byte < 128 else byte | 0xFFFFFF00)) * 16777619) & 0xFFFFFFFF
    return found

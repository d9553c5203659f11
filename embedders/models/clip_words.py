"""open_clip's byte-pair tokenizer in bounded time and memory, with the same tokens.

Upstream merges a word in time that grows with the square of its length (a minute and a half for 100,000 letters
in a row, which a DNA sequence is) and remembers every word it ever saw.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from typing import Any

__all__ = ["bound", "merge"]

REMEMBERED = 1 << 17
"""How many different words the pieces are remembered of; further ones are merged anew."""

LONG = 200
"""From this many symbols on a word is merged by :func:`merge`: for short ones upstream's way is faster."""


def bound(tokenizer: Any) -> None:
    """Bound an ``open_clip.SimpleTokenizer`` in place."""
    upstream = tokenizer.bpe
    tokenizer.cache = _Remembered(tokenizer.cache)
    tokenizer.bpe = lambda word: upstream(word) if len(word) < LONG else merge(word, tokenizer.bpe_ranks)


class _Remembered(dict[str, str]):
    def __setitem__(self, word: str, pieces: str) -> None:
        if len(self) < REMEMBERED:
            super().__setitem__(word, pieces)


def merge(word: str, ranks: Mapping[tuple[str, str], int]) -> str:
    """The pieces of a word, separated by spaces, by merging the pair of lowest rank everywhere until none is left.

    Byte-pair encoding, Sennrich et al. 2016 (arXiv 1508.07909). All places of one pair are merged from left to
    right before any pair that this creates is looked at, as upstream does. The pieces form a linked list, and the
    pairs wait in a heap by rank and place, so that a merge costs the logarithm of the length.
    """
    pieces = [*word[:-1], word[-1] + "</w>"]
    end = len(pieces)
    following, preceding = list(range(1, end + 1)), list(range(-1, end - 1))

    def rank(place: int) -> int | None:
        after = following[place]
        return ranks.get((pieces[place], pieces[after])) if after < end else None

    waiting = [(found, place) for place in range(end) if (found := rank(place)) is not None]
    heapq.heapify(waiting)
    while waiting:
        lowest = waiting[0][0]
        merged = []
        while waiting and waiting[0][0] == lowest:
            place = heapq.heappop(waiting)[1]
            if rank(place) == lowest:  # else a merge to its left has taken one of the two
                after = following[place]
                pieces[place], pieces[after] = pieces[place] + pieces[after], ""
                following[place] = following[after]
                if following[place] < end:
                    preceding[following[place]] = place
                merged.append(place)
        for place in merged:
            for start in (preceding[place], place):
                if start >= 0 and (found := rank(start)) is not None:
                    heapq.heappush(waiting, (found, start))
    return " ".join(piece for piece in pieces if piece)

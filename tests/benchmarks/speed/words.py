"""Captions and texts from a seed, and the WordPiece vocabulary that the texts are written in."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

__all__ = ["captions", "texts", "vocabulary", "wordpiece"]

CAPTION_WORDS = (
    "a small red bell beside the wide blue drum while two old men wait above an engine and the yellow star "
    "turns over water near some quiet children playing with balls in morning light on green grass under trees "
    "by one white house behind black cars from high hill dog cat bird boat sun sky road city street table chair "
    "woman man girl boy hat book cup fruit bread snow rain wind fire night day field river sea"
)
"""Each is one token of CLIP."""

MEDIAN, P90, MOST = 20, 120, 512
"""Tokens of the texts, with the two that mark start and end."""

# the 0.9 quantile of a standard normal
SPREAD = math.log(P90 / MEDIAN) / 1.2815515655446004

WORDS, WHOLE = 5000, 2500
"""Distinct words, and how many of them the vocabulary holds as one piece; the others are spelt by syllables."""

REPEATED = 0.1
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def captions(count: int, seed: int = 0) -> list[str]:
    """Captions of 8 to 40 tokens of CLIP, with those of start and end."""
    rng = np.random.default_rng([seed, 8])
    return [" ".join(rng.choice(CAPTION_WORDS.split(), int(n) - 2)) for n in rng.integers(8, 41, count)]


@functools.lru_cache(maxsize=1)
def _syllables() -> tuple[str, ...]:
    return tuple(first + vowel + last for first in "bdfgklmnprstvz" for vowel in "aeiou" for last in ("", "n", "r"))


@functools.lru_cache(maxsize=1)
def _words() -> tuple[str, ...]:
    """Made-up words, the commonest first and shortest."""
    rng = np.random.default_rng(1)
    found: dict[str, None] = {}
    while len(found) < WORDS:
        length = 1 + min(len(found) // 800, 2) + int(rng.integers(1, 3))
        found["".join(rng.choice(_syllables(), length))] = None
    return tuple(found)


@functools.lru_cache(maxsize=1)
def vocabulary() -> tuple[str, ...]:
    """Marks, letters, syllables and common words, each syllable also as the rest of a word."""
    letters = [chr(code) for code in range(97, 123)]
    pieces = [*letters, *_syllables()]
    return tuple(dict.fromkeys([*SPECIAL, *pieces, *(f"##{piece}" for piece in pieces), *_words()[:WHOLE]]))


def wordpiece() -> Any:
    """The tokenizer of the texts, as the ``tokenizers`` library builds BERT's."""
    from tokenizers import BertWordPieceTokenizer

    return BertWordPieceTokenizer({piece: place for place, piece in enumerate(vocabulary())}, lowercase=True)


def texts(count: int, seed: int = 0) -> list[str]:
    """Texts whose token counts are log-normal, of words as unequally common as in language (Zipf)."""
    rng = np.random.default_rng([seed, 20])
    unique = count - round(count * REPEATED)
    normal = _normal_quantiles(unique)
    lengths = np.clip(np.round(np.exp(math.log(MEDIAN) + SPREAD * normal)), 3, MOST).astype(int)
    words = np.array(_words())
    tokenizer = wordpiece()
    pieces = np.array([len(tokenizer.encode(word, add_special_tokens=False).ids) for word in words])
    single = words[pieces == 1]
    common = 1 / np.arange(1, WORDS + 1)
    made = []
    for length in rng.permutation(lengths):
        wanted = int(length) - 2
        drawn = rng.choice(WORDS, wanted, p=common / common.sum())
        kept = int(np.searchsorted(np.cumsum(pieces[drawn]), wanted, "right"))
        missing = wanted - int(pieces[drawn[:kept]].sum())
        made.append(" ".join([*words[drawn[:kept]], *rng.choice(single, missing)]))
    made += [made[place] for place in rng.integers(0, unique, count - unique)]
    return [made[place] for place in rng.permutation(count)]


def _normal_quantiles(count: int) -> np.ndarray:
    """One value from every ``count``-th of a normal distribution: small sets have its quantiles, too."""
    from statistics import NormalDist

    normal = NormalDist()
    return np.array([normal.inv_cdf((place + 0.5) / count) for place in range(count)])

"""``text.word2vec``, ``text.glove``, ``text.fasttext``: a text's vector is the mean of the vectors of its words.

``weights`` is a file as it is published, also as ``.gz`` or ``.zst``: word2vec's text and binary format, GloVe's
text, fastText's ``.vec`` and ``.bin``. The content decides. ``embed train words`` makes such files. No package but
numpy is needed, and a file of any size is mapped into memory, not read into it; plain ones start fastest.

``pooling="mean"`` takes all words alike. ``pooling="sif"`` gives the word w the weight a / (a + p(w)) with
a = 0.001, so that words that stand everywhere count little; p(w) is from the file's counts where it has them
(fastText's ``.bin``), else by Zipf's law from its order. Of the method of that name (Arora, Liang and Ma, ICLR
2017) this is the first half: the second removes what all vectors share, which depends on the other rows.

Unknown words are left out and flagged (``oov_40``: 40 per cent of the words); a text of unknown words alone is
``unsupported`` (``TXT_NO_KNOWN_WORD``). A model with sub-words knows nearly all.

Papers: word2vec (arXiv 1301.3781), GloVe (EMNLP 2014), fastText (arXiv 1607.04606).
"""

from __future__ import annotations

import functools
import hashlib
import threading
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from embedders.base import BaseEmbedder, EmbedderSpec, Forward, Vectors
from embedders.errors import SetupError, UsageError, nearest
from embedders.models.words_fasttext import SubWords
from embedders.models.words_files import Heading, read_heading
from embedders.models.words_split import RULE, Bag, bag_of
from embedders.models.words_table import Entries, Table, Vector
from embedders.weights import Local, Seeded, resolve

if TYPE_CHECKING:
    from embedders.runtime import Runtime

__all__ = ["FastText", "Glove", "Word2Vec", "WordVectors"]

POOLINGS = ("mean", "sif")
RARE = 1e-3
"""``a`` of the weights a / (a + p): the value that the paper recommends."""
SEEDED_DIM = 300
READERS = {
    "text": "text.word2vec",
    "headless": "text.glove",
    "binary": "text.word2vec",
    "fasttext": "text.fasttext",
}


class SeededTable(Table):
    """Every word has a vector, drawn by its name and a seed; none has a meaning."""

    lower = False

    def __init__(self, seed: int) -> None:
        super().__init__()
        self._seed = seed

    def __contains__(self, word: object) -> bool:
        return True

    def share(self, word: str) -> float:
        """No word was ever counted."""
        return 0.0

    def read(self, word: str) -> Vector:
        """Standard normal numbers."""
        digest = hashlib.sha256(f"{self._seed}\0{word}".encode()).digest()
        generator = np.random.Generator(np.random.PCG64(int.from_bytes(digest)))
        return generator.standard_normal(SEEDED_DIM, dtype=np.float32)


class WordVectors(BaseEmbedder):
    """The words of a text, looked up in a file.

    ``lower=None`` follows the file: where its first 10,000 words have no capitals, texts are looked up in lower
    case. ``max_words`` reads only the first words of a file, which are its most frequent; a model with sub-words
    is read whole. ``weights="random:SEED"`` gives every word its own vector of 300 random numbers.
    """

    libraries: ClassVar[tuple[str, ...]] = ("numpy",)
    batch_cost: ClassVar[int] = 1 << 16
    """Words."""
    formats: ClassVar[frozenset[str]]
    """What is read under this name; a file of another format is refused with the name that reads it."""

    def __init__(
        self,
        *,
        weights: str = "",
        pooling: str = "mean",
        lower: bool | None = None,
        normalize: bool = False,
        max_words: int | None = None,
    ) -> None:
        if pooling not in POOLINGS:
            raise UsageError(f"There is no pooling {pooling!r}", nearest(str(pooling), POOLINGS))
        whole = isinstance(max_words, int) and not isinstance(max_words, bool) and max_words > 0
        if max_words is not None and not whole:
            raise UsageError(f"max_words is {max_words!r}; it must be a whole number above 0")
        self._option, self._pooling, self._normalize = weights, pooling, normalize
        self._lower, self._most = lower, max_words
        self._lock = threading.Lock()

    @functools.cached_property
    def _weights(self) -> Seeded | Local:
        if not self._option:
            cure = "weights=FILE with vectors of words, made by 'embed train words' or published; or random:0"
            raise UsageError(f"{type(self).__name__} needs a file", cure)
        found = resolve(self._option, {})
        if isinstance(found, Seeded) or (isinstance(found, Local) and found.path.is_file()):
            return found
        raise SetupError(f"There is no file {self._option!r}", "Vectors of words are one file: weights=FILE")

    @functools.cached_property
    def _heading(self) -> Heading:
        if isinstance(self._weights, Seeded):
            return Heading("seeded", SEEDED_DIM)
        heading = read_heading(self._weights.path)
        if heading.format not in self.formats:
            name = READERS[heading.format]
            raise SetupError(f"{self._weights.path} is of the format {heading.format!r}", f"{name} reads it")
        if heading.format == "fasttext" and self._most is not None:
            raise UsageError("max_words shortens files without sub-words", "Leave it out: .bin is mapped, not read")
        return heading

    @property
    def spec(self) -> EmbedderSpec:
        """The space is the file's content and the pooling."""
        identity = self.weights_identity
        origin = f"random:{identity['seed']}" if "seed" in identity else f"sha256:{identity['sha256']}"
        details = {
            "format": self._heading.format,
            "pooling": self._pooling,
            **({"weight": f"a / (a + p), a = {RARE}"} if self._pooling == "sif" else {}),
            "lower": "where the file has no capitals" if self._lower is None else self._lower,
            "max_words": self._most,
            **RULE,
        }
        space = f"words:{origin}/pooling={self._pooling}"
        return EmbedderSpec("text", space, self._heading.dim, self._normalize, details)

    @property
    def weights_identity(self) -> dict[str, Any]:
        """The file's SHA-256, or the seed."""
        return self._weights.identity

    @property
    def _table(self) -> Table:
        with self._lock:
            return self._read_table

    @functools.cached_property
    def _read_table(self) -> Table:
        if isinstance(self._weights, Seeded):
            return SeededTable(self._weights.seed)
        if self._heading.format == "fasttext":
            return SubWords(self._weights.path)
        return Entries(self._weights.path, self._heading, self._most)

    def prepare(self, media: str) -> Bag:
        """The words of the text that have a vector; raises BadInput where none has."""
        table = self._table
        return bag_of(media, lower=table.lower if self._lower is None else self._lower, known=table)

    def cost(self, sample: Bag) -> int:
        """Words."""
        return len(sample.words)

    def flags(self, sample: Bag) -> tuple[str, ...]:
        """``oov_40`` where 40 per cent of the words are unknown."""
        return sample.flags

    def collate(self, samples: Sequence[Bag]) -> list[Bag]:
        """As they are: no text is padded."""
        return list(samples)

    def load(self, runtime: Runtime) -> Forward:
        """Map the file and check it. Raises SetupError for one that is missing or not whole."""
        table = self._table

        def forward(batch: list[Bag]) -> Vectors:
            return np.stack([self._pooled(bag, table) for bag in batch])

        return forward

    def examples(self) -> list[str]:
        """Two words, a sentence, and one in two scripts."""
        return ["the bell", "A red bell rings in the house.", "Зелёный двигатель гудит, while the drums don't."]

    def _pooled(self, bag: Bag, table: Table) -> Vector:
        """The weighted sum over the words divided by their number, summed in float64."""
        total = np.zeros(self._heading.dim)
        for word, count in Counter(bag.words).items():
            weight = RARE / (RARE + table.share(word)) if self._pooling == "sif" else 1.0
            total += count * weight * table.vector(word)
        if self._normalize:
            length = np.linalg.norm(total)
            return np.asarray(total / length if length else total, np.float32)
        return np.asarray(total / len(bag.words), np.float32)


class Word2Vec(WordVectors):
    """Text to the pooled vectors of its words, from word2vec's text or binary format."""

    formats: ClassVar[frozenset[str]] = frozenset({"text", "binary"})


class Glove(WordVectors):
    """Text to the pooled vectors of its words, from GloVe's text format, with or without a first line."""

    formats: ClassVar[frozenset[str]] = frozenset({"text", "headless"})


class FastText(WordVectors):
    """Text to the pooled vectors of its words, from fastText's ``.vec``, or ``.bin`` with its sub-words."""

    formats: ClassVar[frozenset[str]] = frozenset({"text", "fasttext"})

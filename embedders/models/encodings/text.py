"""``text.onehot``, ``text.bow``, ``text.tfidf``, ``text.hashing``: texts by the words they have, counted.

The counting is scikit-learn's. A vector has a number per word of a vocabulary, which a corpus gave once::

    embed train words captions.txt --method tfidf --out vocabulary.json
    embed run photos -o vectors -e 'text=text.tfidf(vocabulary=vocabulary.json)'

Two texts are near where they have the same words; nothing is known of words that mean the same. ``text.hashing``
needs no vocabulary: a hash gives each word its place, which some share.
"""

from __future__ import annotations

import functools
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from embedders.base import BaseEmbedder, EmbedderSpec, Forward, Vectors
from embedders.errors import UsageError
from embedders.models.encodings.vocabulary import LARGEST, Vocabulary, read_vocabulary
from embedders.models.words_split import RULE, Bag, bag_of
from embedders.weights import sha256_file

if TYPE_CHECKING:
    from embedders.runtime import Runtime

__all__ = ["Bow", "Hashing", "OneHot", "Tfidf"]


class _Counted(BaseEmbedder):
    """What the four share: words in, the rows of a scikit-learn vectoriser out, one text's from its own words."""

    kind: ClassVar[str] = "encoding"
    libraries: ClassVar[tuple[str, ...]] = ("scikit-learn",)

    def flags(self, sample: Bag) -> tuple[str, ...]:
        """``oov_40`` where 40 per cent of the words are unknown."""
        return sample.flags

    def collate(self, samples: Sequence[Bag]) -> list[tuple[str, ...]]:
        """The words of each text."""
        return [sample.words for sample in samples]

    def load(self, runtime: Runtime) -> Forward:
        """Build the vectoriser; raises SetupError for a vocabulary that is missing or broken."""
        vectoriser = self._vectoriser()

        def forward(batch: list[tuple[str, ...]]) -> Vectors:
            return np.asarray(vectoriser.transform(batch).toarray(), np.float32)

        return forward

    @abstractmethod
    def _vectoriser(self) -> Any:
        """Scikit-learn's, fitted."""

    def examples(self) -> list[str]:
        """Three texts of different words and lengths."""
        return ["a bell", "the red bell rings and the drums are still", "two blue birds"]


class _InVocabulary(_Counted):
    """``vocabulary`` is a file; words that it has not are left out and flagged, a text of such alone is refused."""

    name: ClassVar[str]
    numbers: ClassVar[str]
    normalized: ClassVar[bool] = False

    def __init__(self, *, vocabulary: str = "") -> None:
        self._option = vocabulary

    @property
    def _path(self) -> Path:
        if not self._option:
            cure = "Make one: embed train words CORPUS --method tfidf --out FILE; then vocabulary=FILE"
            raise UsageError(f"text.{self.name} needs a vocabulary", cure)
        return Path(self._option).expanduser().resolve()

    @functools.cached_property
    def _vocabulary(self) -> Vocabulary:
        return read_vocabulary(self._path)

    @functools.cached_property
    def _places(self) -> Mapping[str, int]:
        return {word: place for place, word in enumerate(self._vocabulary.words)}

    @property
    def spec(self) -> EmbedderSpec:
        """One space per vocabulary and way of counting."""
        dim, sha256 = len(self._vocabulary.words), self.weights_identity["sha256"]
        details = {"numbers": self.numbers, "lower": self._vocabulary.lower, **RULE}
        return EmbedderSpec("text", f"{self.name}:sha256:{sha256}", dim, self.normalized, details)

    @property
    def weights_identity(self) -> dict[str, Any]:
        """The SHA-256 of the vocabulary."""
        path = self._path
        self._vocabulary  # noqa: B018  a missing file is said in its own words
        return {"file": path.name, "sha256": sha256_file(path)}

    def prepare(self, media: str) -> Bag:
        """The words of the text that are in the vocabulary; raises BadInput where none is."""
        return bag_of(media, lower=self._vocabulary.lower, known=self._places)


class OneHot(_InVocabulary):
    """1 for each word of the vocabulary that the text has, 0 for each that it has not."""

    name: ClassVar[str] = "onehot"
    numbers: ClassVar[str] = "1 where the text has the word"

    def _vectoriser(self) -> Any:
        from sklearn.feature_extraction.text import CountVectorizer

        return CountVectorizer(vocabulary=self._places, analyzer=list, binary=True)


class Bow(_InVocabulary):
    """How often the text has each word of the vocabulary."""

    name: ClassVar[str] = "bow"
    numbers: ClassVar[str] = "occurrences"

    def _vectoriser(self) -> Any:
        from sklearn.feature_extraction.text import CountVectorizer

        return CountVectorizer(vocabulary=self._places, analyzer=list)


class Tfidf(_InVocabulary):
    """Counts of the vocabulary's words times their idf, at unit length: what is in every text says little."""

    name: ClassVar[str] = "tfidf"
    numbers: ClassVar[str] = "occurrences times idf, at unit length"
    normalized: ClassVar[bool] = True

    def _vectoriser(self) -> Any:
        from sklearn.feature_extraction.text import TfidfVectorizer

        idf = self._vocabulary.idf
        if idf is None:
            raise UsageError(f"{self._option!r} has no idf", "Make it by: embed train words CORPUS --method tfidf")
        vectoriser = TfidfVectorizer(vocabulary=self._places, analyzer=list)
        vectoriser.idf_ = np.array(idf)
        return vectoriser


class Hashing(_Counted):
    """Counts of all words, each at the place (and with the sign) that its hash gives it, at unit length.

    ``dim`` places; with few of them many words share one. ``lower`` brings texts to lower case first.
    """

    def __init__(self, *, dim: int = 1024, lower: bool = True) -> None:
        if not isinstance(dim, int) or isinstance(dim, bool) or not 0 < dim <= LARGEST:
            raise UsageError(f"dim is {dim!r}; it must be a whole number from 1 to {LARGEST:,}")
        self._dim, self._lower = dim, lower

    @property
    def spec(self) -> EmbedderSpec:
        """One space per number of places."""
        details = {"hash": "MurmurHash3, 32 bits, seed 0; its sign is the number's", "lower": self._lower, **RULE}
        return EmbedderSpec("text", f"hashing:dim={self._dim}", self._dim, True, details)

    def prepare(self, media: str) -> Bag:
        """All words of the text; raises BadInput where it has none."""
        return bag_of(media, lower=self._lower, known=None)

    def _vectoriser(self) -> Any:
        from sklearn.feature_extraction.text import HashingVectorizer

        return HashingVectorizer(n_features=self._dim, analyzer=list)

"""Vectors and vocabularies of words, learnt from a corpus in minutes: by gensim, and by scikit-learn.

What is written is what others read: word2vec's text or binary format, fastText's ``.bin``, a vocabulary as JSON.
Beside vectors stands ``OUT.json``, which says how they were made. One thread and a seed: the same corpus gives the
same bytes.
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from embedders.errors import RefusedError, SetupError, StorageError, UsageError, nearest
from embedders.models.encodings.vocabulary import LARGEST, Vocabulary
from embedders.models.words_split import RULE, split_words
from embedders.weights import sha256_file

__all__ = ["METHODS", "Texts", "WordOptions", "train_words"]

Texts = Callable[[], Iterable[str]]
"""Gives all texts anew at every call: training passes over them several times."""

METHODS = ("word2vec", "fasttext", "vocabulary", "tfidf")
STRETCH = 10_000
"""Words of a text that gensim looks at; longer ones are handed to it in pieces of that length."""
ALPHA, LAST_ALPHA = 0.025, 0.0001
"""The rate of learning at the beginning and at the end: gensim's own."""
BUCKETS = 200_000
"""Rows for pieces of words in a fastText model: a tenth of fastText's own, for corpora a thousand times smaller."""


@dataclass(frozen=True)
class WordOptions:
    """How to train. ``dim`` to ``seed`` are for vectors, ``max_words`` is for vocabularies."""

    method: str = "word2vec"
    dim: int = 100
    epochs: int = 5
    window: int = 5
    min_count: int = 2
    """Words that stand less often (in a vocabulary: in fewer texts) are left out."""
    seed: int = 0
    max_words: int = 4096
    lower: bool = True

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise UsageError(f"There is no method {self.method!r}", nearest(self.method, METHODS))
        for name in ("dim", "epochs", "window", "min_count", "max_words"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} is {getattr(self, name)}; it must be 1 or more")
        if not 0 <= self.seed < 2**32:
            raise UsageError(f"The seed is {self.seed}; it must be from 0 to {2**32 - 1}")
        if self.max_words > LARGEST:
            raise UsageError(f"max_words is {self.max_words:,}; a vocabulary has {LARGEST:,} words at most")


def train_words(
    texts: Texts, out: Path, options: WordOptions, say: Callable[[str], None] = lambda line: None
) -> dict[str, Any]:
    """Write a file of vectors, or a vocabulary, and return what is known of it.

    The suffix decides: word2vec as ``.bin`` is binary and anything else text; fastText as ``.bin`` keeps its
    sub-words, and as anything else (``.vec``) is a plain table. Raises RefusedError where ``out`` exists,
    UsageError for a corpus without words that are frequent enough, SetupError where gensim is missing and
    StorageError where nothing can be written.
    """
    if out.suffix in (".gz", ".zst"):
        raise UsageError(f"{str(out)!r} is a compressed file", "Write it plain, and compress it afterwards")
    vectors = options.method in ("word2vec", "fasttext")
    card = out.with_name(out.name + ".json")
    for path in (out, card) if vectors else (out,):
        if path.exists():
            raise RefusedError(f"{str(path)!r} exists", "Remove it, or give another name")
    make = _vectors if vectors else _vocabulary
    with _fresh(out) as fresh:
        found = make(texts, fresh, options, say)
        if vectors:
            found["sha256"] = sha256_file(fresh)
    if vectors:
        with _fresh(card) as fresh:
            fresh.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return found


@contextlib.contextmanager
def _fresh(out: Path) -> Iterator[Path]:
    """A path beside ``out`` that takes its place when all went well, and is gone otherwise."""
    try:
        with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.absolute().parent) as folder:
            fresh = Path(folder, out.name)
            yield fresh
            with fresh.open("rb") as written:
                os.fsync(written.fileno())
            os.replace(fresh, out)
    except OSError as error:
        raise StorageError(f"{str(out)!r} cannot be written ({error})", "Check the folder and its space") from error


class _Corpus:
    """The words of each text, passed over as often as asked, and counted in the last pass."""

    def __init__(self, texts: Texts, lower: bool) -> None:
        self._given, self._lower = texts, lower
        self.texts = self.tokens = 0

    def whole(self) -> Iterator[list[str]]:
        """One list per text."""
        self.texts = self.tokens = 0
        for text in self._given():
            words = split_words(text, lower=self._lower)
            self.texts += 1
            self.tokens += len(words)
            yield words

    def __iter__(self) -> Iterator[list[str]]:
        """Lists of at most :data:`STRETCH` words, as gensim wants them."""
        for words in self.whole():
            for start in range(0, len(words), STRETCH):
                yield words[start : start + STRETCH]


def _vectors(texts: Texts, out: Path, options: WordOptions, say: Callable[[str], None]) -> dict[str, Any]:
    try:
        from gensim.models import FastText, Word2Vec
        from gensim.models.fasttext import save_facebook_model
    except ImportError as error:
        cure = "Install it: pip install 'multimodal-embedders[words]'"
        raise SetupError(f"Training vectors of words needs gensim ({error})", cure) from error
    pieces = options.method == "fasttext"
    settings = {
        "vector_size": options.dim,
        "window": options.window,
        "min_count": options.min_count,
        "seed": options.seed,
        "workers": 1,  # more would race for the same numbers, and no two trainings be equal
        **({"bucket": BUCKETS} if pieces else {}),
    }
    model = (FastText if pieces else Word2Vec)(**settings)
    corpus = _Corpus(texts, options.lower)
    model.build_vocab(corpus)
    words = len(model.wv)
    if not words:
        raise _no_words(corpus, options)
    say(_counted(corpus, words))
    for epoch in range(options.epochs):
        # by hand, so that something is seen of it; the rate falls over all epochs as in one call
        first, last = (ALPHA + (LAST_ALPHA - ALPHA) * at / options.epochs for at in (epoch, epoch + 1))
        model.train(corpus, total_examples=model.corpus_count, epochs=1, start_alpha=first, end_alpha=last)
        say(f"epoch {epoch + 1} of {options.epochs}")
    if pieces and out.suffix == ".bin":
        save_facebook_model(model, str(out))
    else:
        model.wv.save_word2vec_format(str(out), binary=out.suffix == ".bin")
    return _described(options, ("method", "dim", "epochs", "window", "seed"), corpus, words, ("gensim", "numpy"))


def _vocabulary(texts: Texts, out: Path, options: WordOptions, say: Callable[[str], None]) -> dict[str, Any]:
    from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer

    weighed = options.method == "tfidf"
    corpus = _Corpus(texts, options.lower)
    vectoriser = (TfidfVectorizer if weighed else CountVectorizer)(
        analyzer=list, min_df=options.min_count, max_features=options.max_words
    )
    try:
        vectoriser.fit(corpus.whole())
    except ValueError as error:  # its only complaint about texts: no word is left
        raise _no_words(corpus, options) from error
    words = tuple(str(word) for word in vectoriser.get_feature_names_out())
    idf = tuple(float(x) for x in vectoriser.idf_) if weighed else None
    say(_counted(corpus, len(words)))
    found = _described(options, ("method", "max_words"), corpus, len(words), ("scikit-learn",))
    vocabulary = {**Vocabulary(words, options.lower, idf).to_json(), "made": found}
    out.write_text(json.dumps(vocabulary, ensure_ascii=False) + "\n", encoding="utf-8")
    return found


def _counted(corpus: _Corpus, words: int) -> str:
    return f"{corpus.texts:,} texts of {corpus.tokens:,} words; {words:,} different ones are kept"


def _no_words(corpus: _Corpus, options: WordOptions) -> UsageError:
    return UsageError(
        f"No word is frequent enough in {corpus.texts:,} texts of {corpus.tokens:,} words: "
        f"{options.min_count} or more are asked for",
        "Give a larger corpus, or --min-count 1",
    )


def _described(
    options: WordOptions, used: Sequence[str], corpus: _Corpus, words: int, libraries: Sequence[str]
) -> dict[str, Any]:
    return {
        "options": {name: getattr(options, name) for name in (*used, "min_count", "lower")},
        "words": words,
        "texts": corpus.texts,
        "tokens": corpus.tokens,
        "rule": RULE,
        "versions": {name: metadata.version(name) for name in libraries},
    }

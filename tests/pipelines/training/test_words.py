"""What a training writes, that it is the same twice, and that it learnt what the corpus says."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gensim.models import KeyedVectors
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer

from embedders import RefusedError, StorageError, UsageError
from embedders.models.encodings.vocabulary import read_vocabulary
from embedders.models.words import FastText, Word2Vec
from embedders.models.words_split import split_words
from pipelines import Pipeline
from pipelines.training import words
from pipelines.training.words import WordOptions, train_words
from pipelines.uses.evaluation.evaluator import Evaluator
from pipelines.uses.evaluation.truth import Truth
from pipelines.uses.search import search

TOPICS = {
    "animals": ["cat", "dog", "horse", "sheep", "goat", "mouse"],
    "music": ["drum", "bell", "flute", "horn", "harp", "violin"],
}


def corpus() -> Iterator[str]:
    """Texts of one topic each, between words that all texts have."""
    random = np.random.default_rng(0)
    for _ in range(400):
        for topic in TOPICS.values():
            yield " ".join(["the", *random.permutation(topic)[:4], "and", *random.permutation(topic)[:3]])


@pytest.fixture(autouse=True)
def few_buckets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(words, "BUCKETS", 2000)


@pytest.mark.parametrize(
    ("method", "suffix"), [("word2vec", ".txt"), ("word2vec", ".bin"), ("fasttext", ".vec"), ("fasttext", ".bin")]
)
def test_the_nearest_words_of_a_topic_are_its_own(method: str, suffix: str, tmp_path: Path) -> None:
    out = tmp_path / f"v{suffix}"
    train_words(corpus, out, WordOptions(method=method, dim=16, epochs=20))
    family = Word2Vec if method == "word2vec" else FastText
    names = [word for topic in TOPICS.values() for word in topic]
    vectors = family(weights=str(out), normalize=True).embed(names)
    scores = vectors @ vectors.T - 2 * np.eye(len(names))
    nearest = np.argsort(-scores, axis=1)[:, :5]
    assert (nearest // 6 == (np.arange(12) // 6)[:, None]).all()


@pytest.mark.parametrize(("method", "suffix"), [("word2vec", ".txt"), ("fasttext", ".bin"), ("tfidf", ".json")])
def test_the_same_corpus_gives_the_same_bytes(method: str, suffix: str, tmp_path: Path) -> None:
    found = []
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        train_words(corpus, tmp_path / folder / f"v{suffix}", WordOptions(method=method, dim=8, epochs=2))
        found.append({path.name: path.read_bytes() for path in (tmp_path / folder).iterdir()})
    assert found[0] == found[1]


def test_another_seed_gives_other_vectors(tmp_path: Path) -> None:
    sums = [
        train_words(corpus, tmp_path / f"{seed}.vec", WordOptions(dim=4, epochs=1, seed=seed))["sha256"]
        for seed in (0, 1)
    ]
    assert sums[0] != sums[1]


def test_the_card_says_how_the_vectors_were_made(tmp_path: Path) -> None:
    out, said = tmp_path / "v.txt", list[str]()
    found = train_words(corpus, out, WordOptions(dim=4, epochs=2), said.append)
    assert json.loads((tmp_path / "v.txt.json").read_text()) == found
    assert (found["texts"], found["tokens"], found["words"]) == (800, 7200, 14)
    assert found["options"] == {
        "method": "word2vec",
        "dim": 4,
        "epochs": 2,
        "window": 5,
        "seed": 0,
        "min_count": 2,
        "lower": True,
    }
    assert found["sha256"] == Word2Vec(weights=str(out)).weights_identity["sha256"]
    assert said == ["800 texts of 7,200 words; 14 different ones are kept", "epoch 1 of 2", "epoch 2 of 2"]
    assert len(KeyedVectors.load_word2vec_format(str(out))) == 14


def test_long_texts_are_read_to_their_end(tmp_path: Path) -> None:
    long = " ".join(["early"] * 10_000 + ["late"] * 5)
    train_words(lambda: [long], tmp_path / "v.txt", WordOptions(dim=2, epochs=1))
    assert Word2Vec(weights=str(tmp_path / "v.txt")).embed(["late"]).shape == (1, 2)


@pytest.mark.parametrize("method", ["vocabulary", "tfidf"])
def test_a_vocabulary_is_scikit_learns(method: str, tmp_path: Path) -> None:
    texts = ["The red bell", "a red drum", "two drums; the DRUM!"]
    train_words(lambda: texts, tmp_path / "v.json", WordOptions(method=method, min_count=2, max_words=3))
    theirs = (TfidfVectorizer if method == "tfidf" else CountVectorizer)(
        analyzer=lambda text: split_words(text, lower=True), min_df=2, max_features=3
    ).fit(texts)
    found = read_vocabulary(tmp_path / "v.json")
    assert found.words == tuple(theirs.get_feature_names_out()) == ("drum", "red", "the")
    assert found.idf == (tuple(theirs.idf_) if method == "tfidf" else None)


def test_capitals_are_kept_where_asked(tmp_path: Path) -> None:
    options = WordOptions(method="vocabulary", min_count=1, lower=False)
    train_words(lambda: ["Bell bell"], tmp_path / "v.json", options)
    found = read_vocabulary(tmp_path / "v.json")
    assert (found.words, found.lower) == (("Bell", "bell"), False)


@pytest.mark.parametrize("method", words.METHODS)
@pytest.mark.parametrize("texts", [[], ["one two three"]], ids=["none", "rare"])
def test_a_corpus_without_frequent_words_leaves_nothing(method: str, texts: list[str], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No word is frequent enough in"):
        train_words(lambda: texts, tmp_path / "v.bin", WordOptions(method=method))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("there", ["v.txt", "v.txt.json"])
def test_what_is_there_is_never_overwritten(there: str, tmp_path: Path) -> None:
    (tmp_path / there).write_text("mine")
    with pytest.raises(RefusedError, match="exists"):
        train_words(corpus, tmp_path / "v.txt", WordOptions())
    assert [path.read_text() for path in tmp_path.iterdir()] == ["mine"]


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot be written"):
        train_words(corpus, tmp_path / "none" / "v.txt", WordOptions(method="vocabulary"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "glove"}, "no method 'glove'"),
        ({"dim": 0}, "dim is 0"),
        ({"min_count": -1}, "min_count is -1"),
        ({"seed": -1}, "seed is -1"),
        ({"max_words": 100_001}, "100,000 words at most"),
    ],
)
def test_options_that_cannot_be_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        WordOptions(**options)


def test_a_compressed_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="compress it afterwards"):
        train_words(corpus, tmp_path / "v.vec.gz", WordOptions())


def test_an_encoding_and_word_vectors_are_searched_and_judged_like_any_embedder(tmp_path: Path) -> None:
    vectors, counted = tmp_path / "v.txt", tmp_path / "t.json"
    train_words(corpus, vectors, WordOptions(dim=16, epochs=8))
    train_words(corpus, counted, WordOptions(method="tfidf"))
    references = [
        f"embedders.models.words:Word2Vec(weights={vectors}, as=w2v)",
        f"embedders.models.encodings.text:Tfidf(vocabulary={counted}, as=tfidf)",
        "embedders.models.encodings.text:Hashing(dim=256, as=hashing)",
    ]
    rows = [
        {"id": f"{topic}-{i}", "caption": f"the {a} and the {b}"}
        for topic, names in TOPICS.items()
        for i, (a, b) in enumerate(zip(names, [*names[1:], names[0]], strict=True))
    ]
    vs = Pipeline({"caption": references}).run([*rows, {"id": "z", "caption": "xylophone"}], tmp_path / "set")
    assert vs["caption_tfidf"].status[-1] == "unsupported"
    assert search(vs, "a goat", column="caption_tfidf", k=2)[0].id in ("animals-3", "animals-4")
    assert search(vs, "the sheep and the goat", column="caption_hashing", k=1)[0].id == "animals-3"
    truth = Truth([row["id"] for row in rows], label=[row["id"].split("-")[0] for row in rows])
    figures = {name: Evaluator(vs, truth).knn(name)["accuracy k=10"].value for name in vs.columns}
    assert figures["caption_w2v"] == 1.0 >= figures["caption_tfidf"]

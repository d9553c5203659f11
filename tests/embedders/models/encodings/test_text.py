"""Against scikit-learn's vectorisers on the same words, and what a vocabulary's file may hold."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer, TfidfVectorizer

from embedders import BadInput, BaseEmbedder, SetupError, UsageError
from embedders.conformance import CHECKS
from embedders.models.encodings.text import Bow, Hashing, OneHot, Tfidf
from embedders.models.encodings.vocabulary import Vocabulary
from embedders.models.words_split import split_words
from tests.embedders.models.encodings.in_process import IN_PROCESS
from tests.embedders.parity import mixed_batches

CORPUS = ["the red bell rings", "the drums are still", "a bell, a drum", "two blue birds and the red drum"]
TEXTS = ["The red bell, the RED drum!", "birds", "zebra bell", "a a a two " * 50]


def words(text: str) -> list[str]:
    return split_words(text, lower=True)


@pytest.fixture(scope="module")
def fitted() -> TfidfVectorizer:
    return TfidfVectorizer(analyzer=words).fit(CORPUS)


@pytest.fixture(scope="module")
def vocabulary(fitted: TfidfVectorizer, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("vocabulary") / "v.json"
    known = Vocabulary(tuple(fitted.get_feature_names_out()), True, tuple(fitted.idf_))
    path.write_text(json.dumps(known.to_json()))
    return str(path)


@pytest.mark.parametrize("name", ["onehot", "bow", "tfidf", "hashing"])
def test_vectors_are_scikit_learns(name: str, fitted: TfidfVectorizer, vocabulary: str) -> None:
    theirs, ours = {
        "onehot": (CountVectorizer(analyzer=words, binary=True).fit(CORPUS), OneHot(vocabulary=vocabulary)),
        "bow": (CountVectorizer(analyzer=words).fit(CORPUS), Bow(vocabulary=vocabulary)),
        "tfidf": (fitted, Tfidf(vocabulary=vocabulary)),
        "hashing": (HashingVectorizer(n_features=64, analyzer=words), Hashing(dim=64)),
    }[name]
    expected = theirs.transform(TEXTS).toarray().astype(np.float32)
    for batch, vectors in mixed_batches(ours, TEXTS, sizes=(1, 3)).items():
        np.testing.assert_array_equal(vectors, expected, err_msg=str(batch))


def test_words_beyond_the_vocabulary_are_flagged_or_refused(vocabulary: str) -> None:
    embedder = Bow(vocabulary=vocabulary)
    assert embedder.flags(embedder.prepare("bell zebra")) == ("oov_50",)
    with pytest.raises(BadInput, match="none of its 1 words is in the vocabulary, 'zebra' for one"):
        embedder.prepare("zebra")


def test_the_space_is_the_vocabulary_and_the_way_of_counting(vocabulary: str, tmp_path: Path) -> None:
    copy = tmp_path / "copy.json"
    copy.write_bytes(Path(vocabulary).read_bytes())
    assert Bow(vocabulary=vocabulary).spec.space == Bow(vocabulary=str(copy)).spec.space
    assert len({cls(vocabulary=vocabulary).spec.space for cls in (OneHot, Bow, Tfidf)}) == 3
    assert Hashing(dim=64).spec.space != Hashing(dim=65).spec.space


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "cannot be read"),
        ("[" * 100_000, "cannot be read"),
        ("[]", "its format is None, not 1"),
        ({"format": 2}, "its format is 2, not 1"),
        ({"words": "bell"}, "its words are no list of words"),
        ({"words": ["bell", ""]}, "its words are no list of words"),
        ({"words": []}, "holds 0 words"),
        ({"words": ["bell", "bell"]}, "holds 2 words, 1 different"),
        ({"words": [str(i) for i in range(100_001)]}, "holds 100,001 words"),
        ({"lower": 1}, "'lower' is 1"),
        ({"idf": [1.0]}, "'idf' is no list of a positive number per word"),
        ({"idf": [1.0, float("nan")]}, "'idf' is no list"),
        ({"idf": [True, 1.0]}, "'idf' is no list"),
    ],
)
def test_a_broken_vocabulary_is_refused(content: Any, message: str, tmp_path: Path) -> None:
    path = tmp_path / "v.json"
    sound = {"format": 1, "lower": True, "words": ["bell", "drum"]}
    path.write_text(content if isinstance(content, str) else json.dumps({**sound, **content}))
    with pytest.raises(SetupError, match=message):
        Bow(vocabulary=str(path)).spec  # noqa: B018


def test_what_is_missing_is_said_with_the_way_to_make_it(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"text\.bow needs a vocabulary.*embed train words"):
        Bow().spec  # noqa: B018
    with pytest.raises(SetupError, match="cannot be read"):
        Bow(vocabulary=str(tmp_path / "none.json")).spec  # noqa: B018
    path = tmp_path / "v.json"
    path.write_text(json.dumps(Vocabulary(("bell",), True).to_json()))
    with pytest.raises(UsageError, match=r"has no idf.*--method tfidf"):
        Tfidf(vocabulary=str(path)).embed(["bell"])
    with pytest.raises(UsageError, match="dim is 0"):
        Hashing(dim=0)


@pytest.mark.parametrize("cls", [OneHot, Bow, Tfidf, Hashing])
def test_all_four_say_that_they_are_encodings(cls: type[BaseEmbedder]) -> None:
    assert cls.kind == "encoding"
    assert "encodings" in cls.__module__.split(".")


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_contract(check: Callable[[BaseEmbedder], Any]) -> None:
    check(Hashing())


@pytest.mark.parametrize("check", IN_PROCESS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("cls", [OneHot, Bow, Tfidf])
def test_contract_with_a_vocabulary(
    check: Callable[[BaseEmbedder], Any], cls: type[BaseEmbedder], tmp_path: Path
) -> None:
    path = tmp_path / "v.json"
    examples = " ".join(Hashing().examples()).split()
    found = tuple(dict.fromkeys(examples))
    path.write_text(json.dumps(Vocabulary(found, True, tuple(1.0 + i for i in range(len(found)))).to_json()))
    check(cls(vocabulary=str(path)))

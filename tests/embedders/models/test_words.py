"""Against gensim on files that gensim wrote, and what is done with the words once they are found."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from gensim.models import KeyedVectors, Word2Vec

from embedders import BadInput, BaseEmbedder, SetupError, UsageError
from embedders.conformance import CHECKS
from embedders.models import words as family
from embedders.models.words import FastText, Glove
from embedders.models.words import Word2Vec as Ours
from tests.embedders.parity import mixed_batches, relative_l2

CORPUS = [f"the red bell rings and the drum {x} don't wait for Ünal".split() for x in ("one", "two", "three")]
TEXTS = ["the red bell", "bell", "Ünal and the drum don't rings, the the zebra", "red two"]
SAVED: dict[str, tuple[type[family.WordVectors], dict[str, Any]]] = {
    "text": (Ours, {}),
    "binary": (Ours, {"binary": True}),
    "headless": (Glove, {"write_header": False}),
    "vec": (FastText, {}),
}


@pytest.fixture(scope="module")
def trained() -> KeyedVectors:
    return Word2Vec(CORPUS, vector_size=20, min_count=1, workers=1, seed=1).wv


def write(path: Path, text: str) -> str:
    path.write_text(text, encoding="utf-8")
    return str(path)


@pytest.mark.parametrize("kind", SAVED)
def test_the_mean_of_a_text_is_that_of_gensims_vectors(kind: str, trained: KeyedVectors, tmp_path: Path) -> None:
    ours, saving = SAVED[kind]
    path, headed = tmp_path / "vectors", tmp_path / "headed"
    trained.save_word2vec_format(str(path), **saving)
    trained.save_word2vec_format(str(headed))
    theirs = KeyedVectors.load_word2vec_format(str(headed))
    expected = [
        np.mean([theirs[word] for word in text.replace(",", "").split() if word in theirs], axis=0)
        for text in TEXTS
    ]
    for batch, vectors in mixed_batches(ours(weights=str(path)), TEXTS, sizes=(1, 4)).items():
        assert relative_l2(vectors, expected) < 1e-6, batch


@pytest.mark.parametrize(
    "pack", [gzip.compress, lambda raw: pa.compress(raw, "zstd", asbytes=True)], ids=["gz", "zst"]
)
@pytest.mark.parametrize("binary", [False, True], ids=["text", "binary"])
def test_a_compressed_file_gives_the_same_vectors(
    pack: Callable[[bytes], bytes], binary: bool, trained: KeyedVectors, tmp_path: Path
) -> None:
    trained.save_word2vec_format(str(tmp_path / "plain"), binary=binary)
    (tmp_path / "packed").write_bytes(pack((tmp_path / "plain").read_bytes()))
    plain, packed = (Ours(weights=str(tmp_path / name)).embed(TEXTS) for name in ("plain", "packed"))
    np.testing.assert_array_equal(plain, packed)


def test_the_space_is_the_content_of_the_file(tmp_path: Path) -> None:
    one, two = (Ours(weights=write(tmp_path / name, "1 2\na 1 2\n")) for name in ("one", "two"))
    other = Ours(weights=write(tmp_path / "other", "1 2\na 1 3\n"))
    assert one.spec.space == two.spec.space != other.spec.space
    assert one.spec.space == f"words:sha256:{one.weights_identity['sha256']}/pooling=mean"


def test_a_text_is_the_mean_of_all_its_known_words(tmp_path: Path) -> None:
    embedder = Ours(weights=write(tmp_path / "v", "2 2\na 1 2\nb 4 -1\n"))
    np.testing.assert_array_equal(embedder.embed(["a a b zebra"]), [[2, 1]])
    assert embedder.flags(embedder.prepare("a a b zebra")) == ("oov_25",)


def test_sif_weighs_words_by_zipfs_law_of_the_files_order(tmp_path: Path) -> None:
    embedder = Ours(weights=write(tmp_path / "v", "2 2\na 1 0\nb 0 1\n"), pooling="sif")
    first, second = 1 / 1.5, 0.5 / 1.5  # 1 / (r H), with H = 1 + 1/2
    expected = [[0.001 / (0.001 + first) / 2, 0.001 / (0.001 + second) / 2]]
    np.testing.assert_allclose(embedder.embed(["a b"]), expected, rtol=1e-6)


def test_normalised_vectors_have_length_one(tmp_path: Path) -> None:
    embedder = Ours(weights=write(tmp_path / "v", "1 2\na 3 4\n"), normalize=True)
    assert embedder.spec.normalized
    np.testing.assert_allclose(embedder.embed(["a"]), [[0.6, 0.8]], rtol=1e-6)


@pytest.mark.parametrize(
    ("words", "lower", "text", "found"),
    [
        ("bell drum", None, "BELL", 1),
        ("bell Drum", None, "BELL", None),
        ("bell Bell", False, "Bell", 2),
        ("bell Bell", True, "Bell", 1),
    ],
    ids=["follows", "capitals", "as it is", "asked"],
)
def test_case_follows_the_file(
    words: str, lower: bool | None, text: str, found: int | None, tmp_path: Path
) -> None:
    lines = [f"{word} {place} 0" for place, word in enumerate(words.split(), 1)]
    embedder = Ours(weights=write(tmp_path / "v", "2 2\n" + "\n".join(lines) + "\n"), lower=lower)
    if found is None:
        with pytest.raises(BadInput, match="none of its 1 words"):
            embedder.embed([text])
    else:
        assert embedder.embed([text])[0, 0] == found


def test_max_words_reads_the_first_alone(tmp_path: Path) -> None:
    embedder = Ours(weights=write(tmp_path / "v", "3 1\na 1\nb 2\nc broken\n"), max_words=2)
    np.testing.assert_array_equal(embedder.embed(["a b c"]), [[1.5]])


def test_random_vectors_differ_by_word_and_by_seed() -> None:
    zero, one = (Ours(weights=f"random:{seed}").embed(["bell", "drum"]) for seed in (0, 1))
    assert zero.shape == (2, 300)
    assert len({row.tobytes() for row in (*zero, *one)}) == 4
    assert Ours(weights="random:0").weights_identity == {"seed": 0}


def test_threads_read_one_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[object] = []
    monkeypatch.setattr(family, "Entries", lambda *given: made.append(given) or {"a": 1})
    embedder = Ours(weights=write(tmp_path / "v", "1 2\na 1 2\n"), lower=False)
    threads = [threading.Thread(target=embedder.prepare, args=("a",)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1


@pytest.mark.parametrize(
    ("cls", "content", "reader"),
    [(Ours, "a 1 2\nb 1 2\n", "text.glove"), (Glove, "1 1\na \0\0\0\0\n", "text.word2vec")],
)
def test_another_format_is_refused_with_the_name_that_reads_it(
    cls: type[BaseEmbedder], content: str, reader: str, tmp_path: Path
) -> None:
    with pytest.raises(SetupError, match=reader):
        cls(weights=write(tmp_path / "v", content)).spec  # noqa: B018


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({}, UsageError, "needs a file"),
        ({"weights": "nowhere/vectors.txt"}, SetupError, "no file 'nowhere/vectors.txt'"),
        ({"weights": "."}, SetupError, "no file '.'"),
        ({"weights": "random:0", "pooling": "max"}, UsageError, "no pooling 'max'"),
        ({"weights": "random:0", "max_words": 0}, UsageError, "max_words is 0"),
    ],
)
def test_options_that_cannot_be_are_refused(options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        Ours(**options).spec  # noqa: B018


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_contract(check: Callable[[BaseEmbedder], Any]) -> None:
    check(Ours(weights="random:0"))

"""fastText's own files, against gensim, which writes and reads them."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gensim.models import FastText as Gensim
from gensim.models.fasttext import load_facebook_vectors, save_facebook_model

from embedders import BadInput, SetupError, UsageError
from embedders.models.words import FastText, Word2Vec
from embedders.models.words_fasttext import pieces
from tests.embedders.parity import relative_l2

CORPUS = ["the red bell rings and the drum waits", "двигатель гудит über 我们", "the a the b the"]


def save(path: Path, **options: Any) -> Path:
    given = {"vector_size": 6, "min_count": 1, "bucket": 40, "workers": 1, "seed": 1, **options}
    save_facebook_model(Gensim([text.split() for text in CORPUS], **given), str(path))
    return path


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(tmp_path_factory.mktemp("fasttext") / "model.bin")


@pytest.mark.parametrize("lengths", [(3, 6), (1, 2), (2, 2)])
def test_vectors_of_known_and_unknown_words_are_gensims(lengths: tuple[int, int], tmp_path: Path) -> None:
    path = save(tmp_path / "m.bin", min_n=lengths[0], max_n=lengths[1])
    theirs = load_facebook_vectors(str(path))
    words = ["the", "bell", "über", "двигатель", "我们", "bells", "двигатели", "übung", "Bell", "unheard"]
    assert (
        relative_l2(FastText(weights=str(path), lower=False).embed(words), [theirs[word] for word in words]) < 1e-6
    )


def test_a_model_without_pieces_knows_its_words_alone(tmp_path: Path) -> None:
    embedder = FastText(weights=str(save(tmp_path / "m.bin", max_n=0)))
    assert embedder.flags(embedder.prepare("the bells")) == ("oov_50",)
    with pytest.raises(BadInput, match="none of its 1 words"):
        embedder.prepare("bells")


def test_a_word_too_short_for_a_piece_is_unknown(tmp_path: Path) -> None:
    embedder = FastText(weights=str(save(tmp_path / "m.bin", min_n=4, max_n=6)))
    assert embedder.flags(embedder.prepare("bells z")) == ("oov_50",)


@pytest.mark.parametrize(
    ("word", "lengths", "expected"),
    [
        ("ab", (3, 3), ["<ab", "ab>"]),
        ("ab", (1, 2), ["<a", "a", "ab", "b", "b>"]),
        ("a", (3, 6), ["<a>"]),
        ("a", (4, 6), []),
    ],
)
def test_pieces_are_the_n_grams_of_the_bracketed_word(
    word: str, lengths: tuple[int, int], expected: list[str]
) -> None:
    assert pieces(word, *lengths) == expected


def test_sif_weighs_words_by_the_files_counts(saved: Path) -> None:
    mean, sif = (
        FastText(weights=str(saved), pooling=pooling).embed(["the", "bells"]) for pooling in ("mean", "sif")
    )
    share = 5 / 17  # "the" stands 5 times among 17 words
    np.testing.assert_allclose(sif[0], mean[0] * 0.001 / (0.001 + share), rtol=1e-5)
    np.testing.assert_array_equal(sif[1], mean[1])


def test_a_model_that_was_cut_anywhere_is_refused(saved: Path, tmp_path: Path) -> None:
    whole, path = saved.read_bytes(), tmp_path / "cut.bin"
    for length in [*range(400), *range(400, len(whole), 97), len(whole) - 1]:
        path.write_bytes(whole[:length])
        with pytest.raises(SetupError):
            FastText(weights=str(path)).prepare("bell")


@pytest.mark.parametrize(
    ("offset", "packed", "message"),
    [
        (4, struct.pack("<i", 13), "version 13"),
        (8, struct.pack("<i", -1), "-1 dimensions"),
        (8, struct.pack("<i", 7), "its matrix has"),
        (64, struct.pack("<i", 1 << 30), "is cut off"),
        (68, struct.pack("<i", 3), "its matrix has"),
        (84, struct.pack("<q", 1), "quantised"),
        (-4, struct.pack("<f", float("nan")), None),
    ],
    ids=["version", "dimensions", "dimension", "entries", "words", "pruned", "output"],
)
def test_what_the_header_cannot_mean_is_refused(
    offset: int, packed: bytes, message: str | None, saved: Path, tmp_path: Path
) -> None:
    content = bytearray(saved.read_bytes())
    offset %= len(content)
    content[offset : offset + len(packed)] = packed
    path = tmp_path / "m.bin"
    path.write_bytes(bytes(content))
    if message is None:  # the second matrix is for training alone
        FastText(weights=str(path)).embed(["bell"])
        return
    with pytest.raises(SetupError, match=message):
        FastText(weights=str(path)).embed(["bell"])


def test_nan_in_the_matrix_is_found_before_anything_is_embedded(saved: Path, tmp_path: Path) -> None:
    content = saved.read_bytes()
    matrix = content.index(struct.pack("<?2q", False, 13 + 40, 6)) + 17
    path = tmp_path / "m.bin"
    path.write_bytes(content[: matrix + 24] + struct.pack("<f", float("nan")) + content[matrix + 28 :])
    with pytest.raises(SetupError, match=f"row 1 of its matrix, at byte {matrix + 24:,}, is not finite"):
        FastText(weights=str(path)).prepare("bell")


def test_another_name_and_a_shorter_vocabulary_are_refused(saved: Path) -> None:
    with pytest.raises(SetupError, match=r"text\.fasttext reads it"):
        Word2Vec(weights=str(saved)).prepare("bell")
    with pytest.raises(UsageError, match="max_words shortens files without sub-words"):
        FastText(weights=str(saved), max_words=3).prepare("bell")

"""Files of word vectors that are not what they should be: what is tolerated, and what is said of the rest."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from embedders import BadInput, SetupError
from embedders.models.words import Glove, Word2Vec, WordVectors
from embedders.models.words_files import mapped


def binary(entries: list[tuple[bytes, list[float]]], end: bytes = b"\n") -> bytes:
    """A file as word2vec's own tool writes it, or with ``end=b""`` as gensim does."""
    dim = len(entries[0][1])
    body = b"".join(word + b" " + struct.pack(f"<{dim}f", *numbers) + end for word, numbers in entries)
    return f"{len(entries)} {dim}\n".encode() + body


PAIR = [(b"bell", [1.5, -2.0]), (b"drum", [0.25, 4.0])]


def embedded(path: Path, content: bytes, text: str = "bell drum", cls: type[WordVectors] = Word2Vec) -> list[float]:
    path.write_bytes(content)
    return [float(x) for x in cls(weights=str(path), lower=False).embed([text])[0]]


@pytest.mark.parametrize(
    ("cls", "content"),
    [
        (Word2Vec, b"2 2\nbell 1.5 -2\ndrum 25e-2 +4.0\n"),
        (Word2Vec, b"2 2\nbell 1.5 -2\ndrum .25 4"),
        (Word2Vec, b"2 2\nbell 1.5 -2 \ndrum 0.25 4 \n\n"),
        (Word2Vec, b"2 2\r\nbell 1.5 -2\r\ndrum 0.25 4\r\n"),
        (Word2Vec, b"3 2\nbell 1.5 -2\nbell 7 7\ndrum 0.25 4\n"),
        (Word2Vec, b"3 2\nbell 1.5 -2\n\xe3\x81 7 7\ndrum 0.25 4\n"),
        (Word2Vec, binary(PAIR)),
        (Word2Vec, binary(PAIR, end=b"")),
        (Glove, b"bell 1.5 -2\n. . . 7 7\ndrum 0.25 4\n"),
        (Glove, b"2 2\nbell 1.5 -2\ndrum 0.25 4\n"),
    ],
    ids=[
        "numbers",
        "no last line break",
        "spaces at the end",
        "line ends",
        "first of equal words",
        "half a character",
        "word2vec",
        "gensim",
        "words with spaces",
        "headed glove",
    ],
)
def test_what_writers_do_differently_is_read_alike(cls: type[WordVectors], content: bytes, tmp_path: Path) -> None:
    assert embedded(tmp_path / "v", content, cls=cls) == [0.875, 1.0]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "begins with b''"),
        (b"<html>\n<body>\n", "no file of word vectors"),
        (b"\x80\x04\x95 pickled", "a pickle, as gensim's save writes"),
        (b"PK\x03\x04", "a zip archive"),
        (b"\xef\xbb\xbf1 2\na 1 2\n", "byte order mark"),
        (b"x" * (1 << 21), "begins with b'xxx"),
        (b"2 2\nbell 1.5\ndrum 0.25 4\n", "line 2 has 1 numbers parted by single spaces; 2 are needed"),
        (b"2 2\nbell 1.5 -2\ndrum 0.25 4 5\n", "line 3 has 3 numbers parted by single spaces; 2 are needed"),
        (b"2 2\nbell\t1.5\t-2\ndrum 0.25 4\n", "line 2 has 0 numbers"),
        (b"2 2\nbell  -2\ndrum 0.25 4\n", "line 2 has b'' for a number"),
        (b"2 2\nbell 1.5 nan\ndrum 0.25 4\n", "line 2 has b'nan' for a number"),
        (b"2 2\nbell 1.5 -2\ndrum -inf 4\n", "line 3 has b'-inf' for a number"),
        (b"2 2\nbell 1.5 -2\ndrum 0,25 4\n", "line 3 has b'0,25' for a number"),
        (b"2 2\nbell 1.5 1e99\ndrum 0.25 4\n", "numbers of 'bell' are beyond float32"),
        (b"2 2\nbell 1.5 1.2.3\ndrum 0.25 4\n", "numbers of 'bell' cannot be read"),
        (b"2 2\nbell 1.5 -2\n\ndrum 0.25 4\n", "line 3 has 0 numbers"),
        (b"2 2\n 1.5 -2\ndrum 0.25 4\n", "line 2 has a word of 0 bytes"),
        (b"3 2\nbell 1.5 -2\ndrum 0.25 4\n", "promises 3 words, and 2 follow"),
        (b"1 2\nbell 1.5 -2\ndrum 0.25 4\n", "promises 1 words, and more follow"),
        (b"999999999999 300\nbell 1.5\n", "promises 999,999,999,999 words of 300 numbers, and it has 26 bytes"),
        (b"0 0\n", "promises 0 words"),
        (b"1 1\n\xff 1\n", "no word in UTF-8"),
        (b"40 1\n" + b"\xe9t\xe9 1\n" * 40, "line 12 is one of many with a word not in UTF-8"),
        (binary(PAIR)[:-3], "entry 2, at byte 17, is cut off"),
        (binary(PAIR) + b"more", "promises 2 words, and more follow"),
        (binary([(b"bell", [1.0, float("nan")])]), "entry 1, at byte 4, has numbers that are NaN"),
        (binary([(b"b" * 10_001, [1.0, 2.0])]), "entry 1, at byte 4, has a word of 10,001 bytes"),
        (gzip.compress(b"1 2\nbell 1 2\n", mtime=0)[:-6], "cannot be read"),
        (b"\x28\xb5\x2f\xfd damaged", "cannot be read"),
    ],
)
def test_a_broken_file_is_refused_with_the_place(content: bytes, message: str, tmp_path: Path) -> None:
    with pytest.raises(SetupError) as caught:
        embedded(tmp_path / "v", content)
    assert message in str(caught.value)
    assert str(tmp_path / "v") in str(caught.value)
    assert caught.value.cure


@pytest.mark.parametrize("end", [b"", b"\n"])
def test_a_binary_file_that_was_cut_anywhere_is_refused(end: bytes, tmp_path: Path) -> None:
    whole = binary(PAIR, end)
    for length in range(len(whole) - len(end)):
        with pytest.raises(SetupError):
            embedded(tmp_path / "v", whole[:length])


@given(st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150, deadline=None)
def test_damage_gives_an_error_of_ours_or_finite_vectors(tmp_path: Path, data: st.DataObject) -> None:
    whole = data.draw(st.sampled_from([binary(PAIR), b"2 2\nbell 1.5 -2\ndrum 0.25 4\n", b"bell 1 2\ndrum 3 4\n"]))
    damaged = bytearray(whole)
    for place, byte in data.draw(st.lists(st.tuples(st.integers(0, len(whole) - 1), st.integers(0, 255)))):
        damaged[place] = byte
    try:
        found = embedded(tmp_path / "v", bytes(damaged))
    except (SetupError, BadInput):
        return
    assert np.isfinite(found).all()


def test_a_file_that_grows_without_end_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("embedders.models.words_files.INFLATED_FREE", 1 << 10)
    path = tmp_path / "v.gz"
    path.write_bytes(gzip.compress(bytes(1 << 20)))
    with pytest.raises(SetupError, match="grows to more than 100 times its size"):
        mapped(path)

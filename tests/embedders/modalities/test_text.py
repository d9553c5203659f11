"""Text passes unchanged but for four documented repairs, and never by a silent ``str()``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embedders import BadInput, Decoded, Limits, Status
from embedders.modalities.text import Text
from tests.embedders.modalities import failure, message, outcome

TEXT = Text()


@pytest.mark.parametrize(
    "text",
    [
        "two red bells",
        "  indented\n\ttext  ",
        "a line\n",
        "NA",
        "null",
        "NaN",
        "[MASK] <|endoftext|>",
        "nul \0 and \x1b control",
        "\u202eright to left\u202c \u200f",
        "👩‍👩‍👧 日本語です",
        "é",  # composed
        "e\u0301",  # decomposed: another text, though it looks the same
    ],
)
def test_text_is_passed_unchanged(text: str) -> None:
    assert TEXT.decode(text) == Decoded(text)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"a line\n", "a line"),
        (b"a line\r\n", "a line"),
        (b"a line\r", "a line"),
        (b"a line\n\n", "a line\n"),
        (b" a\nb ", " a\nb "),
        (b"\xef\xbb\xbfcaf\xc3\xa9", "café"),
    ],
)
def test_a_file_loses_its_byte_order_mark_and_one_line_break(content: bytes, text: str) -> None:
    assert TEXT.decode(content) == Decoded(text)


def test_a_str_loses_its_byte_order_mark_too() -> None:
    assert TEXT.decode("\ufeffword") == Decoded("word")


def test_a_path_is_read(tmp_path: Path) -> None:
    path = tmp_path / "caption.txt"
    path.write_text("a quiet engine\n", encoding="utf-8")
    assert TEXT.decode(path) == Decoded("a quiet engine")


def test_lone_surrogates_are_replaced_and_flagged() -> None:
    assert TEXT.decode(json.loads('"a\\ud800b\\udc00"')) == Decoded("a\ufffdb\ufffd", ("text_repaired",))


@pytest.mark.parametrize("raw", ["", " ", "\n\t ", "\ufeff", "\u00a0", b"", b"\n", b"  \r\n"])
def test_nothing_but_white_space_is_empty(raw: Any) -> None:
    assert failure(TEXT, raw) == (Status.EMPTY, "TXT_EMPTY")


@pytest.mark.parametrize(
    ("content", "offset"), [(b"\xff", 0), (b"caf\xe9 noir", 3), (b"\xef\xbb\xbfab\xff", 5), (b"cut \xe2\x82", 4)]
)
def test_wrong_utf8_is_invalid_and_names_the_byte(content: bytes, offset: int) -> None:
    assert failure(TEXT, content) == (Status.INVALID, "TXT_ENCODING")
    assert f"0x{content[offset]:02x} at offset {offset} " in message(TEXT, content)


def test_utf16_is_recognised_in_the_message() -> None:
    assert "UTF-16" in message(TEXT, "word".encode("utf-16"))


@pytest.mark.parametrize("raw", [None, 3, 2.5, True, ["a"], {"a": "b"}, object()])
def test_what_is_no_text_is_never_turned_into_text(raw: Any) -> None:
    assert failure(TEXT, raw) == (Status.INVALID, "TXT_TYPE")
    assert type(raw).__name__ in message(TEXT, raw)


@pytest.mark.parametrize("raw", ["abcdé", "abcdé".encode(), b"x" * 100, "a" * 6])
def test_too_many_characters_are_a_limit(raw: Any) -> None:
    assert failure(TEXT, raw, Limits(characters=4)) == (Status.LIMIT, "TXT_CHARACTERS")


@pytest.mark.parametrize("raw", ["😀😀😀😀", "\ufeff😀😀😀😀\r\n".encode()])
def test_the_limit_counts_characters_not_bytes(raw: Any) -> None:
    assert TEXT.decode(raw, Limits(characters=4)) == Decoded("😀😀😀😀")


def test_ten_megabytes_and_a_million_marks_are_quick() -> None:
    limits = Limits(characters=20_000_000)
    assert len(TEXT.decode(b"word " * 2_000_000, limits).media) == 10_000_000
    assert TEXT.decode("e" + "\u0301" * 1_000_000, limits).media.endswith("\u0301")


@given(st.text(st.characters(exclude_categories=())))
@settings(max_examples=100, deadline=None)
def test_what_comes_out_can_always_be_stored(text: str) -> None:
    found = outcome(TEXT, text)
    if isinstance(found, BadInput):
        assert found.status is Status.EMPTY
    else:
        assert found.media.encode("utf-8").decode("utf-8") == found.media
        assert len(found.media) in (len(text), len(text) - 1)


@given(st.binary(max_size=40))
@settings(max_examples=100, deadline=None)
def test_any_bytes_become_text_or_bad_input(content: bytes) -> None:
    found = outcome(TEXT, content)
    if isinstance(found, BadInput):
        assert found.status in (Status.EMPTY, Status.INVALID)
    else:
        assert isinstance(found.media, str)


def test_the_policy_is_plain_json() -> None:
    assert json.loads(json.dumps(TEXT.policy)) == TEXT.policy

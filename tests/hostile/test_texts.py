"""Texts (TXT): empty, broken, huge and unusual strings, each amid good neighbours."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines import Pipeline
from tests.hostile.conftest import Contained
from tests.hostile.containment import case, raw_of, rows_of
from tests.hostile.measures import TextMeasures

pytestmark = pytest.mark.usefixtures("torchless")

COMPOSED = "Crème brûlée"

REFUSED = [
    case("TXT-01", "None", None, "absent"),
    case("TXT-01", "empty", "", "empty", "TXT_EMPTY"),
    case("TXT-01", "white space", " \n\t\u00a0", "empty", "TXT_EMPTY"),
    case("TXT-04", "Latin-1 bytes", "caf\xe9".encode("latin-1"), "invalid", "TXT_ENCODING"),
    case("TXT-04", "UTF-16 bytes", "bells".encode("utf-16"), "invalid", "TXT_ENCODING"),
    case("TXT-04", "cut UTF-8", "café".encode()[:-1], "invalid", "TXT_ENCODING"),
    case("TXT-06", "10 MB", lambda: "word " * 2_000_000, "limit", "TXT_CHARACTERS"),
    case("TXT-06", "10 MB of bytes", lambda: b"word " * 2_000_000, "limit", "TXT_CHARACTERS"),
    *(
        case("TXT-09", f"a {type(value).__name__}", value, "invalid", "TXT_TYPE")
        for value in (3, 2.5, True, ["a"], {"a": "b"})
    ),
]

REPAIRED = [
    case("TXT-02", "lone surrogate", json.loads('"\\ud800"'), "ok", flags=("text_repaired",)),
    case("TXT-02", "halves of a pair in the wrong order", "a\udc00\ud800b", "ok", flags=("text_repaired",)),
]

KEPT = [
    case("TXT-03", "NUL", "a\0b", "ok"),
    case("TXT-03", "control", "\x1b[31mred\x07\r", "ok"),
    case("TXT-03", "bidi", "\u202egpj.exe\u202c", "ok"),
    case("TXT-03", "zero width", "be\u200bll\u2060s", "ok"),
    case("TXT-06", "1 M characters of 1-letter words", lambda: "a " * 500_000, "ok"),
    case("TXT-07", "1 M combining marks", lambda: "e" + "\u0301" * 999_999, "ok"),
    case("TXT-07", "the longest expansion", lambda: "\ufdfa" * 100_000, "ok"),
    *(case("TXT-10", f"{word} as text", word, "ok") for word in ("NA", "null", "NaN", "None", "0", "true")),
    case("TXT-11", "end of text", "<|endoftext|> <|startoftext|>", "ok"),
    case("TXT-11", "mask", "[MASK] [CLS] [SEP] [PAD] </s>", "ok"),
    case("TXT-12", "right to left", "\u05e9\u05dc\u05d5\u05dd", "ok"),
    case("TXT-12", "emoji joined", "\U0001f469\u200d\U0001f469\u200d\U0001f467", "ok"),
    case("TXT-12", "CJK without spaces", "\u65e5\u672c\u8a9e\u3067\u3059", "ok"),
]


@pytest.mark.parametrize(("raw", "status", "code", "flags"), REFUSED + REPAIRED + KEPT)
def test_a_text_costs_its_own_row_only(
    contained: Contained, raw: Any, status: str, code: str, flags: tuple[str, ...]
) -> None:
    assert contained({"words": raw_of(raw)}, status, code).flags == flags


@pytest.mark.parametrize(("raw", "status", "code", "flags"), KEPT)
def test_an_unusual_text_is_embedded_and_stored_as_it_is(
    contained: Contained, raw: Any, status: str, code: str, flags: tuple[str, ...]
) -> None:
    text = raw_of(raw)
    row = contained({"words": text}, status)
    assert np.array_equal(row.vector, np.array(TextMeasures().prepare(text), np.float32))
    assert rows_of(row.out)[2]["words"] == text


def test_TXT_03_a_byte_order_mark_is_no_text(contained: Contained) -> None:
    assert contained({"words": "\ufeffbells"}, "ok").vector[0] == 5


def test_TXT_08_composed_and_decomposed_text_differ_as_the_fingerprint_says(
    contained: Contained, tmp_path: Path
) -> None:
    row = contained({"words": unicodedata.normalize("NFC", COMPOSED)}, "ok")
    Pipeline({"words": TextMeasures()}).run([{"words": unicodedata.normalize("NFD", COMPOSED)}], tmp_path / "nfd")
    assert (row.vector[0], np.frombuffer(rows_of(tmp_path / "nfd")[0]["words_textmeasures"], "f4")[0]) == (12, 15)
    (column,) = json.loads((row.out / "manifest.json").read_text())["columns"]
    assert column["fingerprint"]["decoding"]["normalization"] == "none"


def test_values_of_a_table_are_judged_like_values_in_memory(tmp_path: Path) -> None:
    cases = [
        ("TXT-01", '{"words": "a word"}', "ok"),
        ("TXT-01", '{"other": "x"}', "absent"),
        ("TXT-01", '{"words": null}', "absent"),
        ("TXT-01", '{"words": ""}', "empty"),
        ("TXT-01", '{"words": "  "}', "empty"),
        ("TXT-02", '{"words": "\\ud800"}', "ok"),
        ("TXT-09", '{"words": 3}', "invalid"),
        ("TXT-09", '{"words": false}', "invalid"),
        ("TXT-09", '{"words": ["a"]}', "invalid"),
        ("TXT-09", '{"words": {"a": "b"}}', "invalid"),
        ("TXT-10", '{"words": "NA"}', "ok"),
    ]
    (tmp_path / "table.jsonl").write_text("\n".join(line for _, line, _ in cases))
    Pipeline({"words": TextMeasures()}).run(tmp_path / "table.jsonl", tmp_path / "set")
    found = [row["words_textmeasures_status"] for row in rows_of(tmp_path / "set")]
    assert found == [status for _, _, status in cases]


def test_TXT_04_a_text_file_names_its_wrong_byte(contained: Contained, tmp_path: Path) -> None:
    (tmp_path / "caption.txt").write_bytes(b"caf\xe9 noir")
    row = contained({"words": tmp_path / "caption.txt"}, "invalid", "TXT_ENCODING")
    assert "0xe9 at offset 3" in row.error

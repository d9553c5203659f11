"""One rule says which words a text has."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedders import BadInput, Status
from embedders.models.words_split import bag_of, split_words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("A red bell rings.", ["A", "red", "bell", "rings"]),
        ("don't, don\u2019t, 'quoted' rock 'n' roll", ["don't", "don't", "quoted", "rock", "n", "roll"]),
        ("well-known New_York 3.14", ["well", "known", "New_York", "3", "14"]),
        ("cafe\u0301", ["caf\u00e9"]),
        ("हिन्दी भाषा", ["हिन्दी", "भाषा"]),
        ("Зелёный двигатель", ["Зелёный", "двигатель"]),
        ("soft\u00adhyphen \u200ebidi", ["softhyphen", "bidi"]),
        ("می\u200cخواهم", ["می\u200cخواهم"]),
        ("我们 喜欢", ["我们", "喜欢"]),
        ("🔔 ?! '", []),
    ],
    ids=["latin", "apostrophes", "connectors", "nfc", "marks", "cyrillic", "format", "joiner", "spaced", "none"],
)
def test_a_text_is_cut_into_words(text: str, words: list[str]) -> None:
    assert split_words(text, lower=False) == words


@given(st.text(max_size=40), st.booleans())
def test_cutting_what_was_cut_changes_nothing(text: str, lower: bool) -> None:
    words = split_words(text, lower=lower)
    assert split_words(" ".join(words), lower=False) == words


def test_lower_case_is_asked_for() -> None:
    assert split_words("ΔΕΝ Stop", lower=True) == ["δεν", "stop"]


@pytest.mark.parametrize(
    ("text", "flags"),
    [("a b", ()), ("a b x y z", ("oov_60",)), ("a " * 300 + "x", ("oov_1",)), ("a " + "x " * 300, ("oov_99",))],
)
def test_the_share_of_unknown_words_is_flagged(text: str, flags: tuple[str, ...]) -> None:
    assert bag_of(text, lower=False, known={"a", "b"}).flags == flags


@pytest.mark.parametrize(
    ("text", "status", "code"),
    [("?!", Status.EMPTY, "TXT_NO_WORD"), ("x y", Status.UNSUPPORTED, "TXT_NO_KNOWN_WORD")],
)
def test_a_text_without_known_words_is_refused(text: str, status: Status, code: str) -> None:
    with pytest.raises(BadInput) as caught:
        bag_of(text, lower=False, known={"a"})
    assert (caught.value.status, caught.value.code) == (status, code)

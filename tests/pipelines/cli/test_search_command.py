"""``embed search`` as a person meets it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedders import UsageError
from pipelines import Pipeline
from pipelines.cli.search import search_command, shares

LONG = "extraordinary " * 20
NOTHING: dict[str, Any] = {
    **dict.fromkeys(("column", "by", "html", "root")),
    "k": 10,
    "device": "cpu",
    "as_json": False,
}

Search = Callable[..., Any]


@pytest.fixture
def search(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Search:
    """What the command prints over a set of five words with long notes: (stdout, stderr)."""
    monkeypatch.setenv("COLUMNS", "80")
    words = ("bell", "drum", "siren", "", "e\x1b[31mgine")
    records = [{"id": f"r{row}", "word": word, "note": LONG} for row, word in enumerate(words)]
    embed = {"word": "toy.letters(weights=random:0)", "note": "toy.unit"}
    Pipeline(embed).run(records, tmp_path / "out")

    def call(query: str = "bell", **options: Any) -> Any:
        given = {**NOTHING, "column": "word_letters", **options}
        search_command(tmp_path / "out", query, **given)
        return capsys.readouterr()

    return call


def test_results_are_a_table_of_80_columns(search: Search) -> None:
    lines = search(k=2).out.splitlines()
    assert lines[0] == "word_letters: 4 vectors"
    assert lines[1].split() == ["score", "id", "word", "note"]
    assert lines[2].startswith("1  1.0000  r0  bell ")
    assert lines[2].rstrip().endswith("…")
    assert len(lines) == 4
    assert max(map(len, lines)) == 80


def test_words_that_lie_in_files_are_shown_themselves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    (tmp_path / "in").mkdir()
    for name in ("bell", "drum"):
        (tmp_path / "in" / f"{name}.toy").write_text(f"the {name}")
    Pipeline().run(tmp_path / "in", tmp_path / "out")
    (tmp_path / "in" / "drum.toy").unlink()
    search_command(tmp_path / "out", "the bell", **NOTHING)
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[2] == ["1", "1.0000", "bell", "the", "bell"]
    assert lines[3][2:] == ["drum", "drum.toy"]  # gone since: its path is what is known


def test_nothing_in_a_set_steers_the_terminal(search: Search) -> None:
    found = search()
    assert "\x1b" not in found.out
    assert "e\\x1b[31mgine" in found.out


def test_json_is_the_only_thing_on_stdout(search: Search, tmp_path: Path) -> None:
    found = json.loads(search(k=1, as_json=True, html=tmp_path / "a.html").out)
    assert found == [
        {
            "id": "r0",
            "score": pytest.approx(1),
            "column": "word_letters",
            "field": "word",
            "row": 0,
            "values": {"word": "bell", "note": LONG},
        }
    ]


def test_a_page_is_written_and_named(search: Search, tmp_path: Path) -> None:
    found = search(html=tmp_path / "a.html")
    assert f"Written: {tmp_path}/a.html" in found.err
    assert "<h2" in (tmp_path / "a.html").read_text("utf-8")


def test_scores_of_random_weights_are_called_meaningless(search: Search) -> None:
    assert "carry no meaning" in search().err
    assert "carry no meaning" not in search(column="note_unit").err


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"k": 0}, "-k is 0"),
        ({"column": None}, "2 spaces.*--in"),
        ({"by": "toi"}, "Did you mean 'toy'"),
    ],
)
def test_mistakes_name_the_option(search: Search, options: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        search(**options)


@given(st.lists(st.integers(1, 200), min_size=1, max_size=8), st.integers(8, 200))
def test_shares_fit_and_nobody_gets_less_than_an_equal_one_unless_it_wants_less(
    wanted: list[int], room: int
) -> None:
    widths = shares(wanted, room)
    assert sum(widths) <= room
    assert all(width == want or width >= room // len(wanted) for width, want in zip(widths, wanted, strict=True))
    assert sum(widths) == min(sum(wanted), room)

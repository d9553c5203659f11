"""What `embed diff` prints, and the code that it ends with."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from embedders import UsageError
from pipelines.cli.diff import diff_command
from tests.pipelines.uses.pairs import Row, write
from tests.pipelines.vectors.made import column

ROWS = [Row("a", (1, 0), "apple"), Row("b", (0, 1), "bell"), Row("c", (1, 1), "cow"), Row("d", None, "", "empty")]
OPTIONS = {"k": 2, "sample": 10, "seed": 0}


def diff(tmp_path: Path, *, as_json: bool = False) -> int:
    return diff_command(tmp_path / "a", tmp_path / "b", **OPTIONS, as_json=as_json)


def test_two_equal_sets_say_so_and_end_with_0(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path / "a", ROWS)
    write(tmp_path / "b", ROWS, part_rows=3)
    assert diff(tmp_path) == 0
    lines = " ".join(capsys.readouterr().out.split())
    assert "in both 4 records, in the same order" in lines
    assert "column word_toy vectors 3 of unchanged content, all equal to the bit" in lines
    assert lines.endswith("same nothing that matters differs; vectors by a relative L2 of 1e-05 at most")


def test_vectors_within_the_tolerance_end_with_0_and_are_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "a", ROWS)
    write(tmp_path / "b", [replace(ROWS[0], vector=(1 + 1e-6, 0)), *ROWS[1:]])
    assert diff(tmp_path) == 0
    printed = capsys.readouterr().out
    assert "3 of unchanged content, 2 equal to the bit" in printed
    assert "  relative L2  9.5e-07 at most: a\n" in printed


def test_everything_that_differs_is_printed_and_ends_with_3(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "a", ROWS, column(dim=2, torch="2.11"), column("word_old", 2))
    moved = [
        replace(ROWS[1], vector=(1, 0.5)),
        replace(ROWS[0], word="pear"),
        Row("c", None, "cow", "corrupt"),
        Row("e", (1, 2)),
    ]
    write(tmp_path / "b", moved, column(dim=2, torch="2.14"), column("word_new", 2))
    assert diff(tmp_path) == 3
    printed = capsys.readouterr().out
    for line in (
        "in both        3 records, in another order",
        "removed        1 records: d",
        "added          1 records: e",
        "changed        word: 1 records: a",
        "removed        column word_old",
        "added          column word_new",
        "  recorded     fingerprint.torch: '2.11' -> '2.14'",
        "  status       ok -> corrupt: 1 records",
        "  vectors      1 of unchanged content, 0 equal to the bit",
        "  cosine       0.4472136 at least, 0.4472136 on average",
        "different      see above",
    ):
        assert f"{line}\n" in printed


def test_what_a_search_would_find_is_held_against_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path / "a", ROWS)
    write(tmp_path / "b", [replace(ROWS[0], vector=(0, 3)), *ROWS[1:]])
    assert diff_command(tmp_path / "a", tmp_path / "b", k=1, sample=10, seed=0, as_json=False) == 3
    assert "33.3% of the 1 nearest stay the same, asked at 3 records" in capsys.readouterr().out


def test_json_holds_all_of_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path / "a", ROWS)
    write(tmp_path / "b", ROWS[1:])
    assert diff(tmp_path, as_json=True) == 3
    found = json.loads(capsys.readouterr().out)
    assert (found["paths"], found["rows"]) == ([str(tmp_path / "a"), str(tmp_path / "b")], [4, 3])
    assert found["removed"] == {"count": 1, "first": ["a"]}
    assert found["same"] is False


def test_SEC_07_ids_steer_no_terminal_and_fit_80_columns(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "a", [*ROWS, Row("\x1b[2J" + "long" * 50, (1, 2)), Row("two\nlines", (1, 2))])
    write(tmp_path / "b", ROWS)
    assert diff(tmp_path) == 3
    printed = capsys.readouterr().out
    assert "\x1b" not in printed
    assert "\\x1b[2Jlong" in printed
    assert "two\\x0alines" in printed
    assert max(map(len, printed.splitlines())) <= 80


def test_where_there_is_no_set_it_is_a_usage_error(tmp_path: Path) -> None:
    write(tmp_path / "a", ROWS)
    with pytest.raises(UsageError, match="no vector set"):
        diff(tmp_path)

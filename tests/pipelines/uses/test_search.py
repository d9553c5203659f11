"""From a query to records, with vectors that can be computed by eye."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from embedders import UsageError
from pipelines import Pipeline, VectorSet
from pipelines.uses.search import search
from tests.pipelines.uses.signs import signs  # noqa: F401  # a fixture

WORDS = ("bell", "drum", "siren", "", "engine", "!nan", "ball")


@pytest.fixture
def vs(tmp_path: Path) -> VectorSet:
    records = [{"id": f"r{row}", "word": word, "note": str(row)} for row, word in enumerate(WORDS)]
    return Pipeline({"word": "toy.letters", "note": "toy.letters"}).run(records, tmp_path / "out")


def cosine(a: list[float], b: list[float]) -> float:
    return float(np.dot(a, b) / np.linalg.norm(a) / np.linalg.norm(b))


def test_the_nearest_records_come_first_with_their_fields(vs: VectorSet) -> None:
    found = search(vs, "bell", column="word_letters", k=2)
    assert [(r.id, r.row, r.column, r.field) for r in found] == [
        ("r0", 0, "word_letters", "word"),
        ("r6", 6, "word_letters", "word"),
    ]
    assert found[1].values == {"word": "ball", "note": "6"}
    assert found[0].score == pytest.approx(1)
    assert found[1].score == pytest.approx(cosine([4, 1, 2], [4, 1, 2]))


def test_scores_are_cosines_whatever_the_length_of_vectors(vs: VectorSet) -> None:
    by_word = {r.values["word"]: r.score for r in search(vs, "bell", column="word_letters")}
    assert by_word["engine"] == pytest.approx(cosine([4, 1, 2], [6, 3, 5]))
    assert by_word["drum"] == pytest.approx(cosine([4, 1, 2], [4, 1, 4]))


def test_rows_that_are_not_ok_are_never_found_however_large_k(vs: VectorSet) -> None:
    found = search(vs, "bell", column="word_letters", k=1000)
    assert {r.id for r in found} == {"r0", "r1", "r2", "r4", "r6"}


def test_each_column_of_the_space_gives_its_own_results(vs: VectorSet) -> None:
    found = search(vs, "engine", k=2)
    assert [(r.column, r.field) for r in found] == [("word_letters", "word")] * 2 + [("note_letters", "note")] * 2
    assert found[0].id == "r4"


def test_a_query_of_another_modality_searches_by_an_embedder_from_outside(
    vs: VectorSet,
    tmp_path: Path,
    signs: None,  # noqa: F811
) -> None:
    (tmp_path / "a.sign").write_text("engine")
    assert search(vs, tmp_path / "a.sign", column="word_letters", k=1)[0].id == "r4"


def test_a_column_where_everything_failed_is_said_with_its_statuses(tmp_path: Path) -> None:
    vs = Pipeline({"word": "toy.letters"}).run([{"word": ""}, {"word": "!bad"}, {}], tmp_path / "out")
    with pytest.raises(UsageError, match=r"no vector to search in 'word_letters' \(1 absent, 1 empty, 1 invalid\)"):
        search(vs, "bell")
    with pytest.raises(UsageError, match="'word_letters' holds no vector"):
        vs["word_letters"].search(np.ones(3))


def test_of_several_columns_those_without_vectors_are_passed_over(tmp_path: Path) -> None:
    embed = {"word": "toy.letters", "note": "toy.letters"}
    vs = Pipeline(embed).run([{"word": "bell", "note": ""}], tmp_path / "out")
    assert [r.column for r in search(vs, "bell")] == ["word_letters"]


def test_k_below_1_is_refused_before_anything_else(vs: VectorSet) -> None:
    with pytest.raises(UsageError, match="k is 0"):
        search(vs, "bell", column="no such column", k=0)


@pytest.mark.parametrize(("query", "says"), [("", "empty"), ("!bad", r"invalid \(TOY_BAD: .*a bad word\)")])
def test_a_query_that_cannot_be_embedded_is_a_wrong_query(vs: VectorSet, query: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        search(vs, query, column="word_letters")


def test_a_result_is_plain_json(vs: VectorSet) -> None:
    found = search(vs, "bell", column="word_letters", k=1)[0].to_json()
    assert found == {
        "id": "r0",
        "score": pytest.approx(1),
        "column": "word_letters",
        "field": "word",
        "row": 0,
        "values": {"word": "bell", "note": "0"},
    }

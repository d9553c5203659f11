"""The package for code: its own tests, and its sample files through a whole pipeline."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines import Pipeline, VectorSet
from pipelines.uses.evaluation import Evaluator
from pipelines.uses.search import search
from tests.plugins.packages import plugged

from embed_code.functions import table  # isort: skip
from test_embed_code import *  # noqa: F403  # isort: skip

EMBED = {"code": "code.functions(encoder=text.hashing)"}


@pytest.fixture(scope="module", autouse=True)
def folder() -> Iterator[Path]:
    with plugged("code") as found:
        yield found


@pytest.fixture(scope="module")
def functions(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> VectorSet:
    out = tmp_path_factory.mktemp("out")
    lines = [json.dumps(row) for row in table(folder / "records")]
    (out / "functions.jsonl").write_text("\n".join([*lines, '{"id": "broken", "code": "def f(:"}']))
    return Pipeline(EMBED).run(out / "functions.jsonl", out / "set")


def test_words_find_single_functions(functions: VectorSet) -> None:
    asked = {
        "from celsius to fahrenheit": "temperature.py:to_fahrenheit",
        "take money out": "account.py:Account.withdraw",
        "how often each word occurs": "words.py:count_words",
    }
    assert {query: search(functions, query, by="text", k=1)[0].id for query in asked} == asked


def test_code_finds_its_like(functions: VectorSet) -> None:
    query = "def largest(text):\n    return max(text.split(), key=len)"
    assert search(functions, query, by="code", k=1)[0].id == "words.py:longest_word"


def test_what_does_not_parse_is_a_row_that_says_so(functions: VectorSet) -> None:
    (failure,) = functions.failures().to_pylist()
    assert (failure["id"], failure["status"]) == ("broken", "invalid")


def test_descriptions_find_their_files(folder: Path, tmp_path: Path) -> None:
    vs = Pipeline({**EMBED, "text": "text.hashing"}).run(folder / "records", tmp_path / "set")
    assert list(vs["code_functions"].status) == ["ok"] * 3
    outcomes = Evaluator(vs).run(["retrieval"])
    assert len(outcomes) == 2
    assert all(outcome["hit_rate@1"].value == 1 for outcome in outcomes)

"""The package for molecules: its own tests, and its sample files through a whole pipeline."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines import Pipeline, VectorSet
from pipelines.uses.evaluation import Evaluator
from pipelines.uses.search import search
from tests.plugins.packages import labels, plugged

from test_embed_molecule import *  # noqa: F403  # isort: skip


@pytest.fixture(scope="module", autouse=True)
def folder() -> Iterator[Path]:
    with plugged("molecule") as found:
        yield found


@pytest.fixture(scope="module")
def molecules(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> VectorSet:
    return Pipeline().run(folder / "molecules.csv", tmp_path_factory.mktemp("out") / "set")


def test_a_row_that_is_no_molecule_says_so(molecules: VectorSet) -> None:
    (failure,) = molecules.failures().to_pylist()
    assert (failure["id"], failure["status"]) == ("five bonds", "invalid")
    assert "valence" in failure["error"]


def test_search_finds_relatives(molecules: VectorSet) -> None:
    found = search(molecules, "OC(=O)c1c(O)cccc1", k=3, by="molecule")
    assert [result.id for result in found] == ["salicylic acid", "salicylamide", "methyl salicylate"]
    assert found[0].score == pytest.approx(1)


def test_the_families_can_be_read_off(molecules: VectorSet, folder: Path) -> None:
    (outcome,) = Evaluator(molecules, labels(folder / "molecules.csv", "kind")).run(["knn"])
    assert outcome["accuracy k=10"].value == 1


def test_a_folder_of_files_is_joined_by_name(folder: Path, tmp_path: Path) -> None:
    vs = Pipeline({"molecule": "molecule.morgan"}).run(folder / "records", tmp_path / "set")
    column = vs["molecule_morgan"]
    assert dict(zip(vs.ids, column.status, strict=True)) == {
        "aspirin": "ok",
        "broken": "invalid",
        "caffeine": "ok",
        "coffee": "ok",
    }
    assert (column.vectors[2] == column.vectors[3]).all()

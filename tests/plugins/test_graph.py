"""The package for graphs: its own tests, and its sample files through a whole pipeline."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines import Pipeline, VectorSet
from pipelines.uses.evaluation import Evaluator
from pipelines.uses.search import search
from tests.plugins.packages import labels, plugged

from test_embed_graph import *  # noqa: F403  # isort: skip


@pytest.fixture(scope="module", autouse=True)
def folder() -> Iterator[Path]:
    with plugged("graph") as found:
        yield found


@pytest.fixture(scope="module")
def embed(folder: Path) -> dict[str, str]:
    return {"node": f"node.node2vec(edges={folder / 'edges.tsv'}, dim=16, epochs=5)"}


@pytest.fixture(scope="module")
def people(folder: Path, embed: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> VectorSet:
    return Pipeline(embed).run(folder / "people.csv", tmp_path_factory.mktemp("out") / "set")


def test_who_has_no_edge_is_a_row_that_says_so(people: VectorSet) -> None:
    (failure,) = people.failures().to_pylist()
    assert (failure["id"], failure["status"]) == ("zoe", "invalid")
    assert "'Zoe' is none of the 24 nodes" in failure["error"]


def test_search_by_a_name_finds_its_company(people: VectorSet, folder: Path) -> None:
    truth = labels(folder / "people.csv", "club")
    clubs = dict(zip(truth.ids, truth.label or (), strict=True))
    itself, *company = search(people, "Ada", k=4, by="node")
    assert itself.id == "ada"
    assert [clubs[other.id] for other in company] == [clubs["ada"]] * 3


def test_clubs_can_be_read_off(people: VectorSet, folder: Path) -> None:
    (outcome,) = Evaluator(people, labels(folder / "people.csv", "club")).run(["knn"])
    assert outcome["accuracy k=10"].value > 0.9


def test_a_folder_of_files_is_joined_by_name(folder: Path, embed: dict[str, str], tmp_path: Path) -> None:
    vs = Pipeline(embed).run(folder / "records", tmp_path / "set")
    assert dict(zip(vs.ids, vs["node_node2vec"].status, strict=True)) == {
        "ada": "ok",
        "otto": "ok",
        "zoe": "invalid",
    }

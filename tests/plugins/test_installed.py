"""The packages as a user has them: built, installed offline into a folder of their own, and used by command."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.plugins.packages import NAMES, PLUGINS

pytestmark = pytest.mark.slow

EMBED = [sys.executable, "-m", "pipelines.cli.main"]
CLIP = "iid-12-000012"

SEVERAL = """
import json, sys
from pipelines.cli.main import app
for arguments in json.loads(sys.argv[1]):
    app(arguments, standalone_mode=False)
    print("===")
"""
"""Several commands in one process, since each would import torch anew."""

RECORDS = [
    {"id": "ada", "node": "Ada", "molecule": "CC(=O)Oc1ccccc1C(=O)O", "code": "def add(a, b): return a + b"},
    {"id": "emil", "node": "Emil", "molecule": "OC(=O)c1ccccc1O", "code": "def times(a, b): return a * b"},
    {"id": "zoe", "node": "Zoe", "molecule": "C1CC", "code": "def times(a, b:"},
]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the packages are installed, and nothing else is."""
    sources, site = tmp_path_factory.mktemp("sources"), tmp_path_factory.mktemp("site")
    for name in NAMES:
        shutil.copytree(PLUGINS / name, sources / name, ignore=shutil.ignore_patterns("__pycache__"))
    uv = os.environ.get("UV") or shutil.which("uv")
    assert uv is not None
    how = ["--offline", "--no-cache", "--no-deps", "--no-build-isolation", "--python", sys.executable]
    packages = [str(sources / name) for name in NAMES]
    subprocess.run([uv, "pip", "install", "--quiet", *how, "--target", str(site), *packages], check=True)
    return site


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One record set with all four modalities; the last record has nothing that can be embedded."""
    folder = tmp_path_factory.mktemp("records")
    shutil.copy(PLUGINS / "video" / "records" / f"{CLIP}.mp4", folder / "emil.mp4")
    shutil.copy(PLUGINS / "video" / "records" / "iid-12-000009.mkv", folder / "ada.mkv")
    shutil.copy(PLUGINS / "video" / "records" / "broken.mp4", folder / "zoe.mp4")
    shutil.copy(PLUGINS / "graph" / "edges.tsv", folder)
    clips = {file.stem: file.name for file in folder.iterdir()}
    with (folder / "all.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, ["id", "node", "molecule", "code", "video"])
        writer.writeheader()
        writer.writerows({**record, "video": clips[record["id"]]} for record in RECORDS)
    return folder / "all.csv"


def said(site: Path, folder: Path, command: list[str], code: int = 0) -> str:
    """What a command prints where the packages are installed."""
    here = {**os.environ, "PYTHONPATH": str(site), "OMP_NUM_THREADS": "1"}
    found = subprocess.run(command, env=here, cwd=folder, capture_output=True, text=True, check=False)
    assert found.returncode == code, found.stderr
    return found.stdout


@pytest.fixture(scope="module")
def vectors(site: Path, table: Path) -> Path:
    """A set of all four, made by command."""
    choices = (
        "node=node.node2vec(edges=edges.tsv, dim=16, epochs=5)",
        "molecule=molecule.morgan",
        "code=code.functions(encoder=text.hashing)",
        "video=video.frames(encoder=image.starter)",
    )
    chosen = [word for choice in choices for word in ("-e", choice)]
    said(site, table.parent, [*EMBED, "run", table.name, "-o", "vectors", "--device", "cpu", *chosen], code=3)
    return table.parent / "vectors"


def test_the_list_names_them_with_their_packages(site: Path, tmp_path: Path) -> None:
    listed: list[dict[str, Any]] = json.loads(said(site, tmp_path, [*EMBED, "list", "--json"]))
    found = {each["name"]: each for each in listed}
    for name, package in (
        ("code.functions", "embed-code 0.1.0"),
        ("molecule.chemberta", "embed-molecule 0.1.0"),
        ("molecule.morgan", "embed-molecule 0.1.0"),
        ("node.node2vec", "embed-graph 0.1.0"),
        ("video.frames", "embed-video 0.1.0"),
    ):
        assert found[name]["provider"] == package
        assert found[name]["kind"] == ("encoding" if name == "molecule.morgan" else "embedder")


def test_a_run_aligns_all_four(site: Path, vectors: Path) -> None:
    shown = json.loads(said(site, vectors.parent, [*EMBED, "show", "vectors", "--json"]))
    statuses = {column["name"]: column["statuses"] for column in shown["columns"]}
    assert statuses == {
        "code_functions": {"invalid": 1, "ok": 2},
        "molecule_morgan": {"invalid": 1, "ok": 2},
        "node_node2vec": {"invalid": 1, "ok": 2},
        "video_frames": {"corrupt": 1, "ok": 2},
    }


def test_a_search_goes_through_each_of_them(site: Path, vectors: Path) -> None:
    queries = (
        ("O=C(O)c1ccccc1O", "molecule", "molecule_morgan"),
        ("Emil", "node", "node_node2vec"),
        ("a function of two that multiplies: times", "text", "code_functions"),
        ("two small striped red engines", "text", "video_frames"),
    )
    commands = [
        ["search", "vectors", q, "--by", by, "--in", column, "-k", "1", "--json"] for q, by, column in queries
    ]
    printed = said(site, vectors.parent, [sys.executable, "-c", SEVERAL, json.dumps(commands)])
    answers = [json.loads(answer) for answer in printed.split("===")[:-1]]
    assert [(answer[0]["id"], answer[0]["column"]) for answer in answers] == [("emil", c) for _, _, c in queries]

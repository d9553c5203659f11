"""What the package promises; run with ``pytest`` where it is installed."""

from __future__ import annotations

import hashlib
import os
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from embed_graph.nodes import Node2Vec
from embed_graph.walks import Graph, read_graph

import embedders
from embedders import BadInput, SetupError, Status, UsageError
from embedders.conformance import contract

EDGES = Path(__file__).parent.parent / "edges.tsv"
SMALL: dict[str, Any] = {"dim": 8, "length": 10, "number": 2, "window": 3}

TestNode2Vec = contract("node.node2vec", edges=str(EDGES), **SMALL)

TOY = [("t", "v", 1), ("v", "x1", 2), ("t", "x1", 1), ("v", "x2", 1), ("v", "x3", 4), ("x2", "x3", 1)]


def graph_of(edges: list[tuple[str, str, float]], folder: Path) -> Graph:
    """The graph with these edges, by way of a file."""
    file = folder / "edges.tsv"
    file.write_text("".join(f"{a}\t{b}\t{weight}\n" for a, b, weight in edges))
    return read_graph(file)


@pytest.mark.parametrize(
    ("previous", "p", "q", "expected"),
    [
        (None, 0.25, 2, {"t": 1, "x1": 2, "x2": 1, "x3": 4}),
        ("t", 1, 1, {"t": 1, "x1": 2, "x2": 1, "x3": 4}),
        ("t", 0.25, 2, {"t": 4, "x1": 2, "x2": 0.5, "x3": 2}),
        ("t", 10, 0.5, {"t": 0.1, "x1": 2, "x2": 2, "x3": 8}),
        ("x2", 2, 4, {"t": 0.25, "x1": 0.5, "x2": 0.5, "x3": 4}),
    ],
)
def test_a_walk_goes_on_as_the_paper_says(
    previous: str | None, p: float, q: float, expected: dict[str, float], tmp_path: Path
) -> None:
    found = graph_of(TOY, tmp_path).chances(previous, "v", p, q)
    assert found == pytest.approx({node: share / sum(expected.values()) for node, share in expected.items()})


def test_walks_take_each_step_as_often_as_its_chance(tmp_path: Path) -> None:
    graph = graph_of(TOY, tmp_path)
    walks = list(graph.walks(p=0.25, q=2, length=50, number=200, seed=0))
    assert len(walks) == 200 * 5
    assert Counter(walk[0] for walk in walks) == dict.fromkeys(graph.neighbours, 200)
    steps = Counter(walk[at : at + 3][2] for walk in walks for at in range(48) if walk[at : at + 2] == ["t", "v"])
    for node, chance in graph.chances("t", "v", 0.25, 2).items():
        assert steps[node] / steps.total() == pytest.approx(chance, abs=0.02)


def communities(folder: Path) -> Path:
    """Two groups of twenty that know each other well, and a few strangers across."""
    draw = random.Random(1)
    pairs = [(a, b) for a in range(40) for b in range(a) if draw.random() < (0.5 if a // 20 == b // 20 else 0.02)]
    file = folder / "two.csv"
    file.write_text("".join(f"{a},{b}\n" for a, b in pairs))
    return file


def barbell(folder: Path) -> Path:
    """Two cliques of ten, joined by one edge."""
    pairs = [(a, b) for a in range(20) for b in range(a) if a // 10 == b // 10] + [(0, 10)]
    file = folder / "barbell.csv"
    file.write_text("".join(f"{a},{b}\n" for a, b in pairs))
    return file


@pytest.mark.parametrize("made", [communities, barbell])
def test_the_nearest_node_is_of_the_own_community(made: Callable[[Path], Path], tmp_path: Path) -> None:
    file = made(tmp_path)
    names = list(read_graph(file).neighbours)
    vectors = embedders.create("node.node2vec", edges=str(file), dim=16, epochs=3).embed(names, device="cpu")
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    similar = unit @ unit.T - 2 * np.eye(len(names))
    half = len(names) // 2
    sides = np.array([int(name) // half for name in names])
    assert (sides[similar.argmax(1)] == sides).all()


def test_training_gives_the_same_bits_in_any_process() -> None:
    code = (
        "import hashlib\nfrom embed_graph.nodes import Node2Vec\n"
        f"found = Node2Vec(edges={str(EDGES)!r}, **{SMALL!r})._trained()\n"
        "print(hashlib.sha256(found.tobytes()).hexdigest())"
    )
    here = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "PYTHONHASHSEED": "7"}
    there = subprocess.run([sys.executable, "-c", code], env=here, capture_output=True, text=True, check=True)
    found = Node2Vec(edges=str(EDGES), **SMALL)._trained()
    assert hashlib.sha256(found.tobytes()).hexdigest() == there.stdout.strip()


def test_what_was_trained_is_kept_and_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMBED_CACHE", str(tmp_path))
    first = Node2Vec(edges=str(EDGES), **SMALL).embed(["Ada"], device="cpu")
    assert len(list(tmp_path.rglob("*.npy"))) == 1
    monkeypatch.setattr(Node2Vec, "_trained", None)
    assert np.array_equal(Node2Vec(edges=str(EDGES), **SMALL).embed(["Ada"], device="cpu"), first)


def test_what_is_kept_and_broken_is_trained_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMBED_CACHE", str(tmp_path))
    first = Node2Vec(edges=str(EDGES), **SMALL).embed(["Ada"], device="cpu")
    (kept,) = tmp_path.rglob("*.npy")
    whole = kept.read_bytes()
    kept.write_bytes(whole[:100])
    assert np.array_equal(Node2Vec(edges=str(EDGES), **SMALL).embed(["Ada"], device="cpu"), first)
    assert kept.read_bytes() == whole


def test_spaces_are_one_only_for_equal_edges_and_options(tmp_path: Path) -> None:
    moved = tmp_path / "moved.tsv"
    moved.write_bytes(EDGES.read_bytes())
    spaces = [
        Node2Vec(edges=str(file), q=q, seed=seed).spec.space
        for file, q, seed in ((EDGES, 1.0, 0), (moved, 1.0, 0), (EDGES, 2.0, 0), (EDGES, 1.0, 1))
    ]
    assert spaces[0] == spaces[1]
    assert len(set(spaces)) == 3


GRAPHML = """<?xml version="1.0" encoding="UTF-8"?>
<graphml xmlns="http://graphml.graphdrawing.org/xmlns">
  <key id="d0" for="node" attr.name="weight" attr.type="double"/>
  <key id="d1" for="edge" attr.name="weight" attr.type="double"/>
  <key id="d2" for="edge" attr.name="since" attr.type="int"/>
  <graph edgedefault="directed">
    <node id="a"><data key="d0">9</data></node><node id="b"/><node id="alone"/><node id="c"/>
    <edge source="a" target="b"><data key="d2">1999</data><data key="d1">2.5</data></edge>
    <edge source="b" target="c"/>
  </graph>
</graphml>"""


def test_graphml_and_tables_hold_the_same_graph(tmp_path: Path) -> None:
    texts = {
        "g.graphml": GRAPHML,
        "g.tsv": "# met at work\na\tb\t2.5\n\nb\tc\n",
        "g.csv": 'source,target,weight\n"a", b ,1\nb,a,2.5\nb,c,1\n',
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
        found = read_graph(tmp_path / name).neighbours
        assert found == {"a": {"b": 2.5}, "b": {"a": 2.5, "c": 1.0}, "c": {"b": 1.0}}, name


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("g.tsv", "a\tb\ta\tb\n", "line 1 has 4 columns"),
        ("g.tsv", "a b\n", "line 1 has 1 columns"),
        ("g.tsv", "a\tb\n a\t\n", "line 2 is 'a' to ''"),
        ("g.csv", "a,b,-1\n", "weight '-1'"),
        ("g.csv", "a,b,much\n", "much"),
        ("g.csv", "a,b,inf\n", "weight 'inf'"),
        ("g.csv", "# nothing\n", "no edge"),
        ("g.graphml", "<graphml><edge source='a'/></graphml>", "target"),
        ("g.graphml", "<graphml><edge", "unclosed token"),
        ("g.graphml", '<!DOCTYPE g [<!ENTITY a "&b;">]><graphml>&a;</graphml>', "document type"),
        ("absent.tsv", None, "No such file"),
    ],
)
def test_a_file_that_is_no_graph_is_refused(name: str, text: str | None, words: str, tmp_path: Path) -> None:
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(SetupError, match=words):
        read_graph(tmp_path / name)


@pytest.mark.parametrize(
    ("raw", "status"),
    [("Zoe", Status.INVALID), (" ", Status.EMPTY), (3, Status.INVALID), (b"\xff", Status.INVALID)],
)
def test_who_is_not_in_the_graph_has_no_vector(raw: object, status: Status) -> None:
    with pytest.raises(BadInput) as caught:
        embedders.create("node.node2vec", edges=str(EDGES), **SMALL).embed([raw], device="cpu")
    assert caught.value.status == status


def test_options_are_checked_before_anything_is_read() -> None:
    with pytest.raises(UsageError, match="edges=FILE"):
        Node2Vec()
    with pytest.raises(UsageError, match="p is 0"):
        Node2Vec(edges="edges.tsv", p=0)
    with pytest.raises(SetupError, match=r"no file 'nowhere\.tsv'"):
        _ = Node2Vec(edges="nowhere.tsv").spec

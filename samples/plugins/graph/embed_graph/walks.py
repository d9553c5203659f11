"""A graph from a file, and node2vec's walks over it.

Paper: node2vec (Grover and Leskovec, arXiv 1607.00653).
"""

from __future__ import annotations

import bisect
import csv
import functools
import itertools
import math
import random
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from xml.parsers import expat

from embedders import SetupError

__all__ = ["Graph", "read_graph"]

REMEMBERED = 1 << 16
"""Steps from one node to the next whose chances are kept: all of them, in a graph of moderate size."""


@dataclass(frozen=True)
class Graph:
    """Nodes by name, each with its neighbours and the weights of the edges; every edge leads both ways."""

    neighbours: Mapping[str, Mapping[str, float]]

    def chances(self, previous: str | None, current: str, p: float, q: float) -> dict[str, float]:
        """How likely a walk that came from ``previous`` goes on from ``current`` to each of its neighbours.

        In proportion to the edge's weight, over ``p`` where it leads back, and over ``q`` where it leads to a node
        that is no neighbour of ``previous``. A walk that begins (None) knows weights alone.
        """
        known = {} if previous is None else self.neighbours[previous]
        biased = dict(self.neighbours[current])
        if previous is not None:
            for node, weight in biased.items():
                biased[node] = weight / (p if node == previous else 1 if node in known else q)
        total = math.fsum(biased.values())
        return {node: weight / total for node, weight in biased.items()}

    def walks(self, *, p: float, q: float, length: int, number: int, seed: int) -> Iterator[list[str]]:
        """``number`` walks of ``length`` nodes from every node, the nodes shuffled anew for each round."""
        draw = random.Random(seed).random  # the one sequence that Python promises to keep

        @functools.lru_cache(REMEMBERED)
        def onward(previous: str | None, current: str) -> tuple[list[str], list[float]]:
            chances = self.chances(previous, current, p, q)
            return list(chances), list(itertools.accumulate(chances.values()))

        for _ in range(number):
            for start in sorted(self.neighbours, key=lambda node: draw()):
                walk = [start]
                for at in range(length - 1):
                    nodes, reach = onward(walk[-2] if at else None, walk[-1])
                    walk.append(nodes[bisect.bisect(reach, draw() * reach[-1])])
                yield walk


def read_graph(path: Path) -> Graph:
    """The graph in a table of edges or in GraphML, told apart by suffix; nodes in the order they are named in.

    A table (``.csv``, else separated by tabs) has two nodes per line and perhaps a weight; ``#`` begins a remark,
    and a first line ``source, target`` names the columns. In GraphML nodes go by their ids, and the weight is the
    data named ``weight``; files that declare entities are not read. Directions are not followed; of an edge that is
    named twice the last weight counts; nodes without edges are left out.

    Raises SetupError for a file that cannot be read, and for a weight that is no positive number.
    """
    neighbours: dict[str, dict[str, float]] = {}
    try:
        rows = _graphml(path.read_bytes()) if path.suffix.lower() == ".graphml" else _table(path)
        for place, source, target, written in rows:
            weight = float(written or 1)
            if not (source and target and 0 < weight < math.inf):
                raise ValueError(f"{place} is {source!r} to {target!r} with the weight {written!r}")
            neighbours.setdefault(source, {})[target] = weight
            neighbours.setdefault(target, {})[source] = weight
    except (OSError, ValueError, KeyError, csv.Error, expat.ExpatError) as error:
        cure = "Two names per line and perhaps a weight above 0, in a .tsv or .csv file; or GraphML"
        raise SetupError(f"The edges in {str(path)!r} cannot be read ({error})", cure) from error
    if not neighbours:
        raise SetupError(f"There is no edge in {str(path)!r}", "A node is known by its edges")
    return Graph(neighbours)


def _table(path: Path) -> Iterator[tuple[str, str, str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, delimiter="," if path.suffix.lower() == ".csv" else "\t")
        for row in reader:
            source, *rest = [value.strip() for value in row] or ["#"]
            if source.startswith("#") or (reader.line_num == 1 and [source, *rest[:1]] == ["source", "target"]):
                continue
            if len(rest) not in (1, 2):
                raise ValueError(f"line {reader.line_num} has {len(row)} columns")
            yield f"line {reader.line_num}", source, rest[0], "".join(rest[1:])


def _graphml(content: bytes) -> Iterable[tuple[str, str, str, str]]:
    edges: list[tuple[str, str, str, list[str]]] = []
    weights = ""
    path: list[tuple[str, str]] = []

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal weights
        tag = name.rpartition(" ")[2]
        path.append((tag, attributes.get("key", "")))
        if tag == "key" and attributes.get("attr.name") == "weight" and attributes.get("for") != "node":
            weights = attributes["id"]
        if tag == "edge":
            edges.append((f"edge {len(edges) + 1}", attributes["source"], attributes["target"], []))

    def text(words: str) -> None:
        if path[-1] == ("data", weights) and path[-2][0] == "edge":
            edges[-1][3].append(words)

    def refuse(*declared: object) -> None:
        raise ValueError("it has a document type of its own, which may hold anything")

    parser = expat.ParserCreate(namespace_separator=" ")
    parser.StartElementHandler, parser.CharacterDataHandler = start, text
    parser.EndElementHandler = lambda name: path.pop()
    parser.StartDoctypeDeclHandler = refuse
    parser.Parse(content, True)
    return [(place, source, target, "".join(weight).strip()) for place, source, target, weight in edges]

"""Exact search beside usearch and faiss, on the same vectors in one run.

::

    uv pip install usearch faiss-cpu
    uv run python -m tests.benchmarks.search 100_000 1_000_000

Seeded unit vectors of 512 dimensions lie in a ``.npy`` file that ours and usearch map; faiss holds a copy. Per
number of rows: the ten nearest to one query and to a hundred, contenders taking turns, after one round that is not
counted. Prints medians and the fastest in milliseconds, how fast one query reads the vectors at best, and the share
of the neighbours that agree with ours, as a Markdown table. A contender that is not installed is named as such.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import numpy as np

from pipelines.vectors.nearest import nearest_rows

DIM, K, QUERIES, ROUNDS, BLOCK = 512, 10, 100, 11, 50_000
Find = Callable[[np.ndarray], np.ndarray]


def unit_rows(rng: np.random.Generator, rows: int) -> np.ndarray:
    vectors = rng.standard_normal((rows, DIM), dtype=np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def write(path: Path, rows: int) -> np.ndarray:
    """Seeded unit vectors in a file, mapped."""
    rng = np.random.default_rng(rows)
    vectors = np.lib.format.open_memmap(path, "w+", np.float32, (rows, DIM))
    for at in range(0, rows, BLOCK):
        vectors[at : at + BLOCK] = unit_rows(rng, min(BLOCK, rows - at))
    vectors.flush()
    return np.load(path, mmap_mode="r")


def ours(vectors: np.ndarray) -> Find:
    return lambda queries: nearest_rows(vectors, queries, K, unit=True)[0]


def with_usearch(vectors: np.ndarray) -> Find:
    from usearch.index import MetricKind, search

    plain = np.asarray(vectors)
    return lambda queries: np.atleast_2d(search(plain, queries, K, MetricKind.IP, exact=True).keys)


def with_faiss(vectors: np.ndarray) -> Find:
    import faiss

    index = faiss.IndexFlatIP(DIM)
    for at in range(0, len(vectors), BLOCK):
        index.add(np.asarray(vectors[at : at + BLOCK]))
    return lambda queries: index.search(queries, K)[1]


CONTENDERS = {"ours": ours, "usearch": with_usearch, "faiss-cpu": with_faiss}


def timed(find: Find, queries: np.ndarray) -> tuple[float, np.ndarray]:
    began = time.perf_counter()
    found = find(queries)
    return 1000 * (time.perf_counter() - began), found


def agreement(found: np.ndarray, expected: np.ndarray) -> float:
    return float(
        np.mean([len(set(a) & set(b)) / K for a, b in zip(found.tolist(), expected.tolist(), strict=True)])
    )


def compare(rows: int, folder: Path) -> None:
    """Print the lines of the table for one number of rows."""
    vectors = write(folder / "vectors.npy", rows)
    finds: dict[str, Find] = {}
    for name, make in CONTENDERS.items():
        try:
            finds[name] = make(vectors)
        except ImportError:
            print(f"| {rows:,} | {name} | not installed | | | | | |")
    queries = unit_rows(np.random.default_rng(1), QUERIES)
    spent: dict[tuple[str, int], list[float]] = {}
    agreed: dict[str, float] = {}
    expected = finds["ours"](queries)
    for turn in range(ROUNDS + 1):
        for count in (1, QUERIES):
            for name, find in finds.items():
                took, found = timed(find, queries[:count])
                if turn:
                    spent.setdefault((name, count), []).append(took)
                agreed[name] = agreement(found, expected[:count])
    for name in finds:
        one, many = spent[name, 1], spent[name, QUERIES]
        version = "" if name == "ours" else f" {metadata.version(name)}"
        speed = vectors.nbytes / min(one) / 1e6
        print(
            f"| {rows:,} | {name}{version} | {statistics.median(one):.1f} | {min(one):.1f} | {speed:.1f} "
            f"| {statistics.median(many):.0f} | {min(many):.0f} | {agreed[name]:.1%} |",
            flush=True,
        )


def main() -> None:
    """Print the table."""
    print("| rows | search | one query, ms | fastest | GB/s | 100 queries, ms | fastest | agree |")
    print("|---|---|---|---|---|---|---|---|")
    for rows in [int(given.replace("_", "")) for given in sys.argv[1:]] or [100_000, 1_000_000]:
        with tempfile.TemporaryDirectory() as folder:
            compare(rows, Path(folder))


if __name__ == "__main__":
    main()

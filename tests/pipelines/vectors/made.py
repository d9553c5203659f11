"""A small vector set made without any embedder: what the tests of reading and writing share."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pipelines.vectors import Cells, ColumnInfo, Schema, Storage, Writer

WORDS = ("bell", "drum", "siren", "wave", "engine")


def column(name: str = "word_toy", dim: int = 3, dtype: str = "float32") -> ColumnInfo:
    return ColumnInfo(name, "word", "toy.letters", "toy", "toy:1", dim, dtype, False, {"weights": {}})


def vector(row: int, dim: int = 3) -> list[float]:
    return [row + place / 10 for place in range(dim)]


def write(out: Path, *, parts: int = 2, finish: bool = True, storage: Storage | None = None) -> Writer:
    """Parts of five rows; the row of "drum" has failed and the row of "wave" is absent."""
    schema = Schema(("word",), (column(), column("word_half", 2, "float16")))
    writer = Writer(out, schema, {"plan": {"parts": [{}] * parts}}, storage)
    for part in range(parts):
        rows = range(part * len(WORDS), (part + 1) * len(WORDS))
        cells = {info.name: _cells(rows, info.dim) for info in schema.columns}
        ids = [f"{part}/{word}" for word in WORDS]
        table = schema.table(ids, {"word": (list(WORDS), ["0" * 64] * 5)}, cells)
        writer.commit(part, table, {"total": 1.0})
    if finish:
        writer.finish()
    return writer


def _cells(rows: range, dim: int) -> Cells:
    vectors = np.array([vector(row, dim) for row in rows], np.float32)
    vectors[[1, 3]] = np.nan
    status = ["ok", "corrupt", "ok", "absent", "ok"]
    error = [None, "TOY_BROKEN: the drum has a hole", None, None, None]
    return Cells(vectors, status, error, [["loud"], [], [], [], []])

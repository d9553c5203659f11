"""Sets of words with vectors that a test chooses, to be held against each other."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipelines import VectorSet
from pipelines.vectors import Cells, ColumnInfo, Schema, Writer
from tests.pipelines.vectors.made import column


@dataclass(frozen=True)
class Row:
    """A record with one field; without a vector it has a status."""

    id: str
    vector: tuple[float, ...] | None = None
    word: str | None = ""
    status: str = "ok"


def write(
    out: Path, rows: Sequence[Row], *columns: ColumnInfo, part_rows: int = 4, run: dict[str, Any] | None = None
) -> VectorSet:
    """A set in parts of ``part_rows``; every column holds the same cells."""
    dim = next((len(row.vector) for row in rows if row.vector is not None), 3)
    schema = Schema(("word",), columns or (column(dim=dim),))
    parts = [rows[start : start + part_rows] for start in range(0, len(rows), part_rows)]
    starts = range(0, len(rows), part_rows)
    plan = [
        {"index": i, "start": start, "rows": len(part)}
        for i, (start, part) in enumerate(zip(starts, parts, strict=True))
    ]
    with Writer.open(out, schema, {"plan": {"parts": plan}, **(run or {})}) as writer:
        for number, part in enumerate(parts):
            words = [row.word for row in part]
            checksums = [None if word is None else hashlib.sha256(word.encode()).hexdigest() for word in words]
            cells = {info.name: _cells(part, info.dim) for info in schema.columns}
            table = schema.table([row.id for row in part], {"word": (words, checksums)}, cells)
            writer.commit(number, table, {})
        writer.finish()
    return VectorSet.open(out)


def _cells(rows: Sequence[Row], dim: int) -> Cells:
    vectors = np.full((len(rows), dim), np.nan, np.float32)
    for place, row in enumerate(rows):
        if row.vector is not None:
            vectors[place] = np.resize(row.vector, dim)
    statuses = ["ok" if row.vector is not None else row.status for row in rows]
    return Cells(vectors, statuses, [None] * len(rows), [[] for _ in rows])

"""A small vector set made without any embedder: what the tests of reading and writing share."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from pipelines.vectors import Cells, ColumnInfo, Schema, Storage, Writer

WORDS = ("bell", "drum", "siren", "wave", "engine")


def column(name: str = "word_toy", dim: int = 3, dtype: str = "float32", **fingerprint: Any) -> ColumnInfo:
    marks = {"weights": {}, **fingerprint}
    return ColumnInfo(name, "word", "toy.letters", "toy", "toy:1", dim, dtype, False, marks)


def vector(row: int, dim: int = 3) -> list[float]:
    return [row + place / 10 for place in range(dim)]


def schema(**fingerprint: Any) -> Schema:
    return Schema(("word",), (column(**fingerprint), column("word_half", 2, "float16")))


def plan(parts: int) -> dict[str, Any]:
    """A plan of parts of five rows."""
    each = [{"index": p, "start": p * 5, "rows": 5, "digest": f"{p:064}"} for p in range(parts)]
    return {"plan": {"rows": parts * 5, "part_rows": 5, "digest": f"{parts:064}", "parts": each}}


def rows(part: int) -> pa.Table:
    """The row of "drum" has failed and the row of "wave" is absent."""
    numbers = range(part * len(WORDS), (part + 1) * len(WORDS))
    cells = {info.name: _cells(numbers, info.dim) for info in schema().columns}
    ids = [f"{part}/{word}" for word in WORDS]
    return schema().table(ids, {"word": (list(WORDS), ["0" * 64] * 5)}, cells)


def write(
    out: Path,
    *,
    parts: int = 2,
    finish: bool = True,
    storage: Storage | None = None,
    only: Sequence[int] | None = None,
    **options: Any,
) -> Writer:
    """Make a set, or go on with it: whatever parts it lacks, or those of ``only``."""
    with Writer.open(out, schema(), {**plan(parts), **options}, storage) as writer:
        for part in range(parts) if only is None else only:
            if part not in writer.commits:
                writer.commit(part, rows(part), {"total": 1.0})
        if finish and only is None:
            writer.finish()
    return writer


def _cells(numbers: range, dim: int) -> Cells:
    vectors = np.array([vector(row, dim) for row in numbers], np.float32)
    vectors[[1, 3]] = np.nan
    status = ["ok", "corrupt", "ok", "absent", "ok"]
    error = [None, "TOY_BROKEN: the drum has a hole", None, None, None]
    return Cells(vectors, status, error, [["loud"], [], [], [], []])

"""Vector sets made of given vectors, without any embedder: what the tests of the evaluator share."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.vectors import Cells, ColumnInfo, Schema, VectorSet, Writer


def made(
    out: Path,
    columns: Mapping[str, Any],
    spaces: Mapping[str, str] | None = None,
    inputs: Mapping[str, Sequence[str]] | None = None,
    fingerprint: Mapping[str, Any] | None = None,
) -> VectorSet:
    """A set with one row for each row of ``columns``: ``<field>_<variant>`` to vectors, NaN where not ok.

    Ids are ``r0``, ``r1``, ...; every column is in the space ``shared`` unless ``spaces`` says otherwise;
    ``inputs`` says per field what was embedded, where that repeats.
    """
    infos, cells, fields = [], {}, {}
    rows = len(next(iter(columns.values())))
    for name, vectors in columns.items():
        stored = np.asarray(vectors, np.float32)
        field, _, variant = name.rpartition("_")
        said = (inputs or {}).get(field, [f"{field} {row}" for row in range(rows)])
        fields[field] = (said, [hashlib.sha256(word.encode()).hexdigest() for word in said])
        space = (spaces or {}).get(name, "shared")
        marks = fingerprint or {"class": f"toy:{variant}", "weights": {}}
        infos.append(
            ColumnInfo(name, field, f"toy.{variant}", "toy", space, stored.shape[1], "float32", False, marks)
        )
        fine = np.isfinite(stored).all(axis=1)
        status = ["ok" if good else "corrupt" for good in fine]
        error = [None if good else "TOY_BROKEN: it has a hole" for good in fine]
        cells[name] = Cells(stored, status, error, [[] for _ in status])
    schema = Schema(tuple(fields), tuple(infos))
    plan = {"parts": [{"index": 0, "start": 0, "rows": rows}]}
    with Writer.open(out, schema, {"plan": plan}) as writer:
        writer.commit(0, schema.table([f"r{row}" for row in range(rows)], fields, cells), {"total": 1.0})
        writer.finish()
    return VectorSet.open(out)

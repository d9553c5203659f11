"""Search a vector set with a text, a picture, a sound: whatever an embedder brings into a column's space.

::

    from pipelines.uses.search import search

    for found in search(VectorSet.open("vectors"), "two red bells", k=3):
        print(found.score, found.id, found.values)

A set that holds only pictures can be searched by text, and the other way round, where one model made both spaces
equal. For vectors that are there already, ``vs["image_clip"].search(vector)`` needs no embedder.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from embedders import BadInput, UsageError
from pipelines.uses.query import Aim, aim
from pipelines.vectors import VectorSet
from pipelines.vectors.nearest import nearest_rows

__all__ = ["Result", "results_of", "search"]


@dataclass(frozen=True)
class Result:
    """A record that was found, by one of its columns."""

    id: str
    score: float
    """Cosine between query and vector, -1 to 1."""
    column: str
    field: str
    row: int
    """The record's place in the set, from 0."""
    values: Mapping[str, str | None]
    """What is stored of all the record's fields: the text, or the path as given."""

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


def search(
    vs: VectorSet,
    query: Any,
    column: str | None = None,
    k: int = 10,
    device: str = "auto",
    by: str | None = None,
) -> list[Result]:
    """The ``k`` records nearest to a query in a column, best first; fewer where the column holds fewer vectors.

    ``query`` is a text, the path of a file, or with ``by`` (a modality's name) encoded bytes or media; how it is
    understood and what is searched without ``column`` is told by :func:`~pipelines.uses.query.aim`. Where that
    are several columns of one space, each gives its own ``k``, column after column: a picture and a caption that
    say the same lie further apart than two captions (the modality gap, arXiv:2203.02053), so that one list of all
    would hold the captions only.

    Raises UsageError for what cannot be compared, for ``k`` below 1, for columns without vectors and for a query
    that cannot be embedded; SetupError for missing weights.
    """
    if k < 1:
        raise UsageError(f"k is {k}; a search returns at least 1 result")
    return results_of(vs, aim(vs, query, column, by), k, device)


def results_of(vs: VectorSet, aimed: Aim, k: int, device: str = "auto") -> list[Result]:
    """Embed an aimed query and look its columns through; see :func:`search`."""
    filled = [column for column in aimed.columns if column.statuses.get("ok")]
    if not filled:
        counts = [
            f"{column.info.name!r} ({', '.join(f'{n:,} {s}' for s, n in column.statuses.items()) or 'no rows'})"
            for column in aimed.columns
        ]
        raise UsageError(f"There is no vector to search in {', '.join(counts)}")
    try:
        vector = aimed.embedder.embed([aimed.query.raw], device=device)
    except BadInput as bad:
        raise UsageError(f"The query {str(aimed.query)!r} is {bad.status} ({bad.code}: {bad})") from bad
    found = []
    for column in filled:
        rows, scores = nearest_rows(column.vectors, vector, k, unit=column.info.normalized)
        found += [(column.info, int(row), float(s)) for row, s in zip(rows[0], scores[0], strict=True)]
    stored = vs.take([row for _, row, _ in found], ["id", *vs.fields]).to_pylist()
    return [
        Result(values.pop("id"), score, info.name, info.field, row, values)
        for (info, row, score), values in zip(found, stored, strict=True)
    ]

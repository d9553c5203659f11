"""What is known of the records from outside: labels, groups, splits, scores; joined to a set's rows by id."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from embedders.errors import UsageError

__all__ = ["Joined", "Truth"]

KINDS = ("label", "group", "split", "score")


@dataclass(frozen=True)
class Truth:
    """One entry per id; each column is absent, or has a value for each id.

    ``label`` is the class of a record; ``group`` what it belongs to (the recording, the picture): rows of one
    group match each other in retrieval and never lie on both sides of a split; ``split`` names train, valid and
    test, or published folds; ``score`` is how similar people find the record's two fields. None and ``""`` mean
    that a value is not known.

    Raises UsageError for an id that occurs twice and columns of another length.
    """

    ids: Sequence[str]
    label: Sequence[Any] | None = None
    group: Sequence[Any] | None = None
    split: Sequence[Any] | None = None
    score: Sequence[Any] | None = None

    def __post_init__(self) -> None:
        if len(set(self.ids)) < len(self.ids):
            (twice, _), *_ = Counter(self.ids).most_common(1)
            raise UsageError(f"The id {twice!r} stands twice in the labels", "Give each record one row")
        for kind in KINDS:
            values = getattr(self, kind)
            if values is not None and len(values) != len(self.ids):
                raise UsageError(f"There are {len(self.ids)} ids and {len(values)} values of {kind!r}")

    def join(self, ids: npt.NDArray[np.str_]) -> Joined:
        """The columns in the order of ``ids``, a set's rows; raises UsageError if none of them is known."""
        row_of = {identifier: row for row, identifier in enumerate(ids.tolist())}
        there = [(row_of[i], place) for place, i in enumerate(self.ids) if i in row_of]
        if not there:
            raise UsageError(
                f"None of the {len(self.ids)} ids of the labels is in the set, which begins with "
                f"{', '.join(map(repr, ids[:3].tolist()))}",
                "Name the column that holds the record's ids: --id-column",
            )
        columns: dict[str, npt.NDArray[Any]] = {}
        for kind in KINDS:
            values = getattr(self, kind)
            if values is None:
                continue
            found: list[Any] = [None] * len(ids)
            for row, place in there:
                found[row] = _value(kind, values[place], self.ids[place])
            columns[kind] = np.array(found, dtype=object)
        listed = np.zeros(len(ids), np.bool_)
        listed[[row for row, _ in there]] = True
        return Joined(columns, listed, len(self.ids) - len(there))


@dataclass(frozen=True)
class Joined:
    """Truth in the order of a set's rows; None where a value is not known."""

    columns: Mapping[str, npt.NDArray[Any]]
    listed: npt.NDArray[np.bool_]
    """Which rows of the set the truth speaks of."""
    strangers: int
    """Ids that are not in the set."""

    def known(self, kind: str) -> npt.NDArray[np.bool_]:
        """Where there is a value of this kind."""
        return np.array([value is not None for value in self.columns[kind]], np.bool_)


def _value(kind: str, value: Any, identifier: str) -> Any:
    if value is None or value == "" or (isinstance(value, float) and math.isnan(value)):
        return None
    if kind != "score":
        return str(value)
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise UsageError(f"The score of {identifier!r} is {value!r}; it must be a finite number, or empty")
    return number

"""What differs between two vector sets: whether a change of weights, library, machine or source matters.

::

    compare.py   the comparison, record by record, and what it says
    rows.py      two sets side by side, in a few bytes per row
    drift.py     how far vectors have moved, and whether their neighbours stay the same

::

    found = compare(VectorSet.open("before"), VectorSet.open("after"))
    found.same, found.added, found.columns["image_clip"].drift
"""

from pipelines.uses.comparison.compare import (
    EQUAL,
    ColumnComparison,
    Comparison,
    Ids,
    Turned,
    changes_of,
    compare,
)
from pipelines.uses.comparison.drift import Drift, deviations
from pipelines.uses.comparison.rows import tables

__all__ = [
    "EQUAL",
    "ColumnComparison",
    "Comparison",
    "Drift",
    "Ids",
    "Turned",
    "changes_of",
    "compare",
    "deviations",
    "tables",
]

"""What an evaluation returns: figures that carry all it takes to judge them, and how sure they are.

A figure without the number of rows behind it, without what chance would give and without an interval says little;
so here every figure has all three.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from embedders.errors import UsageError

__all__ = ["DRAWS", "Figure", "Floats", "Outcome", "bootstrap", "checked", "codes", "similarities", "unit"]

Floats: TypeAlias = npt.NDArray[np.float64]
Codes: TypeAlias = npt.NDArray[np.int64]

DRAWS = 1000
"""Resamples behind an interval: its ends then vary by about a tenth of its width from seed to seed."""

BLOCK = 1 << 22
"""Similarities held at once: 32 MiB of float64, whatever the sizes of the two sides."""


@dataclass(frozen=True)
class Figure:
    """One measured number: its 95 % interval and the value that chance gives, where they are defined."""

    metric: str
    value: float
    chance: float | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Outcome:
    """The figures of one protocol on one column or pair of columns.

    ``n`` counts the rows that were asked about (queries, test rows, pairs), ``against`` those they were held
    against (gallery, training rows, classes; 0 where there is no such side), ``left_out`` rows by reason.
    ``columns`` and ``fingerprints`` are filled in where the vectors came from a vector set.
    """

    protocol: str
    figures: tuple[Figure, ...]
    n: int
    against: int = 0
    left_out: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    seed: int = 0
    columns: tuple[str, ...] = ()
    fingerprints: tuple[str, ...] = ()

    def __getitem__(self, metric: str) -> Figure:
        """The figure of a metric; raises KeyError naming those there are."""
        for figure in self.figures:
            if figure.metric == metric:
                return figure
        raise KeyError(f"{metric!r}; there are {', '.join(figure.metric for figure in self.figures)}")

    def to_json(self) -> dict[str, Any]:
        """Plain JSON; every figure repeats what it needs to be read alone."""
        shared = {
            "n": self.n,
            "against": self.against,
            "seed": self.seed,
            "columns": list(self.columns),
            "fingerprints": list(self.fingerprints),
        }
        figures = [
            {
                "metric": f.metric,
                "value": f.value,
                "chance": f.chance,
                "interval": None if f.low is None else [f.low, f.high],
                **shared,
            }
            for f in self.figures
        ]
        return {
            "protocol": self.protocol,
            **shared,
            "left_out": dict(self.left_out),
            "notes": list(self.notes),
            "figures": figures,
        }


def bootstrap(
    statistic: Callable[[Floats], Any], units: npt.ArrayLike, *, seed: int, draws: int = DRAWS
) -> tuple[Floats, Floats]:
    """The 95 % percentile interval of a statistic under resampling of units with replacement.

    ``statistic`` takes one weight per row (how often the row was drawn) and returns a number or an array;
    ``units`` names each row's unit, and rows of one unit are drawn together: the captions of one picture are one
    observation, not five. Returns the lower and upper ends in the statistic's shape; draws for which it is not
    defined (NaN) do not count. Where every row agrees the interval has no width: a percentile interval cannot see
    what was never drawn.
    """
    unit_of = codes(units)
    size = int(unit_of.max()) + 1
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(draws):
        drawn = np.bincount(rng.integers(size, size=size), minlength=size)
        found.append(np.asarray(statistic(drawn[unit_of].astype(np.float64)), np.float64))
    low, high = np.nanpercentile(np.stack(found), [2.5, 97.5], axis=0)
    return low, high


def codes(names: npt.ArrayLike) -> Codes:
    """Whole numbers from 0 for labels or groups of any kind, in the order of their sorted names."""
    return np.unique(np.asarray(names), return_inverse=True)[1].astype(np.int64).reshape(-1)


def unit(vectors: npt.NDArray[Any]) -> Floats:
    """Vectors at length 1 in float64; a zero vector stays zero, and is as similar to one thing as to another."""
    wide = np.asarray(vectors, np.float64)
    length = np.linalg.norm(wide, axis=-1, keepdims=True)
    found: Floats = np.divide(wide, length, out=np.zeros_like(wide), where=length > 0)
    return found


def similarities(a: Floats, b: Floats, start: int, stop: int) -> npt.NDArray[np.float32]:
    """Cosines of rows ``start`` to ``stop`` of ``a`` with all of ``b``, both at unit length.

    Computed in float64 and rounded to float32, so that equal vectors tie whatever order the sum was taken in.
    """
    found: npt.NDArray[np.float32] = (a[start:stop] @ b.T).astype(np.float32)
    return found


def checked(
    what: str, vectors: npt.NDArray[Any], least: int = 2, **aligned: Sequence[Any] | npt.NDArray[Any]
) -> None:
    """Raise UsageError unless there are enough finite rows and everything ``aligned`` has one value for each."""
    vectors = np.asarray(vectors)
    if vectors.ndim != 2:
        raise UsageError(f"{what} have shape {vectors.shape}; vectors have shape (n, dim)")
    if len(vectors) < least:
        raise UsageError(f"{what}: {len(vectors)} rows; at least {least} are needed")
    if not np.isfinite(vectors).all():
        raise UsageError(f"{what} hold NaN or infinite values", "Take rows whose status is ok: vectors[column.ok]")
    for name, values in aligned.items():
        if len(values) != len(vectors):
            raise UsageError(f"{what}: {len(vectors)} rows and {len(values)} {name}; there is one for each row")

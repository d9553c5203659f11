"""Which rows teach and which are asked: given splits, official folds, or folds made here, never across groups."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from embedders.errors import UsageError
from pipelines.uses.evaluation.figures import codes

__all__ = ["FOLDS", "Fold", "Rows", "at_least_two_classes", "folds", "held_out", "named_folds"]

Rows: TypeAlias = npt.NDArray[np.int64]

FOLDS = 5

ROLES = {"train": "train", "training": "train", "test": "test", "testing": "test"} | dict.fromkeys(
    ("valid", "val", "validation", "dev"), "valid"
)
"""Names of splits that mean a role; any other set of names is a set of folds."""


@dataclass(frozen=True)
class Fold:
    """Row numbers of one division; ``valid`` is empty where none was given."""

    train: Rows
    valid: Rows
    test: Rows


def named_folds(split: npt.ArrayLike, groups: npt.ArrayLike | None = None) -> list[Fold]:
    """Folds from one name per row.

    ``train`` and ``test`` (and perhaps ``valid``, ``val``, ``validation``, ``dev``) are one division. Any other
    names are folds, as data sets publish them: each is the test once, and the others teach.

    Raises UsageError if a group has rows in two splits, if train or test is missing, and for a single fold.
    """
    names = np.asarray(split).astype(str)
    if groups is not None:
        _refuse_leaks(names, np.asarray(groups))
    roles = [ROLES.get(name.lower()) for name in names.tolist()]
    if any(roles):
        strange = sorted({n for n, role in zip(names.tolist(), roles, strict=True) if role is None})
        if strange:
            raise UsageError(
                f"The split {strange[0]!r} stands beside train and test",
                "Use train, valid and test; or fold names alone, each of which is then the test once",
            )
        found = {role: np.flatnonzero(np.array([r == role for r in roles])) for role in ("train", "valid", "test")}
        for role in ("train", "test"):
            if not len(found[role]):
                raise UsageError(f"The splits have no {role!r} rows; there are {', '.join(sorted(set(names)))}")
        return [Fold(found["train"], found["valid"], found["test"])]
    if len(set(names.tolist())) < 2:
        raise UsageError(f"There is one split, {str(names[0])!r}; at least two are needed")
    nothing = np.empty(0, np.int64)
    return [Fold(np.flatnonzero(names != n), nothing, np.flatnonzero(names == n)) for n in np.unique(names)]


def folds(labels: npt.ArrayLike, groups: npt.ArrayLike | None, seed: int) -> list[Fold]:
    """:data:`FOLDS` shuffled folds with about equal shares of every class; rows of one group stay together."""
    nothing = np.empty(0, np.int64)
    return [Fold(train, nothing, test) for train, test in _divide(codes(labels), groups, FOLDS, seed)]


def held_out(labels: npt.ArrayLike, groups: npt.ArrayLike | None, seed: int) -> tuple[Rows, Rows]:
    """A fifth of the rows for validation, divided as :func:`folds` does: (to learn from, to validate on)."""
    return _divide(codes(labels), groups, FOLDS, seed)[0]


def at_least_two_classes(what: str, labels: npt.ArrayLike) -> int:
    """The number of classes; raises UsageError where there is only one."""
    found = np.unique(np.asarray(labels))
    if len(found) < 2:
        raise UsageError(f"{what} hold one class, {str(found[0])!r}; at least two are needed")
    return len(found)


def _divide(labels: Rows, groups: npt.ArrayLike | None, parts: int, seed: int) -> list[tuple[Rows, Rows]]:
    from sklearn.model_selection import StratifiedGroupKFold

    of = np.arange(len(labels)) if groups is None else codes(groups)
    units = len(np.unique(of))
    # scikit-learn refuses more folds than any class has rows
    parts = min(parts, units, int(np.bincount(labels).max()))
    if parts < 2:
        raise UsageError(
            f"{len(labels)} rows in {units} groups cannot be divided into what teaches and what is asked",
            "At least two groups, and a class with two rows, are needed",
        )
    with warnings.catch_warnings():  # a rare class cannot be in every fold: the figures count it as it falls
        warnings.filterwarnings("ignore", "The least populated class", UserWarning)
        divided = StratifiedGroupKFold(parts, shuffle=True, random_state=seed).split(labels, labels, of)
        found = [(np.asarray(train, np.int64), np.asarray(test, np.int64)) for train, test in divided]
    return [(train, test) for train, test in found if len(train) and len(test)]


def _refuse_leaks(names: npt.NDArray[np.str_], groups: npt.NDArray[np.generic]) -> None:
    pairs = np.unique(np.stack([codes(groups), codes(names)]), axis=1)
    first, counts = np.unique(pairs[0], return_counts=True)
    if (counts > 1).any():
        leaking = np.unique(groups)[first[counts > 1][0]]
        where = sorted(set(names[groups == leaking].tolist()))
        raise UsageError(
            f"{int((counts > 1).sum())} groups have rows in two splits, {str(leaking)!r} in {' and '.join(where)}",
            "A group must lie in one split: what was learned from half of it is asked of the other half",
        )

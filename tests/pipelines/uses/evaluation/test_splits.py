"""Which rows teach and which are asked: names of splits, published folds, folds made here."""

from __future__ import annotations

import numpy as np
import pytest

from embedders.errors import UsageError
from pipelines.uses.evaluation.splits import folds, held_out, named_folds


@pytest.mark.parametrize("valid", ["valid", "val", "validation", "dev", "DEV"])
def test_names_of_splits_are_those_in_use(valid: str) -> None:
    (fold,) = named_folds(["train", valid, "Test", "train"])
    assert [fold.train.tolist(), fold.valid.tolist(), fold.test.tolist()] == [[0, 3], [1], [2]]


def test_any_other_names_are_folds_each_of_which_is_the_test_once() -> None:
    found = named_folds(["1", "2", "3", "1"])
    assert [fold.test.tolist() for fold in found] == [[0, 3], [1], [2]]
    assert found[0].train.tolist() == [1, 2]


@pytest.mark.parametrize(
    ("split", "groups", "says"),
    [
        (["train", "test", "test"], ["a", "a", "b"], "'a' in test and train"),
        (["train", "valid", "test"], [7, 7, 8], "'7' in train and valid"),
        (["1", "2", "1"], ["a", "a", "b"], "'a' in 1 and 2"),
        (["train", "train", "valid"], None, "no 'test' rows; there are train, valid"),
        (["test", "test", "test"], None, "no 'train' rows"),
        (["train", "test", "extra"], None, "'extra' stands beside train and test"),
        (["1", "1", "1"], None, "one split, '1'"),
    ],
)
def test_splits_that_prove_nothing_are_refused(split: list[str], groups: list[str] | None, says: str) -> None:
    with pytest.raises(UsageError) as raised:
        named_folds(split, groups)
    assert says in str(raised.value)


def test_made_folds_ask_every_row_once_and_keep_groups_whole() -> None:
    groups = np.arange(20).repeat(3)
    labels = np.arange(20).repeat(3) % 4
    found = folds(labels, groups, seed=0)
    assert len(found) == 5
    assert sorted(np.concatenate([fold.test for fold in found]).tolist()) == list(range(60))
    for fold in found:
        assert not set(groups[fold.train]) & set(groups[fold.test])
        assert np.bincount(labels[fold.test], minlength=4).min() > 0


def test_a_class_rarer_than_folds_does_not_stop_them() -> None:
    assert len(folds([0] * 20 + [1], None, seed=0)) == 5


def test_a_fifth_is_held_out_for_validation() -> None:
    learned, kept = held_out(np.arange(50) % 2, None, seed=0)
    assert (len(learned), len(kept)) == (40, 10)
    assert held_out(np.arange(50) % 2, None, seed=0)[1].tolist() == kept.tolist()


@pytest.mark.parametrize(("labels", "groups"), [([0, 1, 0, 1], [5, 5, 5, 5]), ([0, 1, 2], None)])
def test_what_cannot_be_divided_is_refused(labels: list[int], groups: list[int] | None) -> None:
    with pytest.raises(UsageError, match="cannot be divided"):
        folds(labels, groups, seed=0)

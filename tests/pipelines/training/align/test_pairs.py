"""Which rows take part, what belongs together, and that no group is on two sides."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedders.errors import UsageError
from pipelines.training.align.pairs import Pairs, divide, joined
from pipelines.uses.evaluation import Truth
from tests.pipelines.training.align.worlds import aligned_set, linear, pairs_of
from tests.pipelines.uses.evaluation.sets import made


def test_only_rows_with_both_vectors_take_part_and_the_others_are_counted(tmp_path: Path) -> None:
    x, y = linear(10)
    x[[2, 3]] = np.nan
    y[[3, 4]] = np.nan
    pairs = pairs_of(tmp_path / "set", x, y)
    assert np.array_equal(pairs.x, x[[0, 1, 5, 6, 7, 8, 9]].astype(np.float32))
    assert dict(pairs.left_out) == {"not ok in sound_base": 2, "not ok in photo_anchor": 1}
    assert len(pairs) + sum(pairs.left_out.values()) == pairs.rows == 10


def test_the_anchors_vectors_are_of_unit_length(tmp_path: Path) -> None:
    pairs = pairs_of(tmp_path / "set", *linear(10))
    assert np.allclose(np.linalg.norm(pairs.y, axis=1), 1, atol=1e-6)


def test_rows_with_an_equal_input_on_either_side_are_one_group(tmp_path: Path) -> None:
    inputs = {"sound": ["a", "b", "b", "c"], "photo": ["1", "2", "3", "1"]}
    pairs = pairs_of(tmp_path / "set", *linear(4), inputs=inputs)
    assert pairs.groups.tolist() == [0, 1, 1, 0]


def test_given_groups_join_further_and_rows_without_one_are_left_out(tmp_path: Path) -> None:
    vs = aligned_set(tmp_path / "set", *linear(5))
    truth = Truth([f"r{row}" for row in range(5)], group=["u", "v", "u", None, "w"])
    pairs = Pairs.of(vs, "sound_base", "photo_anchor", truth)
    assert pairs.groups.tolist() == [0, 1, 0, 2]
    assert dict(pairs.left_out) == {"without group": 1}


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=20))
def test_rows_that_share_a_mark_are_joined_and_numbers_have_no_gaps(marks: list[tuple[int, int]]) -> None:
    first, second = (np.unique(side, return_inverse=True)[1] for side in zip(*marks, strict=True))
    groups = joined(first, second)
    for mark in (first, second):
        assert all(len(set(groups[mark == value])) == 1 for value in mark)
    assert sorted(set(groups.tolist())) == list(range(groups.max() + 1))


def test_no_group_lies_in_two_parts_and_the_parts_add_up(tmp_path: Path) -> None:
    inputs = {"sound": [f"s{row // 3}" for row in range(300)]}
    pairs = pairs_of(tmp_path / "set", *linear(300), inputs=inputs)
    parts = divide(pairs, 0)
    groups = [set(pairs.groups[rows].tolist()) for rows in (parts.train, parts.valid, parts.test)]
    assert not groups[0] & groups[1] | groups[0] & groups[2] | groups[1] & groups[2]
    assert sorted([*parts.train, *parts.valid, *parts.test]) == list(range(300))


def test_the_test_part_depends_on_the_seed_alone(tmp_path: Path) -> None:
    pairs = pairs_of(tmp_path / "set", *linear(200))
    first, second, other = divide(pairs, 0, 0), divide(pairs, 0, 1), divide(pairs, 1, 0)
    assert np.array_equal(first.test, second.test)
    assert not np.array_equal(first.valid, second.valid)
    assert not np.array_equal(first.test, other.test)


@pytest.mark.parametrize("units", [1, 5, 40])
def test_too_few_groups_are_refused(tmp_path: Path, units: int) -> None:
    inputs = {"sound": [f"s{row % units}" for row in range(200)]}
    pairs = pairs_of(tmp_path / "set", *linear(200), inputs=inputs)
    with pytest.raises(UsageError, match=f"200 pairs fall into {units} groups"):
        divide(pairs, 0)


def test_repeats_of_an_input_stand_in_a_gallery_once(tmp_path: Path) -> None:
    pairs = pairs_of(tmp_path / "set", *linear(4), inputs={"photo": ["1", "1", "2", "2"]})
    rows = np.array([1, 2, 3])
    assert pairs.distinct(rows, 0).tolist() == [1, 2, 3]
    assert pairs.distinct(rows, 1).tolist() == [1, 2]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (("photo_anchor", "photo_anchor"), "is both"),
        (("photo_twin", "photo_anchor"), "can be compared as they are"),
        (("photo_done", "photo_anchor"), "can be compared as they are"),
        (("photo_failed", "photo_anchor"), "0 of 5 rows remain.*not ok in photo_failed"),
        (("photo_flat", "photo_anchor"), "All 5 vectors of 'photo_flat' are equal"),
        (("photo_anchr", "photo_anchor"), "There is no column"),
    ],
)
def test_what_cannot_be_aligned_is_refused(tmp_path: Path, columns: tuple[str, str], message: str) -> None:
    y = linear(5)[1]
    names = {"anchor": y, "twin": y, "done": y, "failed": y * np.nan, "flat": np.ones((5, 3))}
    spaces = {"anchor": "anchor", "twin": "anchor", "done": "anchor+head:0", "failed": "f", "flat": "g"}
    vs = made(
        tmp_path / "set",
        {f"photo_{name}": vectors for name, vectors in names.items()},
        {f"photo_{name}": space for name, space in spaces.items()},
    )
    with pytest.raises(UsageError, match=message):
        Pairs.of(vs, *columns)

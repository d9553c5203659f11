"""What differs between two sets is found, counted and named, and nothing else is."""

from __future__ import annotations

import json
import os
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embedders import UsageError
from pipelines.uses.comparison import Comparison, Ids, Turned, compare, deviations
from pipelines.uses.comparison import drift as drifting
from tests.pipelines.uses.pairs import Row, write
from tests.pipelines.vectors.made import column

MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
"""Dozens of small sets, each flushed to the disk many times, ask nothing of a real one."""


@pytest.fixture
def where() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        yield Path(folder)


ROWS = [
    Row("a", (1, 0, 0), "apple"),
    Row("b", (0, 1, 0), "bell"),
    Row("c", (0, 0, 1), "cow"),
    Row("d", (1, 1, 0), "drum"),
    Row("e", None, "", "empty"),
]


def between(folder: Path, a: Sequence[Row], b: Sequence[Row], **options: int) -> Comparison:
    return compare(write(folder / "a", a), write(folder / "b", b), **options)


def test_a_set_is_the_same_as_itself_however_it_is_cut_into_parts(where: Path) -> None:
    found = compare(write(where / "a", ROWS), write(where / "b", ROWS, part_rows=2))
    assert found.same
    assert (found.rows, found.common, found.reordered) == ((5, 5), 5, False)
    assert (found.removed, found.added, found.contents) == (Ids(0, ()), Ids(0, ()), {})
    drift = found.columns["word_toy"].drift
    assert drift is not None
    assert (drift.rows, drift.bit_equal, drift.largest, drift.smallest_cosine) == (4, 4, 0, 1)
    assert (drift.asked, drift.neighbours) == (4, 1)


def test_rows_of_one_set_only_are_named_by_id(where: Path) -> None:
    found = between(where, ROWS, [ROWS[0], *ROWS[2:], Row("f", (1, 2, 3)), Row("g", None, None, "absent")])
    assert (found.removed, found.added, found.common) == (Ids(1, ("b",)), Ids(2, ("f", "g")), 4)
    assert not found.reordered
    assert not found.same


def test_of_many_ids_the_first_ten_are_named_and_all_are_counted(where: Path) -> None:
    found = between(where, ROWS, [*ROWS, *(Row(f"{n:02}", (1, 2, 3)) for n in range(23))])
    assert found.added == Ids(23, tuple(f"{n:02}" for n in range(10)))


def test_sets_without_a_common_record_have_everything_removed_and_added(where: Path) -> None:
    found = between(where, ROWS[:2], ROWS[2:])
    assert (found.common, found.removed.count, found.added.count) == (0, 2, 3)
    assert found.columns["word_toy"].drift is None


def test_another_order_is_said_and_moves_no_vector(where: Path) -> None:
    found = between(where, ROWS, ROWS[::-1])
    drift = found.columns["word_toy"].drift
    assert found.reordered
    assert not found.same
    assert drift is not None
    assert drift.bit_equal == 4


def test_changed_content_is_named_by_field_and_its_vectors_are_not_compared(where: Path) -> None:
    changed = [replace(ROWS[0], word="pear", vector=(0.0, 0.0, 9.0)), *ROWS[1:]]
    found = between(where, ROWS, changed)
    drift = found.columns["word_toy"].drift
    assert found.contents == {"word": Ids(1, ("a",))}
    assert drift is not None
    assert (drift.rows, drift.bit_equal) == (3, 3)
    assert not found.same


def test_content_that_neither_set_records_counts_as_unchanged(where: Path) -> None:
    rows = [replace(row, word=None) for row in ROWS]
    assert between(where, rows, rows).same


def test_statuses_that_turned_are_counted_from_and_to(where: Path) -> None:
    broken = Row("a", None, "apple", "corrupt"), replace(ROWS[1], vector=None, status="corrupt")
    mended = Row("e", (1, 1, 1), "")
    found = between(where, ROWS, [*broken, *ROWS[2:4], mended]).columns["word_toy"]
    assert set(found.turned) == {Turned("ok", "corrupt", 2), Turned("empty", "ok", 1)}
    assert not found.same
    assert found.drift is not None
    assert found.drift.rows == 2


def test_columns_of_one_set_only_are_named(where: Path) -> None:
    half, other = column("word_half", dtype="float16"), column("word_other")
    found = compare(write(where / "a", ROWS, column(), half), write(where / "b", ROWS, other, column()))
    assert (found.removed_columns, found.added_columns) == (("word_half",), ("word_other",))
    assert list(found.columns) == ["word_toy"]
    assert found.columns["word_toy"].same
    assert not found.same


def test_fingerprints_are_told_apart_to_the_entry(where: Path) -> None:
    a = write(where / "a", ROWS, column(versions={"torch": "2.11", "numpy": "2"}))
    b = write(where / "b", ROWS, column(versions={"torch": "2.14", "numpy": "2"}))
    found = compare(a, b)
    assert found.columns["word_toy"].changes == ("fingerprint.versions.torch: '2.11' -> '2.14'",)
    assert not found.same


def test_vectors_of_other_dimensions_are_not_compared(where: Path) -> None:
    found = compare(write(where / "a", ROWS, column(dim=3)), write(where / "b", ROWS, column(dim=2)))
    assert found.columns["word_toy"].changes == ("dim: 3 -> 2",)
    assert found.columns["word_toy"].drift is None


@pytest.mark.parametrize(
    ("one", "other", "distance", "cosine"),
    [
        ((3, 4), (3, 4), 0, 1),
        ((3, 0), (0, 4), 5 / 4, 0),
        ((1, 0), (2, 0), 1 / 2, 1),
        ((1, 1), (-1, -1), 2, -1),
        ((0, 0), (0, 0), 0, 1),
        ((0, 0), (0, 7), 1, 0),
        ((3e38, 0), (3e38, 0), 0, 1),
    ],
    ids=["equal", "right angle", "twice as long", "opposite", "both zero", "one zero", "end of float32"],
)
def test_how_far_two_vectors_are_apart(
    one: tuple[float, ...], other: tuple[float, ...], distance: float, cosine: float
) -> None:
    found = deviations(np.array([one], np.float32), np.array([other], np.float32))
    assert (found[0][0], found[1][0]) == pytest.approx((distance, cosine))


def test_the_vector_that_moved_furthest_is_named(where: Path) -> None:
    moved = [replace(ROWS[0], vector=(1, 0.001, 0)), ROWS[1], replace(ROWS[2], vector=(0, 1, 0)), *ROWS[3:]]
    drift = between(where, ROWS, moved).columns["word_toy"].drift
    assert drift is not None
    assert (drift.rows, drift.bit_equal, drift.furthest) == (4, 2, "c")
    assert drift.largest == pytest.approx(2**0.5)
    assert drift.smallest_cosine == pytest.approx(0)
    assert drift.mean_cosine == pytest.approx(3 / 4, abs=1e-5)


@pytest.mark.parametrize(("length", "same"), [(1 + 9e-6, True), (1 + 2e-5, False)])
def test_vectors_are_equal_within_1e_5_and_no_further(where: Path, length: float, same: bool) -> None:
    assert between(where, ROWS, [replace(ROWS[0], vector=(length, 0, 0)), *ROWS[1:]]).same is same


def fan(degrees: Sequence[float]) -> list[Row]:
    angles = np.deg2rad(degrees)
    return [Row(f"{n}", (float(np.cos(angle)), float(np.sin(angle)))) for n, angle in enumerate(angles)]


def test_neighbours_that_stay_are_counted_without_the_row_itself(where: Path) -> None:
    # nearest two before: 0 {1,2}  1 {0,2}  2 {1,0}  3 {4,2}  4 {3,2}; the move takes row 2 to the other end
    found = between(where, fan([0, 10, 25, 70, 81]), fan([0, 10, 100, 70, 81]), k=2)
    drift = found.columns["word_toy"].drift
    assert drift is not None
    # after: 0 {1,3}  1 {0,3}  2 {4,3}  3 {4,2}  4 {3,2}
    assert drift.neighbours == pytest.approx((1 / 2 + 1 / 2 + 0 + 1 + 1) / 5)
    assert drift.asked == 5


def test_a_turned_space_keeps_its_neighbours(where: Path) -> None:
    degrees = [0, 10, 25, 70, 81, 130]
    found = between(where, fan(degrees), fan([d + 90 for d in degrees]), k=3)
    drift = found.columns["word_toy"].drift
    assert drift is not None
    assert drift.neighbours == 1
    assert drift.smallest_cosine == pytest.approx(0, abs=1e-6)


def test_neither_the_sample_nor_the_blocks_decide_what_is_near(
    where: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = np.random.default_rng(3).normal(size=(2, 60, 3))
    rows = [[Row(f"{n}", tuple(map(float, vector))) for n, vector in enumerate(side)] for side in drawn]
    sets = write(where / "a", rows[0]), write(where / "b", rows[1])
    unit = drawn / np.linalg.norm(drawn, axis=2, keepdims=True)
    near = np.argsort(-(unit @ unit.transpose(0, 2, 1)), axis=2)[:, :, 1:6]
    expected = np.mean([len(set(x) & set(y)) / 5 for x, y in zip(near[0].tolist(), near[1].tolist(), strict=True)])
    for block in (1 << 20, 100):
        monkeypatch.setattr(drifting, "BLOCK_BYTES", block)
        found = compare(*sets, k=5).columns["word_toy"].drift
        assert found is not None
        assert found.neighbours == pytest.approx(expected)
    some = [compare(*sets, k=5, sample=20, seed=seed).columns["word_toy"].drift for seed in (0, 0, 1)]
    assert some[0] == some[1] != some[2]
    assert [drift.asked for drift in some if drift is not None] == [20] * 3


@pytest.mark.parametrize(
    ("before", "after", "asked", "share"),
    [
        ([(1, 0), (0, 0), (0, 2)], [(1, 0), (0, 0), (0, 1)], 2, 1),
        ([(1, 0), (0, 1), (0, 2)], [(1, 0), (0, 0), (0, 1)], 2, 1),
        ([(1, 0)], [(0, 1)], 0, None),
        ([(1, 0)] * 9, [(2, 0)] * 9, 9, 1),
    ],
    ids=["zeros before", "zeros after", "alone", "more equal vectors than neighbours"],
)
def test_rows_without_neighbours_to_speak_of(
    where: Path,
    before: list[tuple[float, ...]],
    after: list[tuple[float, ...]],
    asked: int,
    share: float | None,
) -> None:
    sides = [[Row(f"{n}", vector) for n, vector in enumerate(side)] for side in (before, after)]
    drift = between(where, *sides, k=3).columns["word_toy"].drift
    assert drift is not None
    assert (drift.asked, drift.neighbours) == (asked, share)


@pytest.mark.parametrize("options", [{"k": 0}, {"sample": -1}])
def test_numbers_that_make_no_sense_are_refused(where: Path, options: dict[str, int]) -> None:
    with pytest.raises(UsageError, match="must be at least"):
        between(where, ROWS, ROWS, **options)


def test_without_a_sample_no_neighbours_are_looked_for(where: Path) -> None:
    drift = between(where, ROWS, ROWS, sample=0).columns["word_toy"].drift
    assert drift is not None
    assert (drift.asked, drift.neighbours) == (0, None)


def test_it_can_be_written_as_json(where: Path) -> None:
    found = json.loads(json.dumps(between(where, ROWS, ROWS[1:]).to_json()))
    assert (found["same"], found["removed"]) == (False, {"count": 1, "first": ["a"]})
    assert found["columns"]["word_toy"]["drift"]["bit_equal"] == 3


IDS = st.text("ab\0\u00e9/", min_size=1, max_size=3)
RECORD = st.builds(
    lambda word, ok: Row("", (float(len(word) + 1), 0, 1) if ok else None, word, "corrupt"),
    st.sampled_from(["", "x", "xy"]),
    st.booleans(),
)
RECORDS = st.dictionaries(IDS, RECORD, min_size=1, max_size=8).map(
    lambda found: [replace(row, id=name) for name, row in found.items()]
)


@given(RECORDS, RECORDS)
@settings(max_examples=25, deadline=None)
def test_every_record_is_accounted_for(a: list[Row], b: list[Row]) -> None:
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        found = between(Path(folder), a, b)
    old, new = {row.id: row for row in a}, {row.id: row for row in b}
    both = [name for name in old if name in new]
    assert found.removed == Ids(len(old) - len(both), tuple(name for name in old if name not in new))
    assert found.added == Ids(len(new) - len(both), tuple(name for name in new if name not in old))
    assert found.common == len(both)
    assert found.reordered is (both != [name for name in new if name in old])
    changed = tuple(name for name in both if old[name].word != new[name].word)
    assert found.contents == ({"word": Ids(len(changed), changed)} if changed else {})
    ok = [tuple("corrupt" if side[name].vector is None else "ok" for side in (old, new)) for name in both]
    turned = Counter(pair for pair in ok if pair[0] != pair[1])
    assert {(t.before, t.after): t.rows for t in found.columns["word_toy"].turned} == turned
    assert found.same is (a == b)

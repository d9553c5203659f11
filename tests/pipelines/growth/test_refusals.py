"""What is no growth is refused, with what would be one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from embedders import Limits, RefusedError
from pipelines import VectorSet
from tests.pipelines.growth.sets import records, run, stamps, stop_after
from tests.toy import Letters, Unit

SOURCE = records(a="bell", b="drum", c="wave")
MORE = records(a="bell", b="drum", c="wave", d="star")


@pytest.fixture
def out(where: Path) -> Path:
    run(SOURCE, where / "out")
    return where / "out"


UPDATE = r"\. --update \(grow=\"update\"\) computes what is new and keeps the rest"

CASES: dict[str, tuple[list[dict[str, Any]], list[Letters], dict[str, Any], str, bool]] = {
    "REC-25 another order": (list(reversed(SOURCE)), [Letters()], {}, "plan.digest: ", True),
    "REC-26 more records": (MORE, [Letters()], {}, "plan.rows: 3 -> 4", True),
    "other parts": (SOURCE, [Letters()], {"part_rows": 3}, "plan.part_rows: 2 -> 3", True),
    "PRO-14 more records and a column": (MORE, [Letters(), Unit()], {}, "plan.rows: 3 -> 4", False),
    "PRO-14 limits": (SOURCE, [Letters()], {"limits": Limits(characters=7)}, "limits.characters: ", False),
    "PRO-14 limits and a column": (SOURCE, [Unit()], {"limits": Limits(characters=7)}, "limits.characters", False),
    "PRO-14 batch size": (SOURCE, [Letters()], {"batch_size": 7}, "batch_size: none -> 7", False),
    "PRO-14 weights": (SOURCE, [Letters(weights="random:1")], {}, "fingerprint.weights", False),
    "PRO-14 weights, updating": (MORE, [Letters(scale=2.0)], {"grow": "update"}, "scale: 1.0 -> 2.0", False),
    "PRO-14 weights, retrying": (SOURCE, [Letters(scale=2.0)], {"grow": "retry_failed"}, "scale: 1.0 ", False),
    "PRO-14 an altered column beside a new one": (SOURCE, [Letters(scale=2.0), Unit()], {}, "scale: ", False),
}


@pytest.mark.parametrize(("source", "embedders", "options", "says", "update"), CASES.values(), ids=CASES)
def test_another_run_is_refused_and_nothing_is_written(
    out: Path, source: Any, embedders: list[Letters], options: dict[str, Any], says: str, update: bool
) -> None:
    before = stamps(out)
    with pytest.raises(RefusedError, match="Another run stands") as refused:
        run(source, out, *embedders, **options)
    assert says in str(refused.value)
    assert ("--update" in refused.value.cure) is update
    assert stamps(out) == before


def test_the_cure_is_a_whole_sentence(out: Path) -> None:
    with pytest.raises(RefusedError, match=UPDATE):
        run(MORE, out)


def test_PRO_15_threads_and_workers_may_differ(out: Path) -> None:
    before = stamps(out)
    run(SOURCE, out, threads=3)
    assert stamps(out) == before


def test_a_column_cannot_be_added_to_an_unfinished_set(where: Path) -> None:
    run(SOURCE, where / "out", stop=stop_after(1))
    before = stamps(where / "out")
    for embedders in ([Unit()], [Letters(), Unit()]):
        with pytest.raises(RefusedError, match="Another run stands"):
            run(SOURCE, where / "out", *embedders)
    assert stamps(where / "out") == before


def test_a_growth_towards_other_columns_is_not_given_up_unasked(out: Path) -> None:
    run(SOURCE, out, Unit(), stop=stop_after(1))
    before = stamps(out)
    with pytest.raises(RefusedError, match="Another growth was begun") as refused:
        run(MORE, out, grow="update")
    assert "columns.word_unit" in str(refused.value)
    assert stamps(out) == before
    assert len(VectorSet.open(out)) == 3


def test_an_update_towards_an_older_state_of_the_source_is_given_up(out: Path) -> None:
    run(MORE, out, grow="update", stop=stop_after(1))
    progress = run([*MORE, {"id": "e", "word": "ball"}], out, grow="update")
    assert progress.notes[0].startswith("Gave up a growth that was begun before")
    assert len(VectorSet.open(out)) == 5


def test_a_folder_of_something_else_is_left_alone(out: Path) -> None:
    (out / "next").mkdir()
    (out / "next/photo.jpg").write_bytes(b"mine")
    with pytest.raises(RefusedError, match="holds other files"):
        run(MORE, out, grow="update")
    assert (out / "next/photo.jpg").read_bytes() == b"mine"
    assert len(VectorSet.open(out)) == 3

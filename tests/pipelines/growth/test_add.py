"""A column is added without touching the others."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from embedders import RefusedError
from pipelines import Pipeline, VectorSet
from pipelines.vectors import verify
from tests.pipelines.growth.sets import bits, counts, forwarded, records, run, stamps, statuses, stop_after
from tests.toy import Letters, Unit

SOURCE = records(a="bell", b="drum", c="!bad", d=None, e="")


@pytest.fixture
def out(where: Path) -> Path:
    run(SOURCE, where / "out")
    return where / "out"


@pytest.mark.parametrize("beside", [True, False], ids=["asked for", "not asked for"])
def test_adding_a_column_computes_it_and_nothing_else(out: Path, where: Path, beside: bool) -> None:
    before = bits(out, "word_letters")
    toy, unit = Letters(), Unit()
    assert counts(run(SOURCE, out, *[toy] * beside, unit)) == (4, 4)
    assert (toy.batches, forwarded(unit)) == ([], ["bell", "drum"])
    assert bits(out, "word_letters") == before
    run(SOURCE, where / "fresh", Letters(), Unit())
    assert (out / "manifest.json").read_bytes() == (where / "fresh/manifest.json").read_bytes()
    assert verify(out) == []


@pytest.mark.parametrize("embedders", [[Letters()], [Unit()], [Unit(), Letters()], [Letters(), Unit()]])
def test_PRO_16_columns_that_are_there_may_be_asked_for_in_any_choice(
    where: Path, embedders: list[Letters]
) -> None:
    run(SOURCE, where / "out", Letters(), Unit())
    before = stamps(where / "out")
    progress = run(SOURCE, where / "out", *embedders)
    assert stamps(where / "out") == before
    assert progress.cells_done == progress.cells_before == progress.cells == 10
    assert progress.cells_failed == 4
    assert all(embedder.batches == [] for embedder in embedders)


def test_another_field_of_a_table_is_added(where: Path) -> None:
    table, out = where / "t.csv", where / "out"
    table.write_text("id,word,other,price\na,bell,drum,1\nb,wave,,2\n")
    first, second = (Pipeline({field: "toy"}, device="cpu", part_rows=1) for field in ("word", "other"))
    first.run(table, out)
    before = bits(out, "word_letters")
    found = second.run(table, out)
    assert list(found) == ["word_letters", "other_letters"]
    assert statuses(out, "other_letters") == {"a": "ok", "b": "absent"}
    assert bits(out, "word_letters") == before
    files = stamps(out)
    first.run(table, out)
    second.run(table, out)
    assert stamps(out, without=["cache"]) == files


def test_a_file_that_changed_in_between_is_not_put_beside_its_old_vector(where: Path) -> None:
    source, out = where / "files", where / "out"
    source.mkdir()
    for word in ("bell", "drum", "wave"):
        (source / f"{word}.toy").write_text(word)
    run(source, out, field="toy")
    (source / "drum.toy").write_text("star")
    (source / "wave.toy").unlink()
    (source / "wave.toy").mkdir()  # a folder is passed over by the source, and the plan differs
    with pytest.raises(RefusedError, match="--update"):
        run(source, out, field="toy")
    (source / "wave.toy").rmdir()
    (source / "wave.toy").write_text("wave")
    run(source, out, Unit(), field="toy")
    assert statuses(out, "toy_letters") == {"bell": "ok", "drum": "ok", "wave": "ok"}
    assert statuses(out, "toy_unit") == {"bell": "ok", "drum": "changed", "wave": "ok"}
    assert np.isnan(VectorSet.open(out)["toy_unit"].vectors[1]).all()
    run(source, out, Unit(), Letters(), field="toy", grow="update")
    run(source, where / "fresh", Letters(), Unit(), field="toy")
    assert (out / "manifest.json").read_bytes() == (where / "fresh/manifest.json").read_bytes()


def test_changed_is_never_kept_though_the_old_content_came_back(where: Path) -> None:
    source, out = where / "files", where / "out"
    source.mkdir()
    file = source / "a.toy"
    file.write_text("bell")
    run(source, out, field="toy")
    file.write_text("drum")
    run(source, out, Unit(), field="toy")
    file.write_text("bell")
    assert counts(run(source, out, Letters(), Unit(), field="toy", grow="update")) == (1, 1)
    assert statuses(out, "toy_unit") == {"a": "ok"}


def test_a_stopped_addition_goes_on_and_the_set_is_readable_meanwhile(out: Path) -> None:
    assert run(SOURCE, out, Unit(), stop=stop_after(2)).stopped
    assert list(VectorSet.open(out)) == ["word_letters"]
    assert [(found.file, found.kind) for found in verify(out)] == [("next", "leftover")]
    run(SOURCE, out)  # the same run as ever: nothing to do
    progress = run(SOURCE, out, Unit())
    assert "Went on with a growth that was stopped: 2 of 3 parts were there" in progress.notes[0]
    assert (progress.cells_before, progress.cells_done) == (8, 10)
    assert list(VectorSet.open(out)) == ["word_letters", "word_unit"]


def test_a_damaged_set_is_repaired_before_a_column_is_added(out: Path) -> None:
    part = out / "data/part-000001.parquet"
    part.write_bytes(part.read_bytes()[:-1])
    for embedders in ([Unit()], [Letters(), Unit()]):
        with pytest.raises(RefusedError, match=r"not whole.*part-000001"):
            run(SOURCE, out, *embedders)
    run(SOURCE, out)
    run(SOURCE, out, Unit())
    assert verify(out) == []

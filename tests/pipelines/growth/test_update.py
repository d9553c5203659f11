"""An updated set is the one that a run from the start makes, and only what is new is computed."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from embedders import Limits, RefusedError, TooManyFailures
from pipelines import Pipeline, VectorSet
from pipelines.growth import held
from pipelines.vectors import verify
from tests.pipelines.growth.sets import bits, counts, forwarded, records, run, statuses, stop_after
from tests.toy import Letters, Unit


class Counting(Letters):
    """No two of its vectors are the same."""

    seen = 0

    def _vector(self, word: str) -> list[float]:
        self.seen += 1
        return [float(self.seen)] * 3


WORDS = st.sampled_from(["bell", "drum", "BELL", "siren", "", "!bad", "!nan", "wonderfully", None])
STATES = st.dictionaries(st.sampled_from("abcdefgh"), st.tuples(WORDS, WORDS), min_size=1).flatmap(
    lambda state: st.permutations([{"id": name, "x": x, "y": y} for name, (x, y) in state.items()])
)


@settings(max_examples=25, deadline=None)
@given(before=STATES, after=STATES, rows=st.integers(1, 4))
def test_REC_26_an_update_is_a_fresh_run_that_computes_new_contents_alone(
    before: list[dict[str, Any]], after: list[dict[str, Any]], rows: int
) -> None:
    def pipeline(part_rows: int) -> Pipeline:
        choice: dict[str, Any] = {"x": ["toy.letters", "toy.unit"], "y": "toy"}
        return Pipeline(choice, part_rows=part_rows, max_failures="any", device="cpu", threads=1)

    for state in (before, after):  # a field that no record has is none
        state[:] = [{"id": "_", "x": "bell", "y": "bell"}, *state]
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as name:
        out, fresh = Path(name, "out"), Path(name, "fresh")
        pipeline(3).run(before, out)
        progress = pipeline(rows).plan(after).run(out, grow="update")
        pipeline(rows).run(after, fresh)
        # the manifest holds the SHA-256 of all rows: ids, values, statuses, errors, flags, vectors
        assert (out / "manifest.json").read_bytes() == (fresh / "manifest.json").read_bytes()
        assert not (out / "next").exists()
        assert verify(out) == []
        assert progress.cells_done == progress.cells
        assert progress.cells_failed == VectorSet.open(fresh).failures().num_rows
    kept = computed = 0
    for field, columns in (("x", 2), ("y", 1)):
        old = {record[field] for record in before}
        found = [record[field] for record in after if record[field] is not None]
        computed += columns * sum(word not in old for word in found)
        kept += columns * sum(word in old for word in found)
    assert counts(progress) == (kept, computed)


def test_files_are_known_by_content_wherever_they_lie(where: Path) -> None:
    source, out = where / "files", where / "out"
    source.mkdir()
    for word in ("bell", "drum", "siren"):
        (source / f"{word}.toy").write_text(word)
    run(source, out, field="toy")
    (source / "bell.toy").rename(source / "zebra.toy")
    (source / "drum.toy").write_text("ball")
    toy = Letters()
    assert counts(run(source, out, toy, field="toy", grow="update")) == (2, 1)
    assert forwarded(toy) == ["ball"]
    found = VectorSet.open(out)
    assert found.to_arrow(["id", "toy"]).to_pylist() == [
        {"id": name, "toy": f"{name}.toy"} for name in ("drum", "siren", "zebra")
    ]
    np.testing.assert_array_equal(found["toy_letters"].vectors, [[4, 1, 2], [5, 2, 19], [4, 1, 2]])


def test_what_could_not_be_read_is_looked_at_again(where: Path) -> None:
    (where / "table.jsonl").write_text('{"id": "a", "path": "a.txt"}\n{"id": "b", "path": "b.txt"}\n')
    (where / "a.txt").write_text("bell")
    pipeline = Pipeline({"path": "tests.toy:Filed"}, device="cpu")
    pipeline.run(where / "table.jsonl", where / "out")
    assert statuses(where / "out", "path_filed") == {"a": "ok", "b": "not_found"}
    (where / "b.txt").write_text("drum")
    (where / "a.txt").unlink()
    pipeline.run(where / "table.jsonl", where / "out", grow="update")
    assert statuses(where / "out", "path_filed") == {"a": "not_found", "b": "ok"}


def test_failed_cells_are_kept_with_their_content_unless_limits_changed(where: Path) -> None:
    out, source = where / "out", records(a="bell", b="engine", c="!bad")
    run(source, out, limits=Limits(characters=5))
    assert statuses(out, "word_letters") == {"a": "ok", "b": "limit", "c": "invalid"}
    assert counts(run(source, out, limits=Limits(characters=5), grow="update")) == (3, 0)
    assert counts(run(source, out, limits=Limits(characters=9), grow="update")) == (1, 2)
    assert statuses(out, "word_letters") == {"a": "ok", "b": "ok", "c": "invalid"}
    assert json.loads((out / "run.json").read_text())["limits"]["characters"] == 9


def test_a_field_that_changed_costs_the_others_nothing(where: Path) -> None:
    first = [{"id": "a", "x": "bell", "y": "drum"}, {"id": "b", "x": "wave", "y": "star"}]
    then = [first[0], {**first[1], "y": "ball"}]
    x, y = Letters(), Unit()
    Pipeline({"x": "toy.letters", "y": "toy.unit"}, device="cpu").run(first, where / "out")
    Pipeline({"x": x, "y": y}, device="cpu").run(then, where / "out", grow="update")
    assert (forwarded(x), forwarded(y)) == ([], ["ball"])


def test_an_update_may_bring_columns_along(where: Path) -> None:
    out = where / "out"
    run(records(a="bell", b="drum"), out)
    toy, unit = Letters(), Unit()
    assert counts(run(records(b="drum", c="wave"), out, unit, toy, grow="update")) == (1, 3)
    assert (forwarded(toy), forwarded(unit)) == (["wave"], ["drum", "wave"])
    assert list(VectorSet.open(out)) == ["word_letters", "word_unit"]


def test_without_a_set_an_update_makes_it_and_goes_on_with_it(where: Path) -> None:
    source = records(a="bell", b="drum", c="wave")
    assert run(source, where / "out", stop=stop_after(1), grow="update").stopped
    assert not (where / "out/next").exists()
    progress = run(source, where / "out", grow="update")
    assert (progress.cells_before, progress.cells_done) == (2, 3)


def test_an_unfinished_set_gives_what_was_committed(where: Path) -> None:
    out = where / "out"
    assert run(records(a="bell", b="drum", c="wave"), out, stop=stop_after(1)).stopped
    assert counts(run(records(b="drum", c="wave", d="star"), out, grow="update")) == (1, 2)
    assert statuses(out, "word_letters") == {"b": "ok", "c": "ok", "d": "ok"}


def test_of_a_damaged_set_what_is_good_is_kept(where: Path) -> None:
    out, source = where / "out", records(a="bell", b="drum", c="wave")
    run(source, out)
    part = out / "data/part-000000.parquet"
    part.write_bytes(part.read_bytes()[:-1] + b"?")
    assert counts(run(source, out, grow="update")) == (1, 2)
    assert verify(out) == []


def test_keys_that_collide_lead_to_the_right_rows(where: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(held, "hash", lambda name: 7, raising=False)
    run(records(a="bell", b="drum", c="wave"), where / "out")
    assert counts(run(records(c="bell", a="drum", b="star"), where / "out", grow="update")) == (2, 1)
    found = VectorSet.open(where / "out")
    np.testing.assert_array_equal(found["word_letters"].vectors, [[4, 1, 2], [4, 1, 4], [4, 1, 19]])


def test_a_record_keeps_its_own_vector_among_equal_contents(where: Path) -> None:
    source, out = records(a="blank", b="blank", c="blank"), where / "out"
    run(source, out, Counting())
    before = bits(out, "word_counting")
    run(source, out, Counting(), grow="update")
    assert bits(out, "word_counting") == before


def test_a_source_that_fails_as_a_whole_leaves_the_set_alone(where: Path) -> None:
    out = where / "out"
    run(records(a="bell"), out)
    before = (out / "manifest.json").read_bytes()
    with pytest.raises(TooManyFailures):
        run([{"id": f"{n}", "word": f"!nan{' ' * n}"} for n in range(200)], out, grow="update", max_failures=None)
    assert (out / "manifest.json").read_bytes() == before
    assert len(VectorSet.open(out)) == 1
    assert not [finding for finding in verify(out) if finding.kind == "damaged"]


def test_other_embedders_cannot_update_a_set(where: Path) -> None:
    run(records(a="bell"), where / "out", Letters(), Unit())
    for embedders in ([Letters(scale=2.0), Unit()], [Letters()]):
        with pytest.raises(RefusedError, match="Another run stands"):
            run(records(a="bell", b="drum"), where / "out", *embedders, grow="update")
    assert not (where / "out/next").exists()

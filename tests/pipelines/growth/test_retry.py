"""Failed cells are computed again, and no other."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from embedders import Limits, RefusedError, UsageError
from pipelines import Pipeline, VectorSet
from tests.pipelines.engines.poison import Poison
from tests.pipelines.growth.sets import Moody, bits, counts, forwarded, records, run, statuses, stop_after
from tests.toy import Letters, Unit


def test_a_repaired_file_is_embedded_and_nothing_else_is_read(where: Path) -> None:
    source, out = where / "files", where / "out"
    source.mkdir()
    for name, word in {"a": "bell", "b": "!bad", "c": "wave", "d": "!nan"}.items():
        (source / f"{name}.toy").write_text(word)
    run(source, out, field="toy")
    before = VectorSet.open(out).to_arrow().to_pylist()
    (source / "b.toy").write_text("drum")
    (source / "c.toy").write_text("otherwise")  # what was well is left alone: an update would see it
    toy = Letters()
    assert counts(run(source, out, toy, field="toy", grow="retry_failed")) == (2, 2)
    assert forwarded(toy) == ["!nan", "drum"]
    after = VectorSet.open(out).to_arrow().to_pylist()
    assert statuses(out, "toy_letters") == {"a": "ok", "b": "ok", "c": "ok", "d": "nonfinite"}
    assert [after[0], after[2]] == [before[0], before[2]]
    assert after[1]["toy_letters"] == [4, 1, 4]


def test_what_one_embedder_refused_costs_the_other_nothing(where: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, out = records(a="bell", b="drum"), where / "out"
    monkeypatch.setattr(Moody, "disliked", frozenset({"drum"}))
    run(source, out, Letters(), Moody())
    before = bits(out, "word_letters")
    monkeypatch.setattr(Moody, "disliked", frozenset())
    moody = Moody()
    assert counts(run(source, out, Letters(), moody, grow="retry_failed")) == (3, 1)
    assert forwarded(moody) == ["drum"]
    assert statuses(out, "word_moody") == {"a": "ok", "b": "ok"}
    assert bits(out, "word_letters") == before


def test_a_record_is_never_made_of_two_contents(where: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, out = where / "files", where / "out"
    source.mkdir()
    (source / "a.toy").write_text("drum")
    monkeypatch.setattr(Moody, "disliked", frozenset({"drum"}))
    run(source, out, Letters(), Moody(), field="toy")
    (source / "a.toy").write_text("engine")
    assert counts(run(source, out, Letters(), Moody(), field="toy", grow="retry_failed")) == (0, 2)
    row = VectorSet.open(out).to_arrow().to_pylist()[0]
    assert row["toy_letters"] == row["toy_moody"] == [6, 3, 5]
    assert row["toy_sha256"] == hashlib.sha256(b"engine").hexdigest()


def test_a_retry_may_have_other_limits_and_they_are_recorded(where: Path) -> None:
    source, out = records(a="bell", b="engine"), where / "out"
    run(source, out, limits=Limits(characters=4))
    assert counts(run(source, out, grow="retry_failed")) == (1, 1)
    assert statuses(out, "word_letters") == {"a": "ok", "b": "ok"}
    assert json.loads((out / "run.json").read_text())["limits"]["characters"] == Limits().characters


def test_a_stopped_retry_goes_on(where: Path) -> None:
    source, out = records(a="!bad", b="bell", c="!bad"), where / "out"
    run(source, out)
    before = (out / "manifest.json").read_bytes()
    assert run(source, out, grow="retry_failed", stop=stop_after(1)).stopped
    assert (out / "manifest.json").read_bytes() == before
    assert counts(run(source, out, grow="retry_failed")) == (0, 1)
    # an update is not what was stopped: what is committed there was made by another rule
    run(source, out, grow="retry_failed", stop=stop_after(1))
    progress = run(source, out, grow="update")
    assert "Gave up a growth" in progress.notes[0]
    assert counts(progress) == (3, 0)


def test_a_crashed_record_has_failed(where: Path) -> None:
    source, out = where / "files", where / "out"
    source.mkdir()
    for name, word in {"a": "bell", "b": "!exit"}.items():
        (source / f"{name}.toy").write_text(word)
    pipeline = Pipeline({"toy": Poison()}, device="cpu", threads=1, workers=1)
    pipeline.run(source, out)
    assert statuses(out, "toy_poison") == {"a": "ok", "b": "crashed"}
    (source / "b.toy").write_text("drum")
    pipeline.run(source, out, grow="retry_failed")
    assert statuses(out, "toy_poison") == {"a": "ok", "b": "ok"}


def test_there_must_be_a_finished_set_of_the_same_run(where: Path) -> None:
    source, out = records(a="bell", b="!bad", c="!bad"), where / "out"
    with pytest.raises(UsageError, match="no vector set"):
        run(source, out, grow="retry_failed")
    assert not out.exists()
    run(source, out, stop=stop_after(1))
    with pytest.raises(RefusedError, match="has not finished"):
        run(source, out, grow="retry_failed")
    run(source, out)
    for other, embedders in ((records(a="bell"), [Letters()]), (source, [Letters(), Unit()]), (source, [Unit()])):
        with pytest.raises(RefusedError, match="Another run stands"):
            run(other, out, *embedders, grow="retry_failed")

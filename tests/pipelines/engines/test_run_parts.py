"""Parts in, commits out: what is there is skipped, and what fails too often ends the run."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from embedders import ContractError, SetupError, StorageError, TooManyFailures, UsageError
from pipelines import Record, VectorSet
from pipelines.embedding import Embedded, columns_for
from pipelines.engines import LocalEngine, Progress, Settings, described, make_engines, run_parts
from pipelines.records import Plan, Source, make_plan, open_source
from pipelines.vectors import ColumnInfo, Schema, Writer
from tests.pipelines.engines.test_kills import files

Observe = Callable[[Progress], None]


def engine(embedder: str = "toy.letters", **settings: Any) -> LocalEngine:
    given = {"device": "cpu", "threads": 1, **settings}
    return LocalEngine(columns_for(["word"], {"word": embedder}), Settings(**given))


@dataclass
class Run:
    """One folder and one source, run as often as a test wants."""

    out: Path
    words: Sequence[Any]
    rows: int = 2
    engines: list[Any] = field(default_factory=lambda: [engine()])
    dtype: str = "float32"

    def __post_init__(self) -> None:
        self.source: Source = open_source([{"word": word} for word in self.words], suffixes={})
        self.plan: Plan = make_plan(self.source, self.rows)

    def __call__(self, observe: Observe = lambda progress: None, **options: Any) -> Progress:
        infos = [replace(info, dtype=self.dtype) for info in described(self.engines)]
        with Writer.open(self.out, Schema(("word",), tuple(infos)), {"plan": self.plan.to_json()}) as writer:
            return run_parts(self.plan, self.source, self.engines, writer, observe, **options)

    @property
    def committed(self) -> list[str]:
        return sorted(path.name for path in (self.out / "commits").glob("*.json"))


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., Run]:
    return lambda *given, **options: Run(tmp_path / options.pop("name", "out"), *given, **options)


def test_parts_that_are_committed_are_not_embedded_again(run: Callable[..., Run]) -> None:
    class Recording(LocalEngine):
        seen: list[str] = []

        def embed(self, records: Sequence[Record], observe: Any = None) -> Embedded:
            self.seen.extend(record.fields["word"] for record in records)
            return super().embed(records, observe)

    again = run(["bell", "", "drum", "!bad", "wave"])
    again.engines = [Recording(columns_for(["word"], {"word": "toy"}), Settings(device="cpu", threads=1))]
    first = again(stop=iter([False, True]).__next__)
    assert first.stopped
    assert (first.parts_done, first.cells_done, first.cells_before) == (1, 2, 0)
    second = again()
    assert Recording.seen == ["bell", "", "drum", "!bad", "wave"]
    assert not second.stopped
    assert (second.parts_done, second.cells_done, second.cells_failed, second.cells_before) == (3, 5, 2, 2)


def test_an_interrupted_run_and_an_undisturbed_one_are_the_same(run: Callable[..., Run], tmp_path: Path) -> None:
    words = ["bell", "drum", "siren", "wave", "engine"]
    run(words, name="whole")()
    broken = run(words, name="broken")
    for _ in range(3):
        broken(stop=iter([False, True]).__next__)
    assert files(tmp_path / "broken") == files(tmp_path / "whole")


def test_stop_is_not_asked_once_nothing_is_left(run: Callable[..., Run]) -> None:
    small = run(["bell"])
    assert not small(stop=iter([False]).__next__).stopped
    assert len(VectorSet.open(small.out).ids) == 1


def test_pro_16_a_complete_set_needs_no_engine_at_all(run: Callable[..., Run]) -> None:
    done = run(["bell", "drum"])
    done()
    infos = described(done.engines)
    before = {path: path.stat().st_mtime_ns for path in done.out.rglob("*")}
    done.engines = [SimpleNamespace(describe=lambda: infos)]
    progress = done(stop=lambda: True)
    assert not progress.stopped
    assert progress.cells_done == progress.cells_before == 2
    assert {path: path.stat().st_mtime_ns for path in done.out.rglob("*")} == before


def test_num_02_a_model_that_gives_nothing_stops_and_what_is_committed_stays(run: Callable[..., Run]) -> None:
    sick = run(["bell"] * 40 + ["!nan"] * 120, rows=20)
    says = r"100 records in a row failed in column 'word_letters' \(toy.letters, cpu, fp32, none\); the last: NONF"
    with pytest.raises(TooManyFailures, match=says):
        sick()
    assert len(sick.committed) == 2 + 4  # the part that crossed the limit is done again, once it is repaired
    assert not (sick.out / "manifest.json").exists()
    assert sick(max_failures="any").cells_failed == 120


@pytest.mark.parametrize(("limit", "parts"), [(0, 0), (1, 1), (2, 2), ("any", 3), (None, 3)])
def test_the_user_says_how_many_failures_are_too_many(run: Callable[..., Run], limit: Any, parts: int) -> None:
    some = run(["bell", "!bad", "drum", "!bad", "", "!bad"])
    if parts == 3:
        some(max_failures=limit)
    else:
        with pytest.raises(TooManyFailures, match="the limit is"):
            some(max_failures=limit)
    assert len(some.committed) == parts


def test_failures_before_a_stop_count_after_it(run: Callable[..., Run]) -> None:
    some = run(["!bad", "drum", "!bad", "bell"])
    some(max_failures=1, stop=iter([False, True]).__next__)
    with pytest.raises(TooManyFailures, match="2 cells failed; the limit is 1"):
        some(max_failures=1)


@pytest.mark.parametrize("count", [2, 3])
def test_pro_13_several_engines_make_the_same_set_as_one(
    run: Callable[..., Run], tmp_path: Path, count: int
) -> None:
    words = ["bell", "drum", "", "wave", "!bad", "ball", "star"] * 5
    run(words, name="one")()
    progress = run(words, name="more", engines=[engine() for _ in range(count)])()
    assert (progress.parts_done, progress.cells_done) == (18, 35)
    assert files(tmp_path / "more") == files(tmp_path / "one")


def test_several_engines_work_at_the_same_time(run: Callable[..., Run]) -> None:
    meeting = threading.Barrier(2, timeout=5)

    class Meeting(LocalEngine):
        def embed(self, records: Sequence[Record], observe: Any = None) -> Embedded:
            meeting.wait()
            return super().embed(records, observe)

    columns = columns_for(["word"], {"word": "toy"})
    engines = [Meeting(columns, Settings(device="cpu", threads=1)) for _ in range(2)]
    assert run(["bell"] * 8, engines=engines)().parts_done == 4


def test_a_part_is_committed_while_the_next_is_embedded(
    run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    meeting = threading.Barrier(2, timeout=5)
    commit = Writer.commit

    class Meeting(LocalEngine):
        def embed(self, records: Sequence[Record], observe: Any = None) -> Embedded:
            if records[0].fields["word"] != "bell":
                meeting.wait()
            return super().embed(records, observe)

    def meeting_commit(self: Writer, index: int, *given: Any) -> None:
        if index < 2:
            meeting.wait()
        commit(self, index, *given)

    monkeypatch.setattr(Writer, "commit", meeting_commit)
    engines = [Meeting(columns_for(["word"], {"word": "toy"}), Settings(device="cpu", threads=1))]
    done = run(["bell", "bell", "drum", "drum", "wave", "wave"], engines=engines)
    assert done().parts_done == 3
    assert list(VectorSet.open(done.out)["word_letters"].status) == ["ok"] * 6


def test_a_commit_that_fails_ends_the_run_one_part_later(
    run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    commit, embedded = Writer.commit, []

    class Counting(LocalEngine):
        def embed(self, records: Sequence[Record], observe: Any = None) -> Embedded:
            embedded.append(records[0].fields["word"])
            return super().embed(records, observe)

    def failing(self: Writer, index: int, *given: Any) -> None:
        if index == 1:
            raise StorageError("The disk is full")
        commit(self, index, *given)

    monkeypatch.setattr(Writer, "commit", failing)
    engines = [Counting(columns_for(["word"], {"word": "toy"}), Settings(device="cpu", threads=1))]
    full = run(["bell", "drum", "wave", "star"], rows=1, engines=engines)
    with pytest.raises(StorageError, match="The disk is full"):
        full()
    assert embedded == ["bell", "drum", "wave"]
    assert len(full.committed) == 1


def test_pro_20_an_error_of_one_engine_ends_the_others_after_their_part(run: Callable[..., Run]) -> None:
    broken = run(["bell", "!name"] + ["drum"] * 200, engines=[engine(), engine()])
    with pytest.raises(ContractError, match="NameError"):
        broken()
    assert len(broken.committed) < 100


def test_pro_20_an_error_of_the_observer_is_raised(run: Callable[..., Run]) -> None:
    def observe(progress: Progress) -> None:
        raise ZeroDivisionError

    for engines in ([engine()], [engine(), engine()]):
        with pytest.raises(ZeroDivisionError):
            run(["bell"] * 4, name=f"out{len(engines)}", engines=engines)(observe)


def test_num_04_a_value_beyond_half_precision_has_its_reason(run: Callable[..., Run]) -> None:
    half = run(["bell", "a"], engines=[engine("toy.letters(scale=20000)")], dtype="float16")
    half()
    column = VectorSet.open(half.out)["word_letters"]
    assert list(column.status) == ["nonfinite", "ok"]
    assert column.vectors[1].tolist() == [20000, 20000, 20000]
    (row,) = VectorSet.open(half.out).failures().to_pylist()
    assert row["error"] == "OVERFLOW: a value is beyond what float16 holds (65504)"


def test_an_engine_that_misplaces_rows_is_refused(run: Callable[..., Run]) -> None:
    class Swapping(LocalEngine):
        def embed(self, records: Sequence[Record], observe: Any = None) -> Embedded:
            return super().embed(records[::-1], observe)

    engines = [Swapping(columns_for(["word"], {"word": "toy"}), Settings(device="cpu", threads=1))]
    with pytest.raises(ContractError, match="other rows than those of part 0"):
        run(["bell", "drum"], engines=engines)()


def test_a_note_is_kept_once(run: Callable[..., Run]) -> None:
    class Noting(LocalEngine):
        def embed(self, records: Sequence[Record], observe: Any = None) -> Embedded:
            return replace(super().embed(records, observe), notes=["again", f"new {records[0].id}", "again"])

    engines = [Noting(columns_for(["word"], {"word": "toy"}), Settings(device="cpu", threads=1))]
    assert run(["bell"] * 4, engines=engines)().notes == ["again", "new 00000000", "new 00000002"]


@pytest.mark.parametrize(
    ("workers", "device", "made"),
    [
        (None, "cpu", ["LocalEngine cpu 8"]),
        (0, "cpu", ["LocalEngine cpu 8"]),
        (True, "cpu", ["WorkerEngine cpu 8"]),
        (2, "cpu", ["WorkerEngine cpu 4", "WorkerEngine cpu 4"]),
        (True, "cuda:0,cuda:1", ["WorkerEngine cuda:0 4", "WorkerEngine cuda:1 4"]),
        (3, "cuda:0,cuda:1", ["WorkerEngine cuda:0 2", "WorkerEngine cuda:1 2", "WorkerEngine cuda:0 2"]),
    ],
)
def test_engines_are_made_as_asked_for(workers: Any, device: str, made: list[str]) -> None:
    engines = make_engines(columns_for(["word"], {"word": "toy"}), Settings(device=device, threads=8), workers)
    found = [f"{type(one).__name__} {one.settings.device} {one.settings.threads}" for one in engines]  # type: ignore[attr-defined]
    assert found == made
    for one in engines:
        one.close()


@pytest.mark.parametrize(
    ("workers", "device", "says"), [(-1, "cpu", "at least 0"), (0, "cuda:0,cuda:1", "Ask for workers")]
)
def test_engines_that_cannot_be_are_refused(workers: int, device: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        make_engines(columns_for(["word"], {"word": "toy"}), Settings(device=device), workers)


def test_engines_that_would_embed_differently_are_refused() -> None:
    def fake(device: str) -> Any:
        fingerprint = {"runtime": {"device": device}}
        info = ColumnInfo("w", "word", "toy.letters", "toy", "toy", 3, "float32", False, fingerprint)
        return SimpleNamespace(describe=lambda: [info], settings=Settings())

    assert len(described([fake("cpu"), fake("cpu")])) == 1
    with pytest.raises(SetupError, match="would embed differently"):
        described([fake("cpu"), fake("cuda")])


def test_engines_take_the_runtimes_that_the_first_one_found() -> None:
    engines = [engine(), engine()]
    first = described(engines)
    assert engines[1].settings.held == {"word_letters": first[0].fingerprint["runtime"]}

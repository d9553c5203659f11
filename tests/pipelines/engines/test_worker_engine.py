"""An engine in a worker: the same rows to the byte, whoever kills the worker."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from embedders import BadInput, ContractError, SetupError, Status, TooManyFailures, UsageError
from embedders.registry import registry
from pipelines import Record
from pipelines.embedding import Embedded, columns_for
from pipelines.engines import Settings, WorkerEngine
from pipelines.engines.workers import DEATHS
from pipelines.vectors import Schema
from tests.pipelines.engines.conftest import Make, alive, local, words
from tests.pipelines.engines.poison import Poison
from tests.toy import Letters


def written(found: Embedded, infos: Any) -> bytes:
    import pyarrow as pa

    table = Schema(("word",), tuple(infos)).table(found.ids, found.fields, found.cells)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, table.schema) as file:
        file.write_table(table)
    return sink.getvalue().to_pybytes()


def test_both_engines_give_the_same_tables_and_fingerprints(worker: Make, tmp_path: Path) -> None:
    (tmp_path / "bell.toy").write_text("bell")
    records = [
        *words("a", None, "", 7, "!bad", "!!quit", "!odd", b"\xff", "extraordinary"),
        *words(Path("bell.toy")),
    ]
    records = [replace(record, id=str(i)) for i, record in enumerate(records)]
    records.append(Record("x", {}, BadInput(Status.CORRUPT, "REC_JSON", "no JSON")))
    here, there = local(root=tmp_path), worker(root=tmp_path)
    assert here.describe() == there.describe()
    there.load()
    first, second = here.embed(records), there.embed(records)
    assert written(first, here.describe()) == written(second, there.describe())
    assert first.cells["word_poison"].status.count("ok") == 3
    assert there.started == 1


def test_progress_is_told_and_taken_back(worker: Make) -> None:
    told: list[tuple[int, int]] = []
    worker(batch_size=1).embed(words("bell", "drum", "!!exit", "!bad"), lambda *counts: told.append(counts))
    assert [sum(counts) for counts in zip(*told, strict=True)] == [4, 2]
    assert any(done < 0 for done, _ in told)


def test_the_device_that_was_found_stays_that_of_later_workers(worker: Make) -> None:
    engine = worker(precision="auto")
    engine.describe()
    assert engine.settings.device == "cpu"
    assert engine.settings.held == {"word_poison": {"device": "cpu", "precision": "fp32", "accel": "none"}}


def test_pro_09_an_interrupt_of_the_group_leaves_the_worker_alone(worker: Make) -> None:
    engine = worker()
    engine.load()
    assert engine.pid is not None
    os.kill(engine.pid, signal.SIGINT)
    assert engine.embed(words("bell")).cells["word_poison"].status == ["ok"]
    assert engine.started == 1
    assert os.getpgid(engine.pid) == engine.pid != os.getpgid(0)


def test_pro_05_a_worker_that_was_killed_between_parts_is_replaced(worker: Make) -> None:
    engine = worker()
    engine.load()
    assert engine.pid is not None
    os.kill(engine.pid, signal.SIGKILL)
    found = engine.embed(words("bell"))
    assert found.cells["word_poison"].status == ["ok"]
    assert found.notes == ["A worker process was replaced (signal SIGKILL): no record was to blame"]


def test_pro_07_a_worker_that_is_stopped_is_replaced(worker: Make) -> None:
    engine = worker(silence_seconds=0.3)
    engine.load()
    assert engine.pid is not None
    os.kill(engine.pid, signal.SIGSTOP)
    found = engine.embed(words("bell"))
    assert found.cells["word_poison"].status == ["ok"]
    assert "no sign of life for 0.3 s" in found.notes[0]


def test_res_05_workers_that_die_without_reason_end_the_run(worker: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    engine = worker()
    with pytest.raises(TooManyFailures, match=f"{DEATHS} worker processes died in a row.*exit code 1"):
        engine.embed(words("bell"))
    assert engine.started == DEATHS
    with pytest.raises(SetupError, match="died before the first record: exit code 1"):
        worker().load()


@pytest.mark.parametrize(("kills", "status"), [(1, "ok"), (2, "ok"), (3, "crashed")])
def test_res_06_a_kill_from_outside_may_be_chance_once_more_than_a_crash(
    worker: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kills: int, status: str
) -> None:
    monkeypatch.setenv("POISON_KILLS", str(tmp_path / "kills"))
    (tmp_path / "kills").write_text(str(kills))
    found = worker().embed(words("bell", "!operator", "drum"))
    assert found.cells["word_poison"].status == ["ok", status, "ok"]


def test_fs_12_a_worker_that_cannot_be_started_names_the_cure(
    worker: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/no/such/python")
    with pytest.raises(SetupError, match=r"cannot be started: .*No such file.*ulimit -n"):
        worker().load()


def test_num_13_an_error_of_the_embedder_crosses_as_it_is(worker: Make) -> None:
    with pytest.raises(ContractError, match="letters failed: NameError: a programming error"):
        worker("toy.letters").embed(words("bell", "!name"))


def test_pro_18_an_embedder_of_the_script_is_refused_with_the_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    class Local(Letters):
        pass

    with pytest.raises(UsageError, match=r"'.*Local' of column 'w_.*: it is defined in a function.*module"):
        WorkerEngine(columns_for(["w"], {"w": Local()}), Settings())
    monkeypatch.setattr(Poison, "__module__", "__main__")
    with pytest.raises(UsageError, match="in the script itself"):
        WorkerEngine(columns_for(["w"], {"w": Poison()}), Settings())


def test_an_embedder_that_the_worker_cannot_import_is_refused(
    worker: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    only_here = ModuleType("only_here")
    only_here.Letters = type("Letters", (Letters,), {"__module__": "only_here"})  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "only_here", only_here)
    with pytest.raises(UsageError, match="A worker process cannot find an embedder: No module named 'only_here'"):
        worker("only_here:Letters").describe()


def test_a_record_that_cannot_be_sent_is_a_row(worker: Make) -> None:
    found = worker().embed(words("bell", threading.Lock(), "drum"))
    assert found.ids == ["r0", "r1", "r2"]
    assert found.cells["word_poison"].status == ["ok", "invalid", "ok"]
    assert str(found.cells["word_poison"].error[1]).startswith("UNSENDABLE: ")


def test_an_interrupt_in_the_middle_kills_the_worker_at_once(worker: Make) -> None:
    engine = worker()
    engine.load()
    pid = engine.pid

    def observe(done: int, failed: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        engine.embed(words("!bad", "!hang"), observe)
    assert pid is not None
    assert not alive(pid)
    assert engine.embed(words("bell")).cells["word_poison"].status == ["ok"]  # and it can be used again


def test_closing_ends_a_part_in_work_and_the_engine(worker: Make) -> None:
    engine = worker()
    engine.load()
    closing = threading.Timer(0.1, engine.close)
    closing.start()
    began = time.monotonic()
    with pytest.raises(UsageError, match="closed"):
        engine.embed(words("!hang"))
    assert time.monotonic() - began < 5
    closing.join()


def test_vectors_keep_their_type_and_their_nans(worker: Make) -> None:
    vectors = worker().embed(words("bell", "!bad")).cells["word_poison"].vectors
    assert vectors.dtype == np.float32
    assert np.isnan(vectors[1]).all()


def test_a_registered_class_that_no_column_needs_need_not_be_found(
    worker: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = ModuleType("here_alone")
    stranger = type("Stranger", (Letters,), {"__module__": "here_alone"})
    module.Stranger = stranger  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "here_alone", module)
    monkeypatch.setattr(registry, "_registered", {g: dict(e) for g, e in registry._registered.items()})
    monkeypatch.setattr(registry, "_classes", dict(registry._classes))
    registry.register("toy.stranger", stranger)
    assert worker().embed(words("bell")).cells["word_poison"].status == ["ok"]
    with pytest.raises(UsageError, match="cannot find an embedder: No module named 'here_alone'"):
        worker(stranger()).embed(words("bell"))

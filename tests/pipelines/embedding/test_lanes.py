"""Several batches under way at once, and inputs that are there twice: the rows are what they are one by one."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from embedders import ContractError, Runtime
from pipelines import Pipeline, VectorSet
from pipelines.embedding import Column, Embedded, PartEmbedder, columns_for
from pipelines.records import Record
from tests.embedders.runtime.small import Small
from tests.toy import Letters

WORDS = ["bell", "siren", "engine", "drum", "wave", "ball"] * 5


class Lanes(Letters):
    """Letters whose batches wait for one another: they only end if two are under way at once."""

    together: ClassVar[threading.Barrier] = threading.Barrier(2)

    def load(self, runtime: Runtime) -> Any:
        plain = super().load(runtime)

        def forward(batch: Any) -> Any:
            self.together.wait(timeout=20)
            return plain(batch)

        return forward


def lanes(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Runtime, "lanes", property(lambda self: count))


def embedded(column: Column, words: Sequence[Any], **options: Any) -> tuple[Embedded, list[tuple[int, int]]]:
    seen: list[tuple[int, int]] = []
    with ThreadPoolExecutor(2) as threads:
        part = PartEmbedder([column], threads, **options)
        records = [Record(str(row), {column.field: word}) for row, word in enumerate(words)]
        found = part.embed(records, lambda *counts: seen.append(counts))
        part.close()
    return found, seen


def column(embedder: Any, runtime: Runtime | None = None) -> Column:
    (found,) = columns_for(["w"], {"w": embedder})
    return replace(found, runtime=runtime or Runtime())


def test_batches_are_under_way_together_where_there_are_lanes(monkeypatch: pytest.MonkeyPatch) -> None:
    lanes(2, monkeypatch)
    found, _ = embedded(column(Lanes()), ["aa", "bb", "cc", "dd"], batch_size=1)
    cells = next(iter(found.cells.values()))
    assert cells.vectors[:, 2].tolist() == [1, 2, 3, 4]


@pytest.mark.parametrize("count", [1, 2, 3, 8])
@pytest.mark.parametrize("engine", ["none", "openvino"])
def test_the_bytes_are_the_same_for_any_number_of_lanes(
    monkeypatch: pytest.MonkeyPatch, count: int, engine: str
) -> None:
    words = [f"{word}{number}" for number, word in enumerate(WORDS)]
    runtime = Runtime("cpu", "fp32", engine)
    expected = embedded(column(Small(), runtime), words, batch_size=4)[0].cells
    lanes(count, monkeypatch)
    found = embedded(column(Small(), runtime), words, batch_size=4)[0].cells
    assert found["w_small"].vectors.tobytes() == expected["w_small"].vectors.tobytes()


def test_a_broken_embedder_stops_the_part_whichever_lane_it_breaks_in(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken(Letters):
        def load(self, runtime: Runtime) -> Any:
            return lambda batch: np.zeros((1, 3))

    lanes(2, monkeypatch)
    with pytest.raises(ContractError, match="returned shape"):
        embedded(column(Broken()), ["aa", "bb", "cc", "dd"], batch_size=2)


def test_what_is_there_twice_is_embedded_once_and_has_its_row_twice() -> None:
    embedder = Letters()
    found, seen = embedded(column(embedder), ["bell", "drum", "bell", "Bell", "drum", "bell"])
    cells = found.cells["w_letters"]
    assert sorted(word for batch in embedder.batches for word in batch) == ["bell", "bell", "drum"]
    assert cells.vectors.tolist() == [[4, 1, 2], [4, 1, 4], [4, 1, 2], [4, 1, 2], [4, 1, 4], [4, 1, 2]]
    assert cells.status == ["ok"] * 6
    assert cells.flags == [[], [], [], ["lowered"], [], []]
    assert sum(done for done, _ in seen) == 6


def test_what_fails_twice_has_its_reason_twice() -> None:
    found, seen = embedded(column(Letters()), ["!nan", "bell", "!nan", None, "!bad", "!bad"])
    cells = found.cells["w_letters"]
    assert cells.status == ["nonfinite", "ok", "nonfinite", "absent", "invalid", "invalid"]
    assert cells.error[0] == cells.error[2]
    assert cells.error[4] == cells.error[5]
    assert np.isnan(cells.vectors[[0, 2, 3, 4, 5]]).all()
    assert (sum(done for done, _ in seen), sum(bad for _, bad in seen)) == (6, 4)


@pytest.mark.parametrize("workers", [None, 1])
def test_a_set_records_its_engine_and_is_continued_with_it(tmp_path: Path, workers: int | None) -> None:
    embedder = Small()
    words = [{"id": str(row), "w": word} for row, word in enumerate(WORDS)]
    given = {"embed": {"w": embedder}, "part_rows": 10, "workers": workers, "device": "cpu"}
    stopped = Pipeline(**given, precision="fp32", accel="openvino").plan(words)
    stopped.run(tmp_path / "out", stop=iter([False, True]).__next__)
    vs = Pipeline(**given).run(words, tmp_path / "out")
    assert runtime_of(vs) == {"device": "cpu", "precision": "fp32", "accel": "openvino"}
    whole = Pipeline(**given, precision="fp32", accel="openvino").run(words, tmp_path / "whole")
    assert vs["w_small"].vectors.tobytes() == whole["w_small"].vectors.tobytes()


def test_a_small_set_is_exact_unless_asked_otherwise(tmp_path: Path) -> None:
    vs = Pipeline({"w": Small(seed=77)}, device="cpu").run([{"id": "a", "w": "bell"}], tmp_path / "out")
    assert runtime_of(vs) == {"device": "cpu", "precision": "fp32", "accel": "none"}


def runtime_of(vs: VectorSet) -> Any:
    (info,) = vs.columns.values()
    return info.info.fingerprint["runtime"]

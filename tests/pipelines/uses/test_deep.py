"""Stored vectors are made again from what they were made of, and whatever stands in the way is said."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from embedders import Limits, Runtime, UsageError
from embedders.base import BaseEmbedder
from embedders.registry import registry
from pipelines import VectorSet
from pipelines.cli.verify import verify_command
from pipelines.uses.deep import Deep, reembed
from pipelines.vectors import Cells, ColumnInfo, Schema, Writer
from tests import toy

MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
"""Small sets, each flushed to the disk many times, ask nothing of a real one."""

WORDS = ("bell", "drum", "siren", "wave", "engine")


@pytest.fixture
def where() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        yield Path(folder)


def made_by(
    embedder: BaseEmbedder, name: str = "word_toy", *, dtype: str = "float32", precision: str = "fp32", **marks: Any
) -> ColumnInfo:
    """The column as a run records it."""
    spec = embedder.spec
    fingerprint = embedder.fingerprint(Runtime("cpu", precision))
    fingerprint["decoding"] = dict(registry.modality(spec.modality).policy)
    fingerprint |= marks
    return ColumnInfo(name, "word", "toy", spec.modality, spec.space, spec.dim, dtype, spec.normalized, fingerprint)


def write(
    out: Path,
    info: ColumnInfo | tuple[ColumnInfo, ...],
    stored: Mapping[str, str] | None = None,
    *,
    run: Mapping[str, Any] | None = None,
    off: float = 0.0,
    hashed: Mapping[str, str | None] | None = None,
) -> VectorSet:
    """A set of words, each ``stored`` as itself or as a path; vectors of letters, with the first ``off``."""
    infos = (info,) if isinstance(info, ColumnInfo) else info
    stored = stored or {word: word for word in WORDS}
    vectors = toy.Letters().embed(list(stored), device="cpu", limits=Limits(characters=1 << 30))
    vectors[0] *= 1 + off
    sums: list[str | None] = [hashlib.sha256(word.encode()).hexdigest() for word in stored]
    if hashed is not None:
        sums = [hashed.get(word, found) for word, found in zip(stored, sums, strict=True)]
    schema = Schema(("word",), infos)
    count = len(stored)
    cells = {
        i.name: Cells(vectors[:, : i.dim], ["ok"] * count, [None] * count, [[] for _ in stored]) for i in infos
    }
    table = schema.table(list(stored), {"word": (list(stored.values()), sums)}, cells)
    plan = {"plan": {"parts": [{"index": 0, "start": 0, "rows": count}]}}
    with Writer.open(out, schema, {**plan, **(run or {})}) as writer:
        writer.commit(0, table, {})
        writer.finish()
    return VectorSet.open(out)


def only(found: list[Deep]) -> Deep:
    assert len(found) == 1
    return found[0]


def shelf(root: Path) -> dict[str, str]:
    """Words in files of a folder, by word."""
    root.mkdir()
    for word in WORDS:
        (root / word).write_text(word)
    return {word: word for word in WORDS}


def lying(root: Path) -> dict[str, Any]:
    return {"circumstances": {"root": str(root)}}


def test_vectors_of_words_in_the_set_come_out_again(where: Path) -> None:
    found = only(reembed(write(where / "v", made_by(toy.Letters())), device="cpu"))
    assert found == Deep("word_toy", 5, agreeing=5, smallest_cosine=1.0, largest=0.0)


def test_vectors_of_files_come_out_again(where: Path) -> None:
    stored = shelf(where / "shelf")
    vs = write(where / "v", made_by(toy.Filed()), stored, run=lying(where / "shelf"))
    assert only(reembed(vs, device="cpu")).agreeing == 5


def test_as_many_are_drawn_as_asked_for_and_a_seed_draws_the_same(where: Path) -> None:
    vs = write(where / "v", made_by(toy.Letters()), off=0.1)
    drawn = [only(reembed(vs, 2, seed, device="cpu")) for seed in (1, 1, *range(2, 12))]
    assert drawn[0] == drawn[1]
    assert {found.drawn for found in drawn} == {2}
    assert {len(found.differing) for found in drawn} == {0, 1}  # the one that is off is drawn by some


def test_a_vector_that_does_not_come_out_again_is_named(where: Path) -> None:
    found = only(reembed(write(where / "v", made_by(toy.Letters()), off=0.25), device="cpu"))
    assert found.agreeing == 4
    assert found.differing == {"bell": "cosine 1.000000, relative L2 2.0e-01"}
    assert found.largest == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("precision", "dtype", "off", "agrees"),
    [
        ("fp32", "float32", 9e-5, True),
        ("fp32", "float32", 2e-4, False),
        ("fp32", "float16", 6e-4, True),
        ("fp32", "float16", 2e-3, False),
        ("fp16", "float32", 4e-3, True),
        ("fp16", "float32", 6e-3, False),
        ("bf16", "float32", 3e-2, True),
        ("bf16", "float32", 6e-2, False),
    ],
)
def test_how_near_is_near_enough_follows_from_the_precision(
    where: Path, precision: str, dtype: str, off: float, agrees: bool
) -> None:
    info = made_by(toy.Letters(), precision=precision, dtype=dtype)
    found = only(reembed(write(where / "v", info, off=off), device="cpu"))
    assert (found.agreeing, len(found.differing)) == ((5, 0) if agrees else (4, 1))


def test_a_turned_vector_is_found_by_its_cosine_alone(where: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.uses.deep.TOLERANCES", {"fp32": (1 - 1e-5, 3.0)})
    vs = write(where / "v", made_by(toy.Letters()))
    monkeypatch.setattr(toy.Letters, "_vector", lambda self, word: [1.0, 2.0, 30.0])
    assert len(only(reembed(vs, device="cpu")).differing) == 5


def test_what_was_drawn_and_is_not_ok_any_more_is_named(where: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    vs = write(where / "v", made_by(toy.Letters()))
    monkeypatch.setattr(toy.Letters, "_vector", lambda self, word: [float("nan")] * 3)
    found = only(reembed(vs, 1, device="cpu"))
    assert list(found.differing.values()) == ["now nonfinite (NONFINITE)"]
    assert found.largest is None


def test_a_row_beyond_the_range_of_a_half_is_made_again_in_full_precision(
    where: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vs = write(where / "v", made_by(toy.Letters(), precision="bf16"))
    load = toy.Letters.load
    monkeypatch.setattr(
        toy.Letters,
        "load",
        lambda self, runtime: (
            load(self, runtime) if runtime.precision == "fp32" else lambda words: np.full((1, 3), np.inf)
        ),
    )
    assert only(reembed(vs, device="cpu")).agreeing == 5


def test_changed_inputs_are_counted_and_not_compared(where: Path) -> None:
    stored = shelf(where / "shelf")
    vs = write(where / "v", made_by(toy.Filed()), stored, run=lying(where / "shelf"))
    (where / "shelf/drum").write_text("trumpet")
    found = only(reembed(vs, device="cpu"))
    assert (found.agreeing, found.changed, found.differing) == (4, 1, {})


def test_inputs_that_cannot_be_read_are_counted_by_reason(where: Path) -> None:
    (where / "secret").write_text("siren")
    stored = shelf(where / "shelf") | {"siren": "../secret", "wave": "https://example.org/wave"}
    hashed = {"engine": None}
    vs = write(where / "v", made_by(toy.Filed()), stored, run=lying(where / "shelf"), hashed=hashed)
    (where / "shelf/drum").unlink()
    found = only(reembed(vs, device="cpu"))
    assert found.agreeing == 1
    assert found.unread == {
        "not_found (NO_FILE)": 1,
        "blocked (PATH)": 1,
        "unreadable (BY_URL)": 1,
        "unreadable (NOT_KEPT)": 1,
    }


@pytest.mark.parametrize("cls", [toy.Letters, toy.Filed], ids=["words", "files"])
def test_members_of_archives_are_not_read_again(where: Path, cls: type[toy.Letters]) -> None:
    stored = {word: f"a.tar#{word}.toy" for word in WORDS}
    vs = write(where / "v", made_by(cls()), stored, run={"circumstances": {"source": {"kind": "shards"}}})
    assert only(reembed(vs, device="cpu")).unread == {"unreadable (IN_ARCHIVE)": 5}


def test_words_that_were_stored_repaired_are_not_taken_for_changed(where: Path) -> None:
    vs = write(where / "v", made_by(toy.Letters()), hashed={"bell": "0" * 64})
    found = only(reembed(vs, device="cpu"))
    assert (found.agreeing, found.changed, found.unread) == (4, 0, {"unreadable (NOT_KEPT)": 1})


def test_what_another_machine_records_is_said(where: Path) -> None:
    vs = write(where / "v", made_by(toy.Letters(), versions={"multimodal-embedders": "0.0.1"}))
    found = only(reembed(vs, device="cpu"))
    assert found.agreeing == 5
    assert len(found.changes) == 1
    assert found.changes[0].startswith("fingerprint.versions.multimodal-embedders: '0.0.1' -> ")


def test_the_recorded_options_make_the_embedder(where: Path) -> None:
    vs = write(where / "v", made_by(toy.Letters(scale=2.0)))
    assert only(reembed(vs, device="cpu")).differing == dict.fromkeys(WORDS, "cosine 1.000000, relative L2 5.0e-01")


@pytest.mark.parametrize(
    ("marks", "says"),
    [
        ({"class": "nowhere.to:BeFound"}, "nowhere"),
        ({"options": {"scael": 2}}, "Did you mean 'scale'"),
        ({"class": None}, "Error"),
    ],
    ids=["a missing plugin", "an option that is gone", "a made-up record"],
)
def test_an_embedder_that_is_gone_keeps_no_other_column_from_being_looked_at(
    where: Path, marks: dict[str, Any], says: str
) -> None:
    gone, there = made_by(toy.Letters(), "word_gone", **marks), made_by(toy.Letters())
    found = reembed(write(where / "v", (gone, there)), device="cpu")
    assert says in str(found[0].problem)
    assert [column.agreeing for column in found] == [0, 5]


def test_an_embedder_of_other_dimensions_differs(where: Path) -> None:
    info = made_by(toy.Letters())
    smaller = ColumnInfo(**{**info.to_json(), "dim": 2})
    found = only(reembed(write(where / "v", smaller), 1, device="cpu"))
    assert list(found.differing.values()) == ["2 dimensions are stored, and 3 come out"]


def test_the_limits_of_the_run_hold_again(where: Path) -> None:
    long = "a" * (Limits().characters + 1)
    for number, characters in enumerate((len(long), len(long) - 1)):
        run = {"limits": {"characters": characters}}
        found = only(
            reembed(write(where / f"{number}", made_by(toy.Letters()), {long: long}, run=run), device="cpu")
        )
        assert list(found.differing.values()) == ["now limit (TOY_CHARACTERS)"] * number


@pytest.mark.parametrize(("count", "device"), [(0, "cpu"), (1, "gpu")])
def test_what_cannot_be_asked_for_is_refused(where: Path, count: int, device: str) -> None:
    vs = write(where / "v", made_by(toy.Letters()))
    with pytest.raises(UsageError):
        reembed(vs, count, device=device)


def test_the_command_prints_a_line_per_column_and_ends_with_0(
    where: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(where / "v", made_by(toy.Letters()))
    assert verify_command(where / "v", as_json=False, deep=3, device="cpu") == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert last == "word_toy: 3 of 3 vectors come out again; relative L2 0.0e+00 at most"


def test_the_command_ends_with_5_where_vectors_differ(where: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(where / "v", made_by(toy.Letters(scale=2.0), versions={"torch": "0"}))
    assert verify_command(where / "v", as_json=False, deep=20, device="cpu") == 5
    printed = capsys.readouterr().out
    assert "word_toy: 0 of 5 vectors come out again" in printed
    assert "  bell: cosine 1.000000, relative L2 5.0e-01\n" in printed
    assert "  and 2 more\n" in printed
    assert "  made today by another: fingerprint.versions.torch: '0' -> none\n" in printed
    assert max(map(len, printed.splitlines()[1:])) <= 80


def test_the_command_ends_with_7_where_an_embedder_is_gone(where: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(where / "v", made_by(toy.Letters(), **{"class": "nowhere.to:BeFound"}))
    assert verify_command(where / "v", as_json=False, deep=20, device="cpu") == 7
    assert "  cannot be embedded: " in capsys.readouterr().out


def test_a_damaged_set_is_not_embedded_again(where: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(where / "v", made_by(toy.Letters()))
    (where / "v/data/part-000000.parquet").write_bytes(b"rot")
    assert verify_command(where / "v", as_json=True, deep=20, device="cpu") == 5
    assert json.loads(capsys.readouterr().out)["deep"] == []


def test_json_holds_what_became_of_every_column(where: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(where / "v", made_by(toy.Letters()), off=1)
    assert verify_command(where / "v", as_json=True, deep=20, device="cpu") == 5
    found = json.loads(capsys.readouterr().out)["deep"]
    assert [column["agreeing"] for column in found] == [4]
    assert list(found[0]["differing"]) == ["bell"]

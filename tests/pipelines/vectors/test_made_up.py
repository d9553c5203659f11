"""What stands in the folder is another's, or was made up: it is refused, and nothing beyond it is touched."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from embedders import RefusedError
from pipelines import VectorSet
from pipelines.vectors import Writer
from pipelines.vectors.run import Run, digest_of
from pipelines.vectors.schema import FORMAT
from tests.pipelines.vectors.crashes import Tree, tree
from tests.pipelines.vectors.made import plan, schema, write


def edit(path: Path, change: Callable[[Any], Any]) -> None:
    values = json.loads(path.read_text())
    path.write_text(json.dumps(change(values) or values, indent=1, ensure_ascii=False) + "\n")


def format_of(out: Path, change: int) -> None:
    write(out)
    edit(out / "run.json", lambda values: values.update(format=FORMAT + change))


@pytest.mark.parametrize(
    ("prepare", "says"),
    [
        (lambda out: (out.mkdir(), (out / "thesis.txt").write_text("mine")), "thesis.txt"),
        (lambda out: (out.mkdir(), (out / "run.json").write_text('{"mine": 1}')), "holds other files"),
        (lambda out: (out.mkdir(), (out / "run.json").write_text("{")), "damaged"),
        (lambda out: (out.mkdir(), (out / "commits").mkdir(), (out / "commits/mine").touch()), "holds other files"),
        (lambda out: (out.mkdir(), (out / "manifest.json").write_text("{}")), "holds other files"),
        (lambda out: out.write_text("mine"), "is a file"),
        (
            lambda out: (write(out), edit(out / "run.json", lambda r: r.update(format=FORMAT - 1))),
            f"format {FORMAT - 1}",
        ),
        (
            lambda out: (write(out), edit(out / "run.json", lambda r: r.update(format=FORMAT + 1))),
            f"format {FORMAT + 1}",
        ),
    ],
    ids=["files", "another run.json", "broken run.json", "commits", "manifest", "a file", "older", "newer"],
)
def test_RES_14_what_is_not_ours_is_refused_and_left(
    where: Path, prepare: Callable[[Path], object], says: str
) -> None:
    out = where / "v"
    prepare(out)
    before: Tree = tree(where)
    with pytest.raises(RefusedError, match=says):
        write(out)
    assert tree(where) == before


RECORDS: dict[str, Callable[[dict[str, Any]], object]] = {
    "a file above": lambda record: record.update(file="../part-000000.parquet"),
    "a file elsewhere": lambda record: record.update(file="/etc/passwd"),
    "a file of another part": lambda record: record.update(file="data/part-000001.parquet"),
    "a huge count": lambda record: record.update(rows=10**400),
    "a negative size": lambda record: record.update(bytes=-1),
    "a list for a number": lambda record: record.update(rows=[5]),
    "true for one": lambda record: record.update(part=False),
    "no hash": lambda record: record.update(sha256="0"),
    "no statuses": lambda record: record.update(statuses=None),
    "an unknown status": lambda record: record["statuses"].update(word_toy={"fine": 5}),
    "rows that are not there": lambda record: record["statuses"].update(word_toy={"ok": 4}),
    "a column too many": lambda record: record["statuses"].update(word_other={"ok": 5}),
    "an entry too many": lambda record: record.update(more=1),
    "an entry too few": lambda record: record.pop("start"),
}


@pytest.mark.parametrize("change", RECORDS.values(), ids=RECORDS)
def test_SEC_10_a_made_up_record_is_no_record_though_its_seal_is_good(
    where: Path, change: Callable[[dict[str, Any]], object]
) -> None:
    out = where / "v"
    write(out, finish=False)
    run = Run.of(schema(), plan(2))

    def make_up(record: dict[str, Any]) -> None:
        del record["seal"]
        change(record)
        record["seal"] = digest_of([run.digest, record])

    edit(out / "commits/part-000000.json", make_up)
    outside = where / "part-000000.parquet"
    outside.write_bytes(b"not to be touched")
    with Writer.open(out, schema(), plan(2)) as writer:
        assert list(writer.commits) == [1]
    assert outside.read_bytes() == b"not to be touched"


@pytest.mark.parametrize(
    "change",
    [
        lambda m: m["parts"][0].update(file="../v/data/part-000000.parquet"),
        lambda m: m["parts"][0].update(file="data/../../x.parquet"),
        lambda m: m["parts"][0].update(rows=10**30),
        lambda m: m["parts"].reverse(),
        lambda m: m.update(parts={}),
        lambda m: m.update(parts=[], rows=0),
        lambda m: m.update(rows="15"),
        lambda m: m.update(state="almost"),
        lambda m: m.update(format="2"),
        lambda m: m.update(fields=[1]),
        lambda m: m.update(columns=None),
        lambda m: m["columns"][0].update(dim=1 << 40),
        lambda m: m["columns"][0].update(dim="3"),
        lambda m: m["columns"][0].update(name=3),
        lambda m: m["columns"][0].update(name="word"),
        lambda m: m["columns"][0].update(fingerprint={"weights": 1}),
        lambda m: m["columns"][0].update(dtype="object"),
        lambda m: m["columns"][0].update(more=1),
        lambda m: m.pop("statuses"),
        lambda m: m.update(flags={"word_toy": 1}),
        lambda m: [m],
    ],
)
def test_SEC_10_a_made_up_manifest_is_refused(where: Path, change: Callable[[Any], Any]) -> None:
    write(where / "v")
    edit(where / "v/manifest.json", change)
    with pytest.raises(RefusedError):
        VectorSet.open(where / "v")
    with Writer.open(where / "v", schema(), plan(2)) as writer:
        assert sorted(writer.commits) == [0, 1]
        writer.finish()
    assert len(VectorSet.open(where / "v")) == 10


def test_SEC_10_json_that_is_deep_or_huge_is_refused(where: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = where / "v"
    write(out)
    (out / "manifest.json").write_text("[" * 200_000)
    with pytest.raises(RefusedError, match="damaged"):
        VectorSet.open(out)
    monkeypatch.setattr("pipelines.vectors.storage.JSON_BYTES", 1000)
    with pytest.raises(RefusedError, match="at most 1,000 are read"):
        VectorSet.open(out)


@pytest.mark.parametrize("target", ["", "data", "commits", "manifest.json"])
def test_SEC_12_a_link_to_elsewhere_is_not_written_through(where: Path, target: str) -> None:
    out, elsewhere = where / "v", where / "elsewhere"
    elsewhere.mkdir()
    if target:
        write(out, only=[])
    if (out / target).is_dir() and target:
        (out / target).rmdir()
    (out / target).symlink_to(elsewhere)
    with pytest.raises(RefusedError, match="is a link"):
        write(out)
    assert list(elsewhere.iterdir()) == []

"""Configurations, sources and sets made by somebody who means harm: SEC-06, SEC-10 to SEC-13, TAR-11."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from embedders import EmbedError, Runtime
from pipelines import Pipeline, VectorSet
from tests.hostile.command import invoke
from tests.pipelines.vectors import made
from tests.toy import Letters

ROOT = Path(__file__).parent.parent.parent

NOT_HERE = {
    "SEC-04": "no sink, and so no identifier of SQL: results are Parquet, JSON and one HTML page",
    "SEC-05": "the same: no value is ever part of a statement",
}
"""Cases about things that do not exist here, each with its reason."""


def test_every_case_of_the_table_is_tried_or_has_a_reason() -> None:
    files = [*Path(__file__).parent.glob("test_*.py"), ROOT / "tests" / "embedders" / "test_remote.py"]
    tried = {f"SEC-{number}" for file in files for number in re.findall(r"def test_sec_(\d\d)_", file.read_text())}
    assert tried | NOT_HERE.keys() == {f"SEC-{number:02}" for number in range(1, 16)}
    assert not tried & NOT_HERE.keys()


@pytest.fixture(autouse=True)
def no_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """The toys need none, and looking for one imports torch."""
    monkeypatch.setattr(Runtime, "of", classmethod(lambda cls, device="auto", precision="auto": cls()))


CONFIGS: dict[str, bytes] = {
    "no TOML": b"{{{",
    "a tag": b"a: !!python/object/apply:os.system ['touch marker']",
    "NUL": b'source = "a\0b"',
    "no UTF-8": b'source = "\xff"',
    "a key twice": b'source = "a"\nsource = "b"',
    "an unknown key": b"sink = 1",
    "a wrong type": b"source = [1]",
    "a table for a word": b"[source]\na = 1",
    "no source": b"",
    "megabytes": b"# " + b"x" * 1_000_000 + b"\nsink = 1",
}


@pytest.mark.parametrize("content", CONFIGS.values(), ids=CONFIGS)
def test_sec_06_a_configuration_that_is_none_ends_with_2(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "run.toml").write_bytes(content)
    code, out, err = invoke("run", "-o", tmp_path / "out", "--config", tmp_path / "run.toml")
    assert (code, out) == (2, "")
    assert len(err.splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["run.toml"]


@pytest.mark.parametrize(
    "source",
    [
        "pipe:touch marker",
        "pipe:cat a.tar; touch marker",
        "http://127.0.0.1:9/a.tar",
        "https://files.example/a.csv",
        "s3://bucket/a.tar",
        "gs://bucket/{000000..999999}.tar",
        "hf://datasets/org/name/a.parquet",
        "ftp://files.example/a.tar",
        "| touch marker",
        "`touch marker`",
        "$(touch marker).csv",
        "file:///etc/passwd",
    ],
)
def test_tar_11_a_source_is_a_place_on_this_machine(
    source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, _, err = invoke("run", source, "-o", "out", "--embed", "word=toy.letters")
    assert (code, len(err.splitlines())) == (2, 1)
    assert list(tmp_path.iterdir()) == []


def edit(file: str, change: Callable[[Any], Any]) -> Callable[[Path], None]:
    """An edit of a JSON file of a set."""

    def apply(out: Path) -> None:
        values = json.loads((out / file).read_text())
        (out / file).write_text(json.dumps(change(values) or values))

    return apply


def part(**changes: Any) -> Callable[[Path], None]:
    return edit("manifest.json", lambda values: values["parts"][0].update(changes))


def column(**changes: Any) -> Callable[[Path], None]:
    return edit("manifest.json", lambda values: values["columns"][0].update(changes))


def whole(**changes: Any) -> Callable[[Path], None]:
    return edit("manifest.json", lambda values: values.update(changes))


TAMPERED: dict[str, Callable[[Path], None]] = {
    "a part above": part(file="../part-000000.parquet"),
    "a part far above": part(file="data/../../part-000000.parquet"),
    "a part elsewhere": part(file="/etc/hostname"),
    "a part of bytes": part(file=5),
    "a part with NUL": part(file="data/part\0"),
    "more rows": part(rows=10**15),
    "rows in words": part(rows="two"),
    "fewer rows than none": part(rows=-1),
    "parts of nothing": whole(parts=None),
    "parts in words": whole(parts="data"),
    "rows of the whole": whole(rows=10**15),
    "columns of nothing": whole(columns=None),
    "columns of words": whole(columns=["word"]),
    "fields of numbers": whole(fields=[1]),
    "a later format": whole(format=10**9),
    "a format in words": whole(format="one"),
    "a list": edit("manifest.json", lambda values: [values]),
    "a deep list": lambda out: (out / "manifest.json").write_text("[" * 100_000) and None,
    "a huge number": lambda out: (out / "manifest.json").write_text("9" * 10_000) and None,
    "no JSON": lambda out: (out / "manifest.json").write_bytes(b"\x80\x04K\x01.") and None,
    "a dimension": column(dim=10**12),
    "a dimension in words": column(dim="three"),
    "another type": column(dtype="object"),
    "another name": column(name="../../word"),
    "no Parquet": lambda out: (out / "data" / "part-000000.parquet").write_bytes(b"PAR1" * 9) and None,
    "another column": edit("manifest.json", lambda v: v["columns"].append({**v["columns"][0], "name": "word_x"})),
}


@pytest.fixture
def tampered(tmp_path: Path) -> Path:
    """A set, with a good part above it that no manifest may lead to."""
    Pipeline({"word": Letters()}).run([{"id": "a", "word": "bell"}, {"id": "b", "word": "!bad"}], tmp_path / "set")
    (tmp_path / "part-000000.parquet").write_bytes((tmp_path / "set" / "data" / "part-000000.parquet").read_bytes())
    return tmp_path / "set"


def read_all(out: Path) -> None:
    """Read everything that a set offers."""
    vs = VectorSet.open(out)
    assert len(vs.ids) == len(vs)
    for found in vs.columns.values():
        assert found.vectors.shape == (len(vs), found.info.dim)
    vs.failures()


@pytest.mark.parametrize("change", TAMPERED.values(), ids=TAMPERED)
def test_sec_10_and_sec_11_a_set_of_somebody_else_is_refused_where_it_lies(
    tampered: Path, change: Callable[[Path], None]
) -> None:
    change(tampered)
    before = sorted(tampered.parent.iterdir())
    with pytest.raises(EmbedError):
        read_all(tampered)
    assert sorted(tampered.parent.iterdir()) == before


def test_sec_10_a_set_of_somebody_else_is_refused(tampered: Path) -> None:
    part(file="../part-000000.parquet")(tampered)
    code, out, err = invoke("show", tampered)
    assert (code, out) == (6, "")
    assert len(err.splitlines()) == 1


def test_sec_11_a_set_whose_embedder_is_a_path_is_shown_without_importing_it(
    tampered: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tampered.parent / "evil.py").write_text("raise AssertionError('imported')\n")
    monkeypatch.syspath_prepend(tampered.parent)
    column(embedder="evil:Evil", modality="evil")(tampered)
    code, _, _ = invoke("show", tampered)
    assert code == 0
    assert "evil" not in sys.modules


@pytest.mark.parametrize("dangling", [True, False])
def test_sec_12_an_output_folder_that_is_a_link_gets_nothing_written_through_it(
    tmp_path: Path, dangling: bool
) -> None:
    if not dangling:
        (tmp_path / "elsewhere").mkdir()
        (tmp_path / "elsewhere" / "kept.txt").write_text("kept")
    (tmp_path / "out").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "table.csv").write_text("id,word\na,bell\n")
    code, _, _ = invoke("run", tmp_path / "table.csv", "-o", tmp_path / "out", "--embed", "word=toy.letters")
    assert code in (2, 5, 6)
    assert [p.name for p in (tmp_path / "elsewhere").glob("*")] == ([] if dangling else ["kept.txt"])


def test_sec_13_a_folder_that_everyone_may_write_to_is_warned_of(tmp_path: Path) -> None:
    for mode in (0o777, 0o755):
        out = tmp_path / f"{mode:o}"
        out.mkdir()
        out.chmod(mode)
        notes = made.write(out).notes
        assert ["can be written by everyone" in note for note in notes] == [True] * (mode == 0o777)

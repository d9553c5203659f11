"""``embed new-plugin``: what it writes is a whole package and keeps the contract as it stands."""

from __future__ import annotations

import ast
import importlib
import sys
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from embedders import BadInput, Modality, StorageError, UsageError
from embedders.conformance import examine
from embedders.modality import Waveform
from embedders.registry import registry
from pipelines.cli import new_plugin
from pipelines.cli.new_plugin import new_plugin_command


@pytest.fixture
def put(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Write a plugin and let this process find it as if it were installed; returns its folder."""
    for held in ("_classes", "_instances"):
        monkeypatch.setattr(registry, held, dict(getattr(registry, held)))

    def write(name: str, modality: str) -> Path:
        folder = tmp_path / "written"
        new_plugin_command(name, modality=modality, out=folder)
        project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
        known = folder / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
        known.mkdir()
        head = f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
        (known / "METADATA").write_text(head)
        lines = []
        for group, entries in project["entry-points"].items():
            lines += [f"[{group}]", *(f"{key} = {value}" for key, value in entries.items())]
        (known / "entry_points.txt").write_text("\n".join(lines))
        monkeypatch.syspath_prepend(str(folder))
        monkeypatch.setattr(registry, "_installed", {})
        return folder

    before = {*sys.modules}
    yield write
    for name in {*sys.modules} - before:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


@pytest.mark.parametrize("modality", ["series", "toy", "text", "image", "audio"])
def test_a_written_plugin_passes_every_check_as_it_stands(put: Any, modality: str) -> None:
    folder = put("plain", modality)
    assert registry.entries()[f"{modality}.plain"].provider == f"{modality}-plain 0.1.0"
    findings = list(examine(registry.create(f"{modality}.plain")))
    assert [(finding.check, finding.words) for finding in findings if not finding.passed] == []
    assert len(findings) >= 15
    assert {path.name for path in folder.iterdir() if path.is_file()} == {
        "README.md",
        f"{modality}_plain.py",
        "pyproject.toml",
        f"test_{modality}_plain.py",
    }
    assert len((folder / "README.md").read_text().splitlines()) == 5


def test_its_test_is_one_import_and_one_line_and_can_be_collected(put: Any) -> None:
    folder = put("plain", "toy")
    source = (folder / "test_toy_plain.py").read_text()
    assert len(ast.parse(source).body) == 2
    tests = importlib.import_module("test_toy_plain").TestContract
    tests().test_vectors_keep_the_order()


def test_a_new_modality_is_there_with_its_decoder(put: Any) -> None:
    put("plain", "series")
    modality = registry.modality("series")
    assert isinstance(modality, Modality)
    assert registry.suffixes()[".series"] == "series"
    assert modality.decode(b"1 2\n3").media.tolist() == [1, 2, 3]
    for content, status in ((b" ", "empty"), (b"one", "corrupt")):
        with pytest.raises(BadInput) as refused:
            modality.decode(content)
        assert refused.value.status == status
    assert registry.create("series").embed([b"1 3"], device="cpu").tolist() == [[2, 2, 1, 1, 3]]


def test_the_module_says_what_media_it_gets(put: Any) -> None:
    assert "# a str; called" in (put("plain", "toy") / "toy_plain.py").read_text()


@pytest.mark.parametrize(
    ("media", "words", "value"),
    [
        ("ab", "a str", [97, 98]),
        (np.ones((1, 2), np.uint8), "a numpy array of uint8 with 2 dimensions", [[1, 1]]),
        (Waveform(np.zeros(2, np.float32), 8000), "a Waveform: samples, rate", [0, 0]),
        ({"a": 1}, "a dict", list(b"{'a': 1}")),
    ],
)
def test_any_media_have_numbers(media: Any, words: str, value: list[float]) -> None:
    described, numbers = new_plugin._described(media)
    assert described == words
    assert eval(numbers, {"np": np, "media": media}).tolist() == value


@pytest.mark.parametrize(
    ("name", "modality", "complaint"),
    [
        ("Song", "toy", "'Song' is no name"),
        ("toy.song", "toy", "'toy.song' is no name"),
        ("../song", "toy", "is no name"),
        ("song-1", "toy", "is no name"),
        ("1song", "toy", "is no name"),
        ("song_", "toy", "is no name"),
        ("none", "toy", "'none' is no name"),
        ("song", "Series", "'Series' is no name"),
        ("letters", "toy", r"toy.letters is there already, from register\(\)"),
        ("clip", "text", "text.clip is there already, from multimodal-embedders"),
        ("loud", "wav", "files in .wav belong to audio.*--modality audio"),
        ("series", "series", "name of embedder and modality"),
        ("plain", "shelf", "no embedder that can be made here"),
    ],
)
def test_names_that_will_not_do_are_refused_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, modality: str, complaint: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=complaint):
        new_plugin_command(name, modality=modality, out=None)
    assert list(tmp_path.iterdir()) == []


def test_a_module_of_that_name_is_not_hidden(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "toy_song.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(UsageError, match="There is a module 'toy_song' already"):
        new_plugin_command("song", modality="toy", out=tmp_path / "out")


@pytest.mark.parametrize("made", ["folder", "file"])
def test_what_stands_in_the_way_is_left_as_it_is(tmp_path: Path, made: str) -> None:
    there = tmp_path / "toy_song"
    there.mkdir() if made == "folder" else there.touch()
    with pytest.raises(UsageError, match=r"is there already\. Name a new folder with --out"):
        new_plugin_command("song", modality="toy", out=there)
    assert list(tmp_path.rglob("*")) == [there]


def test_a_folder_that_cannot_be_made_is_a_matter_of_storage(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match=r"cannot be written: Not a directory"):
        new_plugin_command("song", modality="toy", out=tmp_path / "file" / "song")


def test_the_files_are_printed_and_the_next_steps_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    new_plugin_command("song", modality="toy", out=None)
    found = capsys.readouterr()
    assert sorted(found.out.splitlines()) == sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*.*"))
    assert "    uv pip install -e toy_song\n    embed check toy.song\n" in found.err

"""``embed list`` and ``embed info``: kinds, versions, providers, and what is lacking."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from embedders.registry import EMBEDDERS, ENCODINGS, MODALITIES, Entry, registry
from pipelines.cli.registry import describe_embedder, list_embedders
from tests.toy import Toy


@pytest.fixture
def strangers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Packages that nobody can import, and one modality that is broken."""
    entries = [
        Entry("toy.bow", "nowhere:A", "words 2.0", kind="encoding"),
        Entry("toy.both", "nowhere:A", "one 1 and two 2", problem="Two packages provide 'toy.both'"),
        Entry("toy.letters", "nowhere:A", "letters 1.0"),
        Entry("toy.song", "nowhere:A", "songs 0.3", extra="songs[model]", missing=("gensim", "torch")),
    ]
    modalities = [Entry("toy", "tests.toy:Toy", "toys 1"), Entry("birds", "nowhere:B", "birds 1")]
    monkeypatch.setattr(registry, "_classes", {"toy": Toy})
    monkeypatch.setattr(registry, "_instances", {})
    monkeypatch.setattr(registry, "_registered", {EMBEDDERS: {}, MODALITIES: {}})
    installed = {EMBEDDERS: {e.name: e for e in entries}, MODALITIES: {e.name: e for e in modalities}}
    monkeypatch.setattr(registry, "_installed", installed)


@pytest.mark.usefixtures("strangers")
def test_a_list_tells_kinds_providers_and_what_is_lacking(capsys: pytest.CaptureFixture[str]) -> None:
    list_embedders(as_json=False)
    found = capsys.readouterr()
    assert found.out.splitlines() == [
        "  toy.both     embedder  one 1 and two 2  NOT USABLE",
        "  toy.bow      encoding  words 2.0",
        "* toy.letters  embedder  letters 1.0",
        "  toy.song     embedder  songs 0.3  needs gensim, torch: pip install 'songs[model]'",
    ]
    assert "'birds' needs the package 'nowhere'" in found.err


@pytest.mark.usefixtures("strangers")
def test_a_list_for_programs_holds_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    list_embedders(as_json=True)
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["toy.bow"]["kind"] == "encoding"
    assert rows["toy.both"]["problem"] == "Two packages provide 'toy.both'"
    assert (rows["toy.song"]["missing"], rows["toy.song"]["install"]) == (["gensim", "torch"], "songs[model]")
    assert [name for name, row in rows.items() if row["default"]] == ["toy.letters"]


def test_info_names_kind_provider_and_versions(capsys: pytest.CaptureFixture[str]) -> None:
    describe_embedder("text.starter", as_json=True)
    facts = json.loads(capsys.readouterr().out)
    version = registry.entries()["text.starter"].provider.removeprefix("multimodal-embedders ")
    assert (facts["kind"], facts["provider"]) == ("embedder", f"multimodal-embedders {version}")
    assert facts["versions"]["multimodal-embedders"] == version
    describe_embedder("tests.toy:Unit", as_json=False)
    assert "provider: given by path\n" in capsys.readouterr().out


def test_twenty_plugins_are_listed_at_once_and_none_is_imported(tmp_path: Path) -> None:
    (tmp_path / "stranger.py").write_text(f"open({str(tmp_path / 'imported')!r}, 'w')\n")
    for number in range(20):
        folder = tmp_path / f"stranger{number}-1.0.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: stranger{number}\nVersion: 1.0\n")
        group = ENCODINGS if number % 2 else EMBEDDERS
        (folder / "entry_points.txt").write_text(f"[{group}]\nimage.stranger{number} = stranger:A\n")
    script = """
import sys, time
before = time.process_time()
sys.argv = ["embed", "list"]
from pipelines.cli.main import main
try: main()
except SystemExit: pass
print("TOOK", time.process_time() - before, *sys.modules)
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *filter(None, sys.path)])}
    found = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, env=environment
    )
    listed, _, took = found.stdout.partition("TOOK ")
    seconds, *modules = took.split()
    assert listed.count("  image.stranger") == 20
    assert listed.count("encoding  stranger") == 10
    assert not {"torch", "PIL", "transformers", "stranger"} & set(modules)
    assert not (tmp_path / "imported").exists()
    assert float(seconds) < 2  # seconds of work, most of them for numpy and Typer

"""Every code block of the README runs, in its order, on a fresh folder, and the sample tour after it.

Blocks that open with ``# name`` are files; commands of the README run in this process, which saves a minute of
starting it anew for each.
"""

from __future__ import annotations

import os
import re
import runpy
import shlex
from dataclasses import dataclass
from pathlib import Path

import pytest
from typer.testing import CliRunner

import embedders
from pipelines import VectorSet
from pipelines.cli.main import app
from pipelines.uses.search import search

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()

# a complete run over the samples meets the damaged picture among them, which is its right outcome
EXIT_CODES = {
    "embed run samples/records -o records --weights random:0": 3,
    "embed run samples/records -o records -e text=text.bert --weights random:0": 3,
}


@dataclass
class Block:
    language: str
    text: str
    line: int


BLOCKS = [
    Block(found[1], found[2], README[: found.start()].count("\n") + 2)
    for found in re.finditer(r"^```(\w*)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
]


@pytest.fixture(scope="module", autouse=True)
def fresh_folder(tmp_path_factory: pytest.TempPathFactory) -> object:
    before = Path.cwd()
    folder = tmp_path_factory.mktemp("readme")
    (folder / "samples").symlink_to(ROOT / "samples")
    os.chdir(folder)
    yield folder
    os.chdir(before)


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: f"{block.language}-line-{block.line}")
def test_the_blocks_of_the_readme(block: Block, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(os.getcwd())
    if block.language == "bash":
        for command in re.sub(r"\\\n", " ", block.text).strip().splitlines():
            run_command(command)
    elif block.language == "python":
        run_python(block)
    elif block.language == "toml":
        run_toml(block.text)
    else:
        assert block.language == "text"


def run_command(command: str) -> None:
    words = shlex.split(command, comments=True)
    assert words[:2] == ["uv", "run"]
    if words[2:3] == ["pytest"]:
        return  # this very run
    assert words[2] == "embed"
    found = CliRunner().invoke(app, words[3:])
    assert found.exit_code == EXIT_CODES.get(shlex.join(words[2:]), 0), found.output


def run_python(block: Block) -> None:
    named = re.match(r"# (\w+\.py)\n", block.text)
    if named:
        Path(named[1]).write_text(block.text)
        return
    source = "\n" * (block.line - 1) + block.text  # so that a traceback names the README's line
    exec(compile(source, str(ROOT / "README.md"), "exec"), {"__name__": "readme"})


def run_toml(text: str) -> None:
    if "entry-points" in text:
        assert '"image.mean_colour" = "colours:MeanColour"' in text
        return
    Path("run.toml").write_text(text)
    found = CliRunner().invoke(app, ["run", "--config", "run.toml"])
    assert found.exit_code in (0, 3), found.output


def test_the_first_command_embedded_every_scene_in_one_space() -> None:
    vs = VectorSet.open("vectors")
    assert list(vs) == ["audio_starter", "image_starter", "text_starter"]
    assert len({column.space for column in vs.columns.values()}) == 1
    assert all(column.ok.all() and not column.info.meaningless for column in vs.columns.values())


@pytest.mark.parametrize("column", ["audio_starter", "image_starter", "text_starter"])
def test_the_second_command_finds_what_belongs_together(column: str) -> None:
    best = search(VectorSet.open("vectors"), "two small striped red engines", column=column, k=1)[0]
    assert Path(f"samples/scenes/{best.id}.txt").read_text() == "here are two scarlet small striped motors\n"


def test_untidy_files_are_rows_all_the_same() -> None:
    vs = VectorSet.open("records")
    assert list(vs) == ["audio_wav2vec2", "image_resnet50", "image_clip", "text_clip", "text_bert"]
    assert 10 <= len(vs) <= 15
    for column in vs.columns.values():
        assert column.info.meaningless
        assert column.ok.sum() >= 6
    assert {row["status"] for row in vs.failures().to_pylist()} == {"corrupt"}


def test_the_tour_walks_through(capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(str(ROOT / "samples/tour.py"), run_name="__main__")
    told = capsys.readouterr().out
    assert "equal texts, equal vectors: True" in told
    assert "refused an input: unsupported" in told
    assert "caption_bert: ['ok', 'ok', 'empty']" in told


def test_the_readme_names_every_embedder_that_is_built_in() -> None:
    listed = {name for name, entry in embedders.entries().items() if entry.provider.startswith("multimodal-")}
    assert len(listed) > 25
    table = README[README.index("## Embedders") : README.index("## The vector set")]
    named = set(re.findall(r"`((?:text|image|audio)\.\w+)`", table))
    assert named == listed

"""The page on plugins, followed to the letter in a folder and an environment of its own."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "samples/plugins/README.md").read_text()
PLUGIN = ROOT / "samples/plugins/series_rhythm"
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
COMMANDS = [line for language, text in BLOCKS if language == "bash" for line in text.splitlines()]

EXIT_CODES = {"run": 3}
"""One of the series is broken, which the page says."""


def test_one_file_of_forty_lines_and_three_commands_before_it_is_used() -> None:
    modules = [text for language, text in BLOCKS if language == "python"]
    assert len(modules) == 1
    assert len(modules[0].splitlines()) <= 40
    assert [shlex.split(line)[2] for line in COMMANDS] == ["embed", "install", "embed", "embed", "embed"]
    assert [shlex.split(line)[3] for line in COMMANDS if "embed " in line] == [
        "new-plugin",
        "check",
        "run",
        "search",
    ]


def test_the_page_and_the_folder_beside_it_show_the_same_plugin() -> None:
    assert dict(BLOCKS)["python"] == (PLUGIN / "series_rhythm.py").read_text()


@dataclass(frozen=True)
class Fresh:
    """A folder to type commands in, and packages that only they find."""

    folder: Path
    site: Path

    def type(self, line: str) -> subprocess.CompletedProcess[str]:
        words = shlex.split(line)
        if words[:2] == ["uv", "run"]:
            assert words[2] == "embed"
            command = [sys.executable, "-m", "pipelines.cli.main", *words[3:]]
        else:  # offline, and into a folder of this test instead of the environment that runs it
            assert words[:3] == ["uv", "pip", "install"]
            uv = os.environ.get("UV") or shutil.which("uv")
            assert uv, "the tests are run by uv"
            here = ["--python", sys.executable, "--target", str(self.site)]
            command = [uv, *words[1:3], *here, "--offline", "--no-deps", "--no-build-isolation", *words[3:]]
        path = [str(self.site), str(ROOT), os.environ.get("PYTHONPATH", "")]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, path)), "COLUMNS": "80"}
        return subprocess.run(command, cwd=self.folder, env=environment, capture_output=True, text=True)


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Fresh:
    folder = tmp_path_factory.mktemp("guide")
    (folder / "samples").symlink_to(ROOT / "samples")
    return Fresh(folder, folder / "site")


@pytest.fixture(scope="module")
def said(fresh: Fresh) -> dict[str, str]:
    """What each command printed, by its first word, after all of them ended as the page says."""
    found = {}
    for line in COMMANDS:
        if "install" in line:
            module = fresh.folder / "series_rhythm/series_rhythm.py"
            assert module.exists()
            module.write_text(dict(BLOCKS)["python"])
        done = fresh.type(line)
        name = shlex.split(line)[3] if "uv run" in line else "install"
        assert done.returncode == EXIT_CODES.get(name, 0), f"{line}\n{done.stdout}{done.stderr}"
        found[name] = done.stdout
    return found


pytestmark = pytest.mark.slow


def test_every_command_of_the_page_ends_as_it_says(said: dict[str, str]) -> None:
    assert list(said) == ["new-plugin", "install", "check", "run", "search"]


def test_the_check_finds_nothing_wrong(said: dict[str, str]) -> None:
    assert "series.rhythm  series-rhythm 0.1.0" in said["check"]
    assert "FAIL" not in said["check"]
    assert re.search(r"^All \d\d checks passed", said["check"], re.MULTILINE)


def test_the_search_finds_what_the_page_shows(said: dict[str, str]) -> None:
    shown = next(text for language, text in BLOCKS if language == "text")
    assert [line.rstrip() for line in said["search"].splitlines()] == shown.splitlines()


def test_the_folder_beside_the_page_is_what_new_plugin_writes(said: dict[str, str], fresh: Fresh) -> None:
    for path in PLUGIN.iterdir():
        if path.is_file():
            assert path.read_text() == (fresh.folder / "series_rhythm" / path.name).read_text(), path.name


def test_it_is_listed_and_recorded_with_its_own_version(said: dict[str, str], fresh: Fresh) -> None:
    assert "* series.rhythm" in fresh.type("uv run embed list").stdout
    shown = fresh.type("uv run embed info series.rhythm --json").stdout
    assert '"series-rhythm": "0.1.0"' in shown
    assert '"series-rhythm": "0.1.0"' in (fresh.folder / "beats/manifest.json").read_text().replace('":"', '": "')


def test_one_broken_series_is_one_row_with_a_status(said: dict[str, str], fresh: Fresh) -> None:
    failures = fresh.type("uv run embed show beats --failures").stdout
    assert failures.startswith("broken\tseries_rhythm\tcorrupt\tDECODE: ValueError")
    assert len(failures.splitlines()) == 1

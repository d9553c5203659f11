"""The file system around a run (FS): strange names, deep trees, few open files, no home, another locale."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pipelines import Pipeline
from tests.embedders.modalities.pictures import colours, encode
from tests.hostile.containment import rows_of
from tests.hostile.measures import PictureMeasures

pytestmark = pytest.mark.usefixtures("torchless")

P = encode(colours(8, 9))


# ---- names and trees ---------------------------------------------------------------------------------------------


def test_FS_06_every_name_is_a_row_of_its_own(tmp_path: Path) -> None:
    names = [
        b"plain",
        b"caf\xc3\xa9",  # composed
        b"cafe\xcc\x81",  # decomposed
        b"caf\xe9",  # Latin-1
        b"line\nbreak",
        b"quotes '\" and , tab\t",
        "\N{BELL}\N{SAXOPHONE}".encode(),
        b"-rf",
        b"x" * (255 - len(b".png")),
        b"\x1b[31m",
    ]
    folder = os.fsencode(tmp_path / "in")
    os.mkdir(folder)
    for number, name in enumerate(names):
        with open(os.path.join(folder, name + b".png"), "wb") as file:
            file.write(encode(np.full((1, 1 + number, 3), number, np.uint8)))
    Pipeline({"image": PictureMeasures()}).run(tmp_path / "in", tmp_path / "set")
    rows = rows_of(tmp_path / "set")
    widths = {row["id"]: int(np.frombuffer(row["image_picturemeasures"], "f4")[1]) for row in rows}
    assert {row["image_picturemeasures_status"] for row in rows} == {"ok"}
    assert sorted(widths.values()) == [1 + number for number in range(len(names))]
    utf8 = [name.decode() for number, name in enumerate(names) if number != 3]
    assert set(utf8) < set(widths)
    assert len({row["image"] for row in rows}) == len(names)


def test_FS_11_a_tree_two_hundred_deep_with_a_loop_is_walked_once(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    for _ in range(200):
        folder /= "d"
    folder.mkdir(parents=True)
    (folder / "x.png").write_bytes(P)
    (folder / "again").symlink_to(tmp_path / "in")
    Pipeline({"image": PictureMeasures()}).run(tmp_path / "in", tmp_path / "set")
    (row,) = rows_of(tmp_path / "set")
    assert (row["id"], row["image_picturemeasures_status"]) == ("d/" * 200 + "x", "ok")


def test_FS_15_names_that_differ_in_case_are_two_rows(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name in ("A.PNG", "a.png"):
        (tmp_path / "in" / name).write_bytes(P)
    Pipeline({"image": PictureMeasures()}).run(tmp_path / "in", tmp_path / "set")
    assert [row["id"] for row in rows_of(tmp_path / "set")] == ["A", "a"]


# ---- poor surroundings -------------------------------------------------------------------------------------------


CODE = """
import resource, sys
from embedders import Runtime
from pipelines import Pipeline
from tests.hostile.measures import PictureMeasures

Runtime.of = classmethod(lambda cls, device="auto", precision="auto": cls())
files = int(sys.argv[3])
resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
Pipeline({"image": PictureMeasures()}, threads=8).run(sys.argv[1], sys.argv[2])
"""


def parts(out: Path) -> dict[str, bytes]:
    assert {row["image_picturemeasures_status"] for row in rows_of(out)} == {"ok"}
    return {part.name: part.read_bytes() for part in (out / "data").iterdir()}


@pytest.mark.parametrize(
    ("open_files", "environment"),
    [
        pytest.param(32, {}, id="FS-12 few open files"),
        pytest.param(
            256,
            {"HOME": None, "TMPDIR": "/nonexistent", "XDG_CACHE_HOME": "/nonexistent", "HF_HOME": "/nonexistent"},
            id="FS-13 no home, no temporary folder",
        ),
        pytest.param(256, {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}, id="FS-14 locale C"),
    ],
)
def test_poor_surroundings_change_no_byte(
    tmp_path: Path, open_files: int, environment: dict[str, str | None]
) -> None:
    (tmp_path / "in").mkdir()
    for number in range(40):
        (tmp_path / "in" / f"é {number}.png").write_bytes(encode(np.full((2, 1 + number, 3), number, np.uint8)))
    Pipeline({"image": PictureMeasures()}).run(tmp_path / "in", tmp_path / "here")
    inherited = {key: value for key, value in {**os.environ, **environment}.items() if value is not None}
    command = [sys.executable, "-c", CODE, str(tmp_path / "in"), str(tmp_path / "there"), str(open_files)]
    done = subprocess.run(command, env=inherited, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert parts(tmp_path / "there") == parts(tmp_path / "here")

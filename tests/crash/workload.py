"""A small run on the real command line, and what an undisturbed one leaves: what every crash is measured by.

Captions and pictures, three columns, one record in twenty hostile. All of it is drawn up in a folder of its own; a
run's processes carry a mark in their environment, by which they are found whoever their parent is.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import random
import shutil
import subprocess
import sys
import time
import uuid
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
MARK = "EMBED_CRASH_RUN"
COMPLETE = 3
"""Exit code of the run: complete, with the failed rows of the hostile records."""

HOSTILE: tuple[tuple[str | None, str | None], ...] = (
    ("", "0.png"),
    ("!raise", "1.png"),
    ("!nan", "2.png"),
    ("half a picture", "half.png"),
    ("no picture", "missing.png"),
    ("another's", "../../../../etc/passwd"),
    (None, None),
    ("no picture at all", "words.png"),
)

Bytes = dict[str, bytes]


@dataclass(frozen=True)
class Workload:
    """``parts`` times ``rows`` records in ``folder``; ``pause`` is the seconds that a batch takes."""

    folder: Path
    parts: int = 16
    rows: int = 25
    pause: float = 0.0
    options: tuple[str, ...] = ()
    program: tuple[str, ...] = ("pipelines.cli.main",)
    code: Path = ROOT

    def __post_init__(self) -> None:
        pictures = self.folder / "pictures"
        if pictures.exists():
            return
        pictures.mkdir(parents=True)
        for number in range(20):
            (pictures / f"{number}.png").write_bytes(png(1 + number, 2, bytes([7 * number, 99, 200 - number])))
        (pictures / "half.png").write_bytes(png(30, 30, b"abc")[:90])
        (pictures / "words.png").write_bytes(b"no picture at all")
        with self.table.open("w") as table:
            for number in range(self.parts * self.rows):
                hostile = HOSTILE[number // 20 % len(HOSTILE)] if number % 20 == 7 else None
                caption, picture = hostile or (f"caption {number}", f"{number % 20}.png")
                place = picture and f"pictures/{picture}"
                table.write(json.dumps({"id": f"r{number}", "caption": caption, "picture": place}) + "\n")
        # pyarrow imports pandas wherever it is installed: a second of each start, and nothing of ours
        hidden = self.folder / "hidden"
        hidden.mkdir()
        (hidden / "pandas.py").write_text("raise ImportError('hidden')\n")

    def broken(self, mutant: str) -> Workload:
        """The same, run by a command that is broken on purpose, without workers."""
        return replace(self, program=("tests.crash.mutants", mutant), options=("--workers", "0"))

    @property
    def table(self) -> Path:
        return self.folder / "table.jsonl"

    def command(self, out: Path, *more: str) -> list[str]:
        """The run into ``out``; ``more`` options come last and win."""
        words = "tests.crash.embedders:Words"
        return [
            *(sys.executable, "-m", *self.program, "run", str(self.table), "-o", str(out)),
            *("--id-column", "id", "--part-rows", str(self.rows), "--device", "cpu", "--threads", "2"),
            *("-e", f"caption={words}(pause={self.pause})", "-e", f"caption={words}(salt=1,dim=16,as=salted)"),
            *("-e", "picture=tests.crash.embedders:Pictures"),
            *self.options,
            *more,
        ]

    def environment(self, **more: str | None) -> dict[str, str]:
        """What the run is started with; None takes a variable away."""
        values = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(self.code), str(self.folder / "hidden")]),
            # half of a start is the compiling of what it imports, wherever that may not be kept
            "PYTHONDONTWRITEBYTECODE": "",
            "PYTHONPYCACHEPREFIX": str(self.folder / "compiled"),
            "OMP_NUM_THREADS": "1",
            "NO_COLOR": "1",
            **more,
        }
        return {name: value for name, value in values.items() if value is not None}

    def start(self, out: Path, *more: str, before: Sequence[str] = (), **popen: Any) -> Started:
        """Begin the run, behind another program (``strace``) if need be; nothing is waited for."""
        mark = uuid.uuid4().hex
        environment = self.environment(**popen.pop("env", {}), **{MARK: mark})
        popen = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **popen}
        popen = {"cwd": self.folder, "start_new_session": True, **popen}
        return Started(subprocess.Popen([*before, *self.command(out, *more)], env=environment, **popen), mark)

    def run(self, out: Path, *more: str, **popen: Any) -> Ended:
        """The run from its beginning to its end."""
        return self.start(out, *more, **popen).end()

    @functools.cached_property
    def reference(self) -> Bytes:
        """What an undisturbed run leaves, made on first use."""
        out = self.folder / "reference"
        if not out.exists():
            ended = self.run(out)
            assert ended.code == COMPLETE, ended
        return contents(out)


@dataclass(frozen=True)
class Ended:
    """How a run ended, what it said, and which of its processes were still there two seconds later."""

    code: int
    out: str
    err: str
    orphans: tuple[int, ...] = ()


@dataclass
class Started:
    """A run that goes on."""

    popen: subprocess.Popen[bytes]
    mark: str
    began: float = field(default_factory=time.monotonic)

    @property
    def alive(self) -> bool:
        return self.popen.poll() is None

    def processes(self) -> list[int]:
        """Every process of the run that lives, whoever its parent is."""
        mark = f"{MARK}={self.mark}".encode()
        found = []
        for entry in os.listdir("/proc"):
            with contextlib.suppress(OSError):  # it ended meanwhile, or is another user's
                if entry.isdecimal() and mark in Path("/proc", entry, "environ").read_bytes():
                    found.append(int(entry))
        return found

    def workers(self) -> list[int]:
        """Its worker processes."""
        found = []
        for pid in self.processes():
            with contextlib.suppress(OSError):
                if b"pipelines.engines.worker" in Path(f"/proc/{pid}/cmdline").read_bytes():
                    found.append(pid)
        return found

    def until(self, seen: Any, seconds: float = 30.0) -> bool:
        """Whether ``seen()`` became true while the run lived."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if seen():
                return True
            if not self.alive:
                return bool(seen())
            time.sleep(0.001)
        return False

    def holds(self, out: Path) -> bool:
        """Whether it has begun to write: it holds the lock of the output folder."""
        with contextlib.suppress(OSError, ValueError, TypeError):
            return bool(json.loads((out / "LOCK").read_bytes())["pid"] == self.popen.pid)
        return False

    def end(self, seconds: float = 60.0) -> Ended:
        """Wait for its end, and for that of all its processes."""
        out, err = self.popen.communicate(timeout=seconds)
        deadline = time.monotonic() + 2.0
        while (left := self.processes()) and time.monotonic() < deadline:
            time.sleep(0.01)
        return Ended(self.popen.returncode, _said(out), _said(err), tuple(left))


def code_of_now(folder: Path) -> Path:
    """A copy of the packages, so that a run of hours is not disturbed by whoever works on them."""
    for package in ("embedders", "pipelines", "tests"):
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def contents(out: Path) -> Bytes:
    """Every file of a folder; of commit records without the seconds that the work took."""
    found = {}
    for path in sorted(out.rglob("*")):
        if path.is_file():
            content = path.read_bytes()
            if path.parent.name == "commits" and path.suffix == ".json":
                with contextlib.suppress(ValueError):
                    timeless = json.loads(content)
                    del timeless["seconds"], timeless["seal"]
                    content = json.dumps(timeless).encode()
            found[str(path.relative_to(out))] = content
    return found


def differing(found: Bytes, expected: Bytes) -> list[str]:
    """What is missing, foreign or other, in words."""
    said = [f"{name} is missing" for name in expected.keys() - found.keys()]
    said += [f"{name} does not belong there" for name in found.keys() - expected.keys()]
    said += [f"{name} differs" for name in found.keys() & expected.keys() if found[name] != expected[name]]
    return sorted(said)


def standing(out: Path) -> dict[str, tuple[int, int]]:
    """Inode and time of the files of all committed parts: they may never be touched again."""
    found = {}
    for record in sorted(out.glob("commits/part-*.json")):
        for path in (record, out / "data" / f"{record.stem}.parquet"):
            with contextlib.suppress(FileNotFoundError):
                stat = path.stat()
                found[str(path.relative_to(out))] = (stat.st_ino, stat.st_mtime_ns)
    return found


def png(width: int, height: int, colour: bytes) -> bytes:
    """A picture of one colour with noise in it, so that each is another."""
    drawn = random.Random(width)
    pixels = [bytes(level ^ drawn.randrange(8) for level in colour * width) for _ in range(height)]
    rows = b"".join(b"\0" + row for row in pixels)

    def chunk(kind: bytes, content: bytes) -> bytes:
        checked = kind + content
        return len(content).to_bytes(4, "big") + checked + zlib.crc32(checked).to_bytes(4, "big")

    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([8, 2, 0, 0, 0])
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def _said(output: bytes | None) -> str:
    return (output or b"").decode(errors="replace")

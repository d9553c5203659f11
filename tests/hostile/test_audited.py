"""A corpus of hostile files under an audit hook: SEC-15, NET-14."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).parent.parent.parent

AUDITED = """
import json, os, sys
from pathlib import Path
import tests.conftest
from embedders import Runtime
from pipelines import Pipeline
from tests.hostile.measures import PictureMeasures, SoundMeasures, TextMeasures
from tests.toy import Filed

table, out = Path(sys.argv[1]), Path(sys.argv[2])
Runtime.of = classmethod(lambda cls, *args, **options: cls())
seen = []
STARTS = ("subprocess", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "pty.")
NETWORK = ("socket.connect", "socket.bind", "socket.getaddrinfo", "socket.gethostby", "socket.sendto", "urllib.")
CODE = ("pickle.find_class", "code.__new__", "webbrowser.", "ftplib.", "smtplib.")
MOVES = ("os.remove", "os.rename", "os.link", "os.symlink", "os.mkdir", "os.rmdir", "os.truncate", "os.chmod",
         "os.chown", "shutil.")

def inside(path):
    named = isinstance(path, (str, bytes, os.PathLike))
    return not named or os.path.abspath(os.fsdecode(path)).startswith(str(out))

def hook(event, args):
    if event.startswith((*STARTS, *NETWORK, *CODE)):
        seen.append([event, repr(args)[:200]])
    if event == "open" and args[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND):
        if not inside(args[0]):
            seen.append([event, repr(args)[:200]])
    if event.startswith(MOVES) and not all(inside(path) for path in args[:2]):
        seen.append([event, repr(args)[:200]])

import PIL.Image, soundfile, soxr, pyarrow.parquet  # what libraries do when they are loaded is their own affair
sys.addaudithook(hook)
choices = {"picture": PictureMeasures(), "sound": SoundMeasures(), "words": TextMeasures(), "file": Filed()}
vs = Pipeline(choices, threads=2).run(table, out)
statuses = {name: sorted(vs[name].statuses) for name in vs}
print(json.dumps({"rows": len(vs), "seen": seen, "statuses": statuses}))
"""

FILES: dict[str, bytes] = {
    "empty": b"",
    "noise": bytes(range(256)) * 40,
    "page.html": b"<html><script>alert(1)</script></html>",
    "program.eps": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(%pipe%touch marker) (w) file\n",
    "drawing.svg": b"<svg xmlns='http://www.w3.org/2000/svg'><image href='http://127.0.0.1:9/'/></svg>",
    "paper.pdf": b"%PDF-1.4\n1 0 obj<</Type/Catalog/OpenAction<</S/Launch/F(touch)>>>>endobj\n",
    "list.m3u8": b"#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/a.ts\n",
    "list.concat": b"ffconcat version 1.0\nfile /etc/passwd\n",
    "pickled": b"cposix\nsystem\n(S'touch marker'\ntR.",
    "numpy.npy": b"\x93NUMPY\x01\x00\x76\x00{'descr': '|O', 'fortran_order': False, 'shape': (1,)}"
    + b" " * 60
    + b"\n",
    "zipped.zip": b"PK\x03\x04" + bytes(60),
    "torn.png": b"\x89PNG\r\n\x1a\n" + bytes(30),
    "torn.jpg": b"\xff\xd8\xff\xe0" + bytes(30),
    "torn.wav": b"RIFF\xff\xff\xff\xffWAVEfmt \x10\0\0\0" + bytes(20),
    "torn.flac": b"fLaC" + bytes(40),
    "torn.ogg": b"OggS" + bytes(60),
    "torn.mp3": b"ID3\x04\0\0\x7f\x7f\x7f\x7f" + bytes(60),
    "icon.ico": b"\0\0\x01\0\x01\0" + bytes(40),
    "text": b"two red bells",
}
PATHS = (
    *(
        "../outside",
        "/etc/passwd",
        "/dev/zero",
        "/proc/self/environ",
        "~/x",
        "$HOME/x",
        "a\0b",
        "pipe:touch marker",
    ),
    *(
        "file:///etc/passwd",
        "http://127.0.0.1:9/a",
        "https://files.example/a",
        "s3://bucket/a",
        "pipe",
        "link",
        ".",
    ),
    *("\\\\server\\share", "data:,x", "a" * 5000),
)


def test_sec_15_and_net_14_a_hostile_corpus_starts_connects_unpickles_and_writes_nothing(tmp_path: Path) -> None:
    corpus, out = tmp_path / "corpus", tmp_path / "out"
    corpus.mkdir()
    (tmp_path / "outside").write_text("outside")
    for name, content in FILES.items():
        (corpus / name).write_bytes(content)
    os.mkfifo(corpus / "pipe")
    (corpus / "link").symlink_to(tmp_path / "outside")
    Image.fromarray(np.zeros((4, 5, 3), np.uint8)).save(corpus / "good.png")
    values = [*FILES, *PATHS, "good.png"]
    rows = [{"id": str(n), **dict.fromkeys(("picture", "sound", "file", "words"), v)} for n, v in enumerate(values)]
    (corpus / "table.jsonl").write_text("\n".join(map(json.dumps, rows)))
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-c", AUDITED, str(corpus / "table.jsonl"), str(out)]
    ran = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment)
    assert ran.returncode == 0, ran.stderr
    found = json.loads(ran.stdout)
    assert found["seen"] == []
    assert found["rows"] == len(values)
    assert {"ok", "blocked", "corrupt", "unsupported", "unreadable"} <= set(
        found["statuses"]["picture_picturemeasures"]
    )
    assert not list(tmp_path.rglob("marker"))


def test_sec_15_the_hook_sees_what_it_looks_for(tmp_path: Path) -> None:
    acts = (
        "import socket, pickle, subprocess\n"
        "def read(self): subprocess.run(['true']); open('/dev/null', 'w').close(); socket.socket().connect_ex"
        "(('127.0.0.1', 9)); pickle.loads(b'cbuiltins\\nint\\n.'); yield from ()\n"
    )
    script = AUDITED.partition("choices = ")[0] + acts + "list(read(None))\nprint(json.dumps([e for e, _ in seen]))"
    command = [sys.executable, "-c", script, str(tmp_path / "table"), str(tmp_path / "out")]
    ran = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    seen = set(json.loads(ran.stdout))
    assert {"subprocess.Popen", "open", "socket.connect", "pickle.find_class"} <= seen

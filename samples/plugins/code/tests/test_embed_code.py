"""What the package promises; run with ``pytest`` where it is installed."""

from __future__ import annotations

import ast
import gc
import json
import time
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from embed_code.functions import main, split

import embedders
from embedders import BadInput, BaseEmbedder, EmbedderSpec, Limits, Status, UsageError
from embedders.conformance import contract
from embedders.registry import registry

RECORDS = Path(__file__).parent.parent / "records"

SOURCE = '''"""A stack."""
import os

LIMIT = 3

@trace
@limit(
    LIMIT
)
def fresh(
    size=0,
):
    def inner():
        return 1
    return Stack()

class Stack(list):
    """Last in, first out."""

    class Empty(Exception):
        pass

    size = 0
    @property
    async def top(self):
        text = """
not indented"""
        return self[-1]

if os.name == "nt":
    def never(): ...
'''

PARTS = [
    ("", "module", 1, '"""A stack."""\nimport os\n\nLIMIT = 3\n\n\n\nif os.name == "nt":\n    def never(): ...'),
    (
        "fresh",
        "function",
        6,
        "@trace\n@limit(\n    LIMIT\n)\ndef fresh(\n    size=0,\n):\n    def inner():\n        return 1\n"
        "    return Stack()",
    ),
    ("Stack", "class", 17, 'class Stack(list):\n    """Last in, first out."""\n\n\n    size = 0'),
    ("Stack.Empty", "class", 20, "class Empty(Exception):\n    pass"),
    (
        "Stack.top",
        "function",
        24,
        '@property\nasync def top(self):\n    text = """\nnot indented"""\n    return self[-1]',
    ),
]


class Lengths(BaseEmbedder):
    """Of a text: its letters, its lines, and 1. Its cost is its lines."""

    batch_cost = 8

    @property
    def spec(self) -> EmbedderSpec:
        """Three dimensions."""
        return EmbedderSpec("text", "lengths", 3, False)

    def prepare(self, media: str) -> list[int]:
        """The three numbers."""
        return [len(media), media.count("\n") + 1, 1]

    def cost(self, sample: list[int]) -> int:
        """Lines."""
        return sample[1]

    def collate(self, samples: Sequence[list[int]]) -> Any:
        """Stack; never more than may be held at once."""
        assert len(samples) * max(map(self.cost, samples)) <= self.batch_cost or len(samples) == 1
        return np.array(samples)

    def load(self, runtime: Any) -> Any:
        """Nothing."""
        return lambda batch: batch

    def examples(self) -> list[str]:
        """None are needed."""
        return []


LENGTHS = f"{__name__}:Lengths"

TestFunctions = contract("code.functions", encoder=LENGTHS)


def decoded(raw: object, limits: Limits | None = None) -> Any:
    """The media of one input."""
    return registry.modality("code").decode(raw, limits).media


def test_a_source_is_split_into_its_functions_and_classes() -> None:
    parts = decoded(SOURCE).parts
    assert [(part.name, part.kind, part.line, part.text) for part in parts] == PARTS


@pytest.mark.parametrize("line_break", ["\r\n", "\r"])
def test_line_breaks_of_other_systems_make_no_difference(line_break: str) -> None:
    assert split(SOURCE.replace("\n", line_break)) == split(SOURCE)


def test_each_part_is_a_source_of_its_own() -> None:
    methods_alone = "class A:\n    def f(self): ...\n\n    class B:\n\tdef g(self): ...\n".replace("\t", "        ")
    for text in (SOURCE, methods_alone, Path(__file__).read_text("utf-8")):
        for part in split(text):
            assert isinstance(ast.parse(part.text), ast.Module)


def test_the_vector_is_the_mean_by_cost() -> None:
    (found,) = embedders.create("code.functions", encoder=LENGTHS).embed([SOURCE], device="cpu")
    rows = [(len(text), text.count("\n") + 1, 1) for _, _, _, text in PARTS]
    expected = np.average(rows, axis=0, weights=[lines for _, lines, _ in rows])
    assert found == pytest.approx(expected, rel=1e-6)


def test_files_in_one_batch_do_not_mix() -> None:
    files = [SOURCE, "x = 1", *(file.read_text("utf-8") for file in sorted(RECORDS.glob("*.py")))]
    embedder = embedders.create("code.functions", encoder=LENGTHS)
    together = embedder.embed(files * 3, device="cpu")
    assert np.array_equal(
        together, np.tile(np.concatenate([embedder.embed([f], device="cpu") for f in files]), (3, 1))
    )


def test_one_function_has_the_vector_of_its_text() -> None:
    function = split((RECORDS / "words.py").read_text("utf-8"))[1].text
    code = embedders.create("code.functions", encoder="text.hashing").embed([function], device="cpu")
    assert code == pytest.approx(embedders.create("text.hashing").embed([function], device="cpu"), abs=1e-6)


@pytest.mark.parametrize(
    ("raw", "status", "words"),
    [
        ("def f(:\n    pass", Status.INVALID, "line 1: invalid syntax"),
        ("two red bells", Status.INVALID, "line 1: invalid syntax"),
        ("x = 1\n  y = 2", Status.INVALID, "line 2: unexpected indent"),
        ("x = '\0'", Status.INVALID, "null bytes"),
        (b"x = '\xff'", Status.INVALID, "missing encoding declaration"),
        (b"# coding: rot13\nk = 1", Status.INVALID, "rot13"),
        (b"# coding: klingon\nk = 1", Status.INVALID, "unknown encoding"),
        (7, Status.INVALID, "int is no source"),
        (b"", Status.EMPTY, "no code"),
        (" \n\t\n", Status.EMPTY, "no code"),
        ("x = '" + "y" * 10_000 + "'", Status.LIMIT, "10,006 characters in a line"),
        ("-" * 9_000 + "1", Status.LIMIT, "nested|memory"),
        ("def f(): ...\n" * 5_001, Status.LIMIT, "5,001 parts"),
    ],
)
def test_what_is_no_source_is_told_why(raw: object, status: Status, words: str) -> None:
    with pytest.raises(BadInput, match=words) as caught:
        decoded(raw)
    assert caught.value.status == status


def test_more_characters_than_allowed_are_refused() -> None:
    for raw in ("x = 1\n" * 100, b"x = 1\n" * 100):
        with pytest.raises(BadInput) as caught:
            decoded(raw, Limits(characters=100))
        assert caught.value.status == Status.LIMIT


def test_encodings_are_followed_as_python_follows_them() -> None:
    assert decoded("# -*- coding: latin-1 -*-\nx = 'é'".encode("latin-1")).text.endswith("'é'")
    assert decoded(b"\xef\xbb\xbfx = 1").text == "x = 1"


def test_odd_escapes_are_not_complained_of() -> None:
    with warnings.catch_warnings(), ThreadPoolExecutor(4) as pool:
        warnings.simplefilter("error")
        assert len(set(pool.map(split, ['x = "\\d"'] * 100))) == 1
        with pytest.raises(UserWarning, match="ours"):
            warnings.warn("ours", stacklevel=1)


def test_a_thread_that_is_interrupted_while_it_parses_takes_no_harm_from_others() -> None:
    def interrupted(*_: object) -> None:
        time.sleep(0)  # lets other threads run

    often = gc.get_threshold()
    gc.callbacks.append(interrupted)
    gc.set_threshold(5)
    try:
        with ThreadPoolExecutor(4) as pool:
            assert len(set(pool.map(split, [SOURCE] * 500))) == 1
    finally:
        gc.set_threshold(*often)
        gc.callbacks.remove(interrupted)


def test_a_table_of_functions(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / ".venv").mkdir()
    (tmp_path / "inner" / "a.py").write_text(
        "def f(): return 'é'\n\n\ndef f(): return 2\n\nclass A:\n  def g(self): 3\n"
    )
    (tmp_path / "b.py").write_text("def f(:")
    (tmp_path / ".venv" / "c.py").write_text("def f(): ...")
    assert main([str(tmp_path)]) == 3
    printed = capsys.readouterr()
    assert [json.loads(line) for line in printed.out.splitlines()] == [
        {"id": "inner/a.py:f", "code": "def f(): return 'é'", "path": "inner/a.py", "name": "f", "line": 1},
        {"id": "inner/a.py:f#2", "code": "def f(): return 2", "path": "inner/a.py", "name": "f", "line": 4},
        {"id": "inner/a.py:A.g", "code": "def g(self): 3", "path": "inner/a.py", "name": "A.g", "line": 7},
    ]
    assert printed.err.startswith("invalid: b.py: line 1")
    assert main([str(RECORDS)]) == 0
    assert main([]) == main([str(tmp_path / "b.py")]) == 2


def test_an_encoder_that_reads_no_text_is_refused() -> None:
    with pytest.raises(UsageError, match=r"'image\.starter' embeds image"):
        _ = embedders.create("code.functions", encoder="image.starter").spec


def test_weights_are_handed_to_the_encoder() -> None:
    assert embedders.create("code.functions", weights="random:5").weights_identity == {"seed": 5}

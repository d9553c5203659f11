"""Where a corpus may lie, and what is printed of a training."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from embedders import UsageError
from embedders.models.encodings.text import Bow, Tfidf
from embedders.models.words import Word2Vec
from pipelines.cli.words import corpus_texts, words_command
from pipelines.training.words import WordOptions

TEXTS = ["two red bells", "a blue drum", "two red drums"]


@pytest.fixture
def lines(tmp_path: Path) -> Path:
    path = tmp_path / "captions.txt"
    path.write_text("\ufeff" + "\r\n".join(TEXTS), encoding="utf-8")
    return path


def test_a_file_has_a_text_per_line_as_often_as_asked(lines: Path) -> None:
    texts = corpus_texts(lines)
    assert list(texts()) == list(texts()) == TEXTS


def test_a_folder_has_a_text_per_file(tmp_path: Path) -> None:
    for name, content in {"b.txt": "one\ntwo\n", "a/c.txt": "three", ".h/d.txt": "no", "e.md": "no"}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    assert list(corpus_texts(tmp_path)()) == ["three", "one\ntwo"]


def test_a_table_has_a_text_per_cell_that_is_filled(tmp_path: Path) -> None:
    table = tmp_path / "captions.jsonl"
    table.write_text('{"caption": "a bell"}\n{"caption": null}\nbroken\n{"caption": "a drum"}\n')
    assert list(corpus_texts(table, "caption")()) == ["a bell", "a drum"]


@pytest.mark.parametrize(
    ("name", "column", "message"),
    [
        ("none.txt", None, "There is no corpus"),
        ("t.csv", None, "is a table.*--column: Known: caption"),
        ("t.csv", "caption2", "has no column 'caption2'"),
        ("captions.txt", "caption", "is no table"),
        ("latin.txt", None, "Line 2 of .*latin.txt' is not UTF-8"),
    ],
)
def test_what_is_no_corpus_is_said(
    name: str, column: str | None, message: str, lines: Path, tmp_path: Path
) -> None:
    (tmp_path / "t.csv").write_text("id,caption\na,a bell\n")
    (tmp_path / "latin.txt").write_bytes("bell\ncaf\xe9\n".encode("latin-1"))
    with pytest.raises(UsageError, match=message):
        list(corpus_texts(tmp_path / name, column)())


def test_figures_go_to_stdout_and_the_next_step_to_stderr(
    lines: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words_command(lines, tmp_path / "v.txt", WordOptions(dim=4, epochs=1))
    found = capsys.readouterr()
    assert found.out == f"{tmp_path / 'v.txt'}: 2 words of 3 texts\n"
    assert f"-e 'FIELD=text.word2vec(weights={tmp_path / 'v.txt'})'" in found.err
    assert Word2Vec(weights=str(tmp_path / "v.txt")).embed(["two red"]).shape == (1, 4)


@pytest.mark.parametrize(("method", "name", "cls"), [("vocabulary", "bow", Bow), ("tfidf", "tfidf", Tfidf)])
def test_a_vocabulary_serves_the_encoding_that_is_named(
    method: str, name: str, cls: type[Bow], lines: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "v.json"
    words_command(lines, out, WordOptions(method=method), as_json=True)
    found = capsys.readouterr()
    assert {"out": str(out), "words": 2, "texts": 3}.items() <= json.loads(found.out).items()
    words_command(lines, tmp_path / "w.json", WordOptions(method=method))
    assert f"-e 'FIELD=text.{name}(vocabulary={tmp_path / 'w.json'})'" in capsys.readouterr().err
    assert cls(vocabulary=str(out)).embed(["two red"]).shape == (1, 2)

"""``embed train words``: a corpus from wherever it lies, the training, and what a person sees of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import typer

from embedders.errors import UsageError, nearest
from pipelines.cli.escaped import escaped
from pipelines.records import TableSource
from pipelines.records.table import table_suffix
from pipelines.training.words import Texts, WordOptions, train_words

__all__ = ["corpus_texts", "words_command"]


def words_command(
    corpus: Path, out: Path, options: WordOptions, *, column: str | None = None, as_json: bool = False
) -> None:
    """Train on a corpus and print what was made and how it is used.

    Raises what :func:`corpus_texts` and :func:`~pipelines.training.words.train_words` raise.
    """
    found = train_words(corpus_texts(corpus, column), out, options, _say)
    if as_json:
        typer.echo(json.dumps({"out": str(out), **found}, indent=1, ensure_ascii=False))
        return
    typer.echo(escaped(f"{out}: {found['words']:,} words of {found['texts']:,} texts"))
    kind = "vocabulary" if options.method in ("vocabulary", "tfidf") else "weights"
    name = {"vocabulary": "bow"}.get(options.method, options.method)
    _say(escaped(f"Embed by it: -e 'FIELD=text.{name}({kind}={out})'"))


def corpus_texts(corpus: Path, column: str | None = None) -> Texts:
    """The texts of a file with one per line, of a folder's ``.txt`` files, or of a table's column.

    Hidden files are passed over, and so are empty cells and rows that cannot be read. Raises UsageError for a
    corpus that is not there, a table without ``column`` and the reverse, and, while reading, for what is not UTF-8.
    """
    if not corpus.exists():
        raise UsageError(f"There is no corpus {str(corpus)!r}")
    if corpus.is_file() and table_suffix(corpus) is not None:
        if column is None:
            known = TableSource(corpus).fields()
            raise UsageError(f"{str(corpus)!r} is a table", f"Name a column by --column: {nearest('', known)}")
        table = TableSource(corpus, columns=[column])
        return lambda: (text for record in table.records() if isinstance(text := record.fields.get(column), str))
    if column is not None:
        raise UsageError(f"{str(corpus)!r} is no table", "Leave --column out")
    return lambda: _texts_of_folder(corpus) if corpus.is_dir() else _lines(corpus)


def _texts_of_folder(folder: Path) -> Iterator[str]:
    for file in sorted(folder.rglob("*.txt")):
        if not any(part.startswith(".") for part in file.relative_to(folder).parts):
            yield "\n".join(_lines(file))


def _lines(file: Path) -> Iterator[str]:
    try:
        with file.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                try:
                    yield line.decode("utf-8-sig" if number == 1 else "utf-8").strip()
                except UnicodeDecodeError as error:
                    raise UsageError(f"Line {number:,} of '{file}' is not UTF-8", "Save it as UTF-8") from error
    except OSError as error:
        raise UsageError(f"'{file}' cannot be read: {error.strerror or error}") from error


def _say(line: str) -> None:
    typer.echo(line, err=True)

"""Rows of CSV and TSV files: every cell is a string, and nothing is guessed."""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Collection, Iterator
from pathlib import Path

from embedders.errors import BadInput, Status, UsageError
from pipelines.records.damage import Damaged
from pipelines.records.rows import Row, first_repeated
from pipelines.records.stream import LINE_CHARACTERS, open_bytes

__all__ = ["Delimited"]

# The own limit of the csv module refuses cells of 131,072 characters. It is one number for the whole process,
# so it is raised once, here, and never lowered again: other threads may be reading.
csv.field_size_limit(max(csv.field_size_limit(), LINE_CHARACTERS))


class Delimited:
    """A CSV or TSV file in UTF-8 with a header line; quoting as in RFC 4180, and strictly so.

    Cells are strings as written (``001``, ``NA``); an empty one is absent. A row with more or fewer cells than the
    header is a row with a problem. A quote that is never closed swallows whatever follows, so it is Damaged, as
    is a line too long to hold. Another encoding and a repeated column raise UsageError.
    """

    unit = "line"

    def __init__(self, path: Path, delimiter: str) -> None:
        self.path = path
        self.delimiter = delimiter

    def names(self) -> tuple[str, ...]:
        """The header."""
        for _, cells in self._cells():
            repeated = first_repeated(cells)
            if repeated is not None:
                raise UsageError(f"'{self.path}' has more than one column {repeated!r}", "Rename all but one")
            return tuple(cells)
        raise UsageError(f"'{self.path}' is empty: no records", "Its first line must name the columns")

    def rows(self, columns: Collection[str]) -> Iterator[Row]:
        """Rows after the header, with the cells of ``columns``."""
        cells = self._cells()
        _, header = next(cells, (0, []))
        wanted = [(position, name) for position, name in enumerate(header) if name in columns]
        for line, row in cells:
            values = {name: row[position] or None for position, name in wanted if position < len(row)}
            problem = None
            if len(row) != len(header):
                message = f"line {line} has {len(row)} cells, the header has {len(header)}"
                problem = BadInput(Status.INVALID, "REC_COLUMNS", message)
            yield Row(line, values, problem)

    def _cells(self) -> Iterator[tuple[int, list[str]]]:
        with open_bytes(self.path) as stream:
            # newline="": only the csv module knows which line ends are part of a quoted cell
            decoded = io.TextIOWrapper(stream, encoding="utf-8-sig", newline="")
            reader = csv.reader(self._lines(decoded), delimiter=self.delimiter, strict=True)
            line = 1
            try:
                for cells in reader:
                    if cells:
                        yield line, cells
                    line = reader.line_num + 1
            except UnicodeDecodeError:
                raise UsageError(
                    f"'{self.path}', line {self._undecodable()}: not UTF-8",
                    "Save it as UTF-8, for example with: iconv -f latin1 -t utf-8",
                ) from None
            except csv.Error as error:
                cure = 'close every quote; a quote inside a quoted cell is written twice ("")'
                raise Damaged("REC_QUOTE", f"{error}; {cure}", line) from error

    def _lines(self, decoded: io.TextIOWrapper) -> Iterator[str]:
        number = 0
        while line := decoded.readline(LINE_CHARACTERS + 1):
            number += 1
            if len(line) > LINE_CHARACTERS:
                raise Damaged("REC_LINE", f"longer than {LINE_CHARACTERS} characters", number)
            yield line

    def _undecodable(self) -> int:
        """The number of the first line that is not UTF-8; found afterwards, so that good files pay nothing."""
        decoder = codecs.getincrementaldecoder("utf-8")()
        line = 1
        with open_bytes(self.path) as stream:
            while chunk := stream.read(1 << 16):
                try:
                    line += decoder.decode(chunk).count("\n")
                except UnicodeDecodeError as error:
                    return line + error.object[: error.start].count(b"\n")
        return line

"""Rows of JSON Lines files: every line stands alone, so a broken one costs nothing but itself."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from embedders.errors import BadInput, Status, UsageError
from pipelines.records.damage import Damaged
from pipelines.records.rows import Row, first_repeated
from pipelines.records.stream import LINE_CHARACTERS, open_bytes

__all__ = ["JsonLines"]

DEPTH = 64
"""How deep values may be nested. Python's own limit varies with its version and with who is calling."""

DIGITS = 1000
"""Longest whole number; converting digits takes time that grows with the square of their number."""

LINE_END = 1 << 30
"""A file without a line end for this many bytes is no table of lines."""

# A string, closed or not (so that the search never starts over inside one), or a bracket outside of strings.
TOKENS = re.compile(r'"(?:[^"\\]+|\\.?)*+"?|[\[{]|[\]}]', re.DOTALL)


FLAT = rb'(?:"[^"\\]*+(?:\\.[^"\\]*+)*+"|[-+.\w]++)'
"""A value that holds no others."""


class JsonLines:
    """One JSON object per line, in UTF-8. Blank lines are passed over; values keep their JSON type.

    A line that is no JSON is ``corrupt``; one that is too long is ``limit``; one that is JSON but no object,
    repeats a key, nests deeper than :data:`DEPTH`, or holds NaN, Infinity or a giant number is ``invalid``.
    """

    unit = "line"

    def __init__(self, path: Path) -> None:
        self.path = path

    def names(self) -> tuple[str, ...]:
        """All keys of all lines, in the order they appear.

        Reads the whole file: a field that appears late in a file put together from several is a field too.
        A damaged file has the keys of the lines before.
        """
        found: dict[str, None] = {}
        first: re.Pattern[bytes] | None = None
        try:
            with open_bytes(self.path) as stream:
                for number, line in self._lines(stream):
                    if first is not None and first.fullmatch(line):
                        continue  # whatever its values are, its keys are known
                    for row in _row(number, line):
                        found.update(dict.fromkeys(row.values))
                        first = first or _alike(row.values)
        except Damaged:
            if first is None:
                raise
        if first is None:
            raise UsageError(f"'{self.path}' is empty: no records", "Write one JSON object per line")
        return tuple(found)

    def rows(self, columns: Collection[str]) -> Iterator[Row]:
        """Every line that is not blank; a row has all its keys, whatever ``columns`` are wanted."""
        with open_bytes(self.path) as stream:
            for number, line in self._lines(stream):
                yield from _row(number, line)

    def _lines(self, stream: BinaryIO) -> Iterator[tuple[int, bytes]]:
        """Numbered lines; of one that is too long, only the beginning: still too long, so that it is told."""
        number = 0
        while line := stream.readline(LINE_CHARACTERS + 1):
            number += 1
            read, rest = len(line), line
            while read > LINE_CHARACTERS and rest and not rest.endswith(b"\n"):
                rest = stream.readline(1 << 20)
                read += len(rest)
                if read > LINE_END:
                    raise Damaged("REC_LINE", f"no line end within {LINE_END} bytes", number)
            yield number, line.removeprefix(codecs.BOM_UTF8) if number == 1 else line


def _row(number: int, line: bytes) -> tuple[Row, ...]:
    """The row of a line; none of a blank one."""
    try:
        return (Row(number, _parse(line)),) if line.strip() else ()
    except BadInput as bad:
        return (Row(number, {}, BadInput(bad.status, bad.code, f"line {number}: {bad}")),)


def _alike(values: Mapping[str, Any]) -> re.Pattern[bytes]:
    """Lines with these keys in this order and values that hold none themselves, as nearly all of a table are."""
    keys = [re.escape(json.dumps(name, ensure_ascii=False).encode("utf-8", "surrogatepass")) for name in values]
    pairs = rb"\s*+,\s*+".join(key + rb"\s*+:\s*+" + FLAT for key in keys)
    return re.compile(rb"\s*+\{\s*+" + pairs + rb"\s*+\}\s*+", re.DOTALL)


def _parse(line: bytes) -> dict[str, Any]:
    if len(line) > LINE_CHARACTERS:
        raise BadInput(Status.LIMIT, "REC_LINE", f"longer than {LINE_CHARACTERS} bytes")
    try:
        content = line.decode()
    except UnicodeDecodeError as error:
        raise BadInput(Status.INVALID, "REC_ENCODING", f"byte {error.start} is not UTF-8") from error
    if _too_deep(content):
        raise BadInput(Status.INVALID, "REC_NESTING", f"nested deeper than {DEPTH}")
    try:
        value = DECODER.decode(content)
    except json.JSONDecodeError as error:
        raise BadInput(Status.CORRUPT, "REC_JSON", f"not JSON: {error.msg} at character {error.pos}") from error
    if not isinstance(value, dict):
        raise BadInput(Status.INVALID, "REC_OBJECT", "not a JSON object")
    return value


def _too_deep(line: str) -> bool:
    if line.count("[") + line.count("{") <= DEPTH:
        return False
    depth = 0
    for token in TOKENS.finditer(line):
        opening = token.group()
        depth += (opening in "[{") - (opening in "]}")
        if depth > DEPTH:
            return True
    return False


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        repeated = first_repeated(name for name, _ in pairs)
        raise BadInput(Status.INVALID, "REC_DUPLICATE_KEY", f"the key {repeated!r} occurs twice")
    return found


def _constant(name: str) -> None:
    raise BadInput(Status.INVALID, "REC_NUMBER", f"{name} is not JSON")


def _whole(digits: str) -> int:
    if len(digits) > DIGITS:
        raise BadInput(Status.INVALID, "REC_NUMBER", f"a number of {len(digits)} digits")
    return int(digits)


DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_constant, parse_int=_whole)

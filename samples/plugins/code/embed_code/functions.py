"""The functions and classes of a source file; as a program, a table of all functions in a folder.

::

    python -m embed_code.functions FOLDER > functions.jsonl
    embed run functions.jsonl -o vectors
"""

from __future__ import annotations

import ast
import json
import re
import sys
import threading
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from embedders import BadInput

__all__ = ["Part", "split", "table"]

PLACE = "<embed_code>"
PARSING = threading.Lock()
"""Threads of Python 3.11 share a count of how deep its trees are, and take a good file for a broken one by it."""
SILENCE = ("ignore", None, Warning, re.compile(PLACE), 0)
Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


@dataclass(frozen=True)
class Part:
    """A function, a class without its methods, or what stands outside of both."""

    name: str
    """As it is reached, ``Stack.push``; empty for what stands outside."""
    kind: str
    """``function``, ``class`` or ``module``."""
    line: int
    """Of its first decorator or its head, counted from 1."""
    text: str
    """Decorators, signature, docstring and body, as written, with the margin removed."""


def split(text: str) -> tuple[Part, ...]:
    """All parts of a source, in order, each line in one of them; functions in functions stay where they are.

    Raises SyntaxError, and for what is nested too deeply RecursionError.
    """
    # of escapes in strangers' strings; catch_warnings would let one thread undo what another one set
    if warnings.filters[:1] != [SILENCE]:
        warnings.filterwarnings("ignore", module=PLACE)
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    with PARSING:
        tree = ast.parse(text, PLACE)
    return tuple(_parts(tree, lines, ""))


def _parts(node: ast.Module | Definition, lines: list[str], name: str) -> Iterator[Part]:
    begin, end = _span(node, lines)
    inner = [] if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) else node.body
    children = [child for child in inner if isinstance(child, Definition)]
    theirs = {at for child in children for at in range(*_span(child, lines))}
    margin = getattr(node, "col_offset", 0)
    own = [_without(margin, lines[at]) for at in range(begin, end) if at not in theirs]
    if isinstance(node, ast.ClassDef) and len(children) == len(node.body):
        own.append("    ...")  # a class of methods alone is still a class without them
    if isinstance(node, ast.Module):
        if any(line.strip() for line in own):
            yield Part("", "module", 1, "\n".join(own).strip("\n"))
    else:
        kind = "class" if isinstance(node, ast.ClassDef) else "function"
        yield Part(name, kind, begin + 1, "\n".join(own).rstrip())
    for child in children:
        yield from _parts(child, lines, f"{name}.{child.name}" if name else child.name)


def _span(node: ast.Module | Definition, lines: list[str]) -> tuple[int, int]:
    if isinstance(node, ast.Module):
        return 0, len(lines)
    return min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)]) - 1, node.end_lineno or 0


def _without(margin: int, line: str) -> str:
    return line if line[:margin].strip() else line[margin:]


def table(folder: Path) -> Iterator[dict[str, Any] | BadInput]:
    """A row per function of the ``.py`` files under a folder; a BadInput for a file that cannot be split.

    ``id`` is ``path:name``, with ``#2`` and so on where a name is defined again. Hidden files and folders are left
    out.
    """
    from embed_code.code import Code

    for file in sorted(folder.rglob("*.py")):
        path = file.relative_to(folder)
        if any(part.startswith(".") for part in path.parts):
            continue
        try:
            source = Code().decode(file).media
        except BadInput as bad:
            yield BadInput(bad.status, bad.code, f"{path.as_posix()}: {bad}")
            continue
        met: Counter[str] = Counter()
        for part in source.parts:
            if part.kind == "function":
                met[part.name] += 1
                again = f"#{met[part.name]}" if met[part.name] > 1 else ""
                place = {"path": path.as_posix(), "name": part.name, "line": part.line}
                yield {"id": f"{path.as_posix()}:{part.name}{again}", "code": part.text, **place}


def main(arguments: list[str]) -> int:
    """Print the table as JSON Lines, and to stderr what could not be read; 3 where there was any of that."""
    if len(arguments) != 1 or not Path(arguments[0]).is_dir():
        print("Give one folder: python -m embed_code.functions FOLDER > functions.jsonl", file=sys.stderr)
        return 2
    failed = False
    for row in table(Path(arguments[0])):
        if isinstance(row, BadInput):
            failed = True
            print(f"{row.status}: {row}", file=sys.stderr)
        else:
            print(json.dumps(row, ensure_ascii=False))
    return 3 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""A folder as a source: files that share a path without suffix are the fields of one record."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

from embedders.errors import UsageError
from pipelines.records.damage import SourceError
from pipelines.records.record import Record, portable

__all__ = ["FolderSource"]


@dataclass
class _Folder:
    """One folder of the tree: its path under the root, its file names that have a field, and the rest counted."""

    path: str
    files: list[str] = field(default_factory=list)
    suffixes: set[str] = field(default_factory=set)
    ignored: Counter[str] = field(default_factory=Counter)
    linked: int = 0


class FolderSource:
    """Files of different kinds, joined by name: ``a/dog.jpg`` and ``a/dog.txt`` are fields of record ``a/dog``.

    ``suffixes`` maps a lower-case suffix with its dot to a field's name. Fields hold paths relative to ``root``.
    A folder's own records come first, sorted by id, then its subfolders in order; one folder's names are held at
    a time. Hidden files and folders (a leading dot) are passed over, and links to folders are not followed;
    links to files are records like others: whoever reads them decides whether they lead outside.

    With ``join=False`` every file is a record of its own, and its id keeps the suffix. Raises UsageError for a
    path that is no folder, a folder that cannot be listed and two files that claim the same field.
    """

    def __init__(self, path: str | os.PathLike[str], suffixes: Mapping[str, str], join: bool = True) -> None:
        self.path = os.fspath(path)
        if not os.path.isdir(self.path):
            found = "is not a folder" if os.path.lexists(self.path) else "does not exist"
            raise UsageError(f"The folder {self.path!r} {found}", "Give the folder that holds the files")
        self.root = Path(os.path.abspath(self.path))
        self.suffixes = dict(suffixes)
        self.join = join

    def records(self) -> Iterator[Record]:
        """Records in an order that depends on names alone, not on the file system."""
        for folder in self._walk():
            within = Path(folder.path)
            prefix = "".join(portable(name) + "/" for name in within.parts)
            ordered = sorted((portable(key), name, key) for name in folder.files for key in [self._key(name)])
            for _, files in groupby(ordered, itemgetter(2)):
                fields: dict[str, Path] = {}
                for shown, name, _ in files:
                    path = within / name
                    taken = fields.setdefault(self.suffixes[_suffix(name)], path)
                    if taken is not path:
                        raise UsageError(
                            f"'{taken}' and '{path}' in {self.path!r} both claim the field "
                            f"{self.suffixes[_suffix(name)]!r} of the record {prefix + shown!r}",
                            "Rename one, or make every file a record: join=False, on the command line --no-join",
                        )
                yield Record(prefix + shown, fields)

    def fields(self) -> tuple[str, ...]:
        """The fields that files were found for, in the order of ``suffixes``; walks the folder once."""
        return self._survey[0]

    def notes(self) -> dict[str, Any]:
        """``ignored``: files of other suffixes, counted by suffix; ``linked_folders``: links not followed."""
        return self._survey[1]

    def errors(self) -> list[SourceError]:
        """None: a folder that cannot be listed stops the run before it begins."""
        return []

    def describe(self) -> dict[str, Any]:
        """Kind, path, suffixes and whether files are joined."""
        return {"kind": "folder", "path": portable(self.path), "suffixes": self.suffixes, "join": self.join}

    @cached_property
    def _survey(self) -> tuple[tuple[str, ...], dict[str, Any]]:
        found: set[str] = set()
        ignored: Counter[str] = Counter()
        linked = 0
        for folder in self._walk():
            found.update(self.suffixes[suffix] for suffix in folder.suffixes)
            ignored += folder.ignored
            linked += folder.linked
        fields = tuple(name for name in dict.fromkeys(self.suffixes.values()) if name in found)
        notes = {"ignored": dict(sorted(ignored.items())), "linked_folders": linked}
        return fields, {name: count for name, count in notes.items() if count}

    def _key(self, name: str) -> str:
        return name[: name.rfind(".")] if self.join and "." in name else name

    def _walk(self) -> Iterator[_Folder]:
        # a stack instead of recursion: trees may be nested deeper than Python's calls
        waiting = [""]
        while waiting:
            folder = _Folder(waiting.pop())
            inner: list[str] = []
            try:
                with os.scandir(self.root / folder.path) as entries:
                    for entry in entries:
                        name = entry.name
                        if name.startswith("."):
                            continue
                        suffix = _suffix(name)
                        if entry.is_dir(follow_symlinks=False):
                            inner.append(name)
                        elif entry.is_symlink() and os.path.isdir(entry.path):
                            folder.linked += 1
                        elif suffix in self.suffixes:
                            folder.files.append(name)
                            folder.suffixes.add(suffix)
                        else:
                            folder.ignored[portable(suffix) or "no suffix"] += 1
            except OSError as error:
                raise UsageError(
                    f"The folder {os.path.join(self.path, folder.path)!r} cannot be listed: {error.strerror}",
                    "Make it readable, or leave it out by a leading dot in its name",
                ) from error
            yield folder
            inner.sort(key=lambda name: (portable(name), name), reverse=True)
            waiting.extend(os.path.join(folder.path, name) for name in inner)


def _suffix(name: str) -> str:
    """From the last dot on, in lower case; of a name that does not begin with one."""
    dot = name.rfind(".")
    return name[dot:].lower() if dot > 0 else ""

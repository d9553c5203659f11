"""The command with something broken on purpose: ``python -m tests.crash.mutants NAME run ...``.

Each dies once, as it gives its fourth part a name; what it breaks besides is for the harness to find.
"""

from __future__ import annotations

import os
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from pipelines.cli.main import main
from pipelines.vectors.commit import Writer
from pipelines.vectors.manifest import MANIFEST, manifest_values
from pipelines.vectors.schema import Schema
from pipelines.vectors.storage import Storage


def untidy() -> None:
    """Leaves what a dead attempt began."""
    Storage.tidy = lambda self: []  # type: ignore[method-assign]


def forgetful() -> None:
    """Drops a row, and fills its place with the one before."""

    def broken(self: Schema, ids: Any, fields: Any, cells: Any) -> Any:
        return table(self, [ids[0], ids[0], *ids[2:]], fields, cells)

    table, Schema.table = Schema.table, broken  # type: ignore[method-assign]


def eager() -> None:
    """Says that the set is complete after every part."""

    def broken(self: Writer, part: int, table: Any, seconds: Any) -> Any:
        found = commit(self, part, table, seconds)
        so_far = replace(self.run, parts=self.run.parts[: len(self.commits)])
        self.storage.write_json(MANIFEST, manifest_values(so_far, self.commits, []))
        return found

    commit, Writer.commit = Writer.commit, broken  # type: ignore[method-assign]


def restless() -> None:
    """Makes every part again when it goes on."""

    def broken(self: Writer, trust: bool) -> None:
        for folder in ("commits", "data"):
            for name in self.storage.names(folder):
                self.storage.remove(f"{folder}/{name}")
        go_on(self, trust)

    go_on, Writer._go_on = Writer._go_on, broken  # type: ignore[method-assign]


MUTANTS = {mutant.__name__: mutant for mutant in (untidy, forgetful, eager, restless)}


def dying() -> None:
    """Once."""

    def broken(self: Storage, old: Path, new: Path) -> None:
        died = self.root.with_name("died")
        if new.name == "part-000003.parquet" and not died.exists():
            died.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        rename(self, old, new)

    rename, Storage.rename = Storage.rename, broken  # type: ignore[method-assign]


if __name__ == "__main__":
    MUTANTS[sys.argv.pop(1)]()
    dying()
    main()

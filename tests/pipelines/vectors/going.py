"""The small run that the sweeps cut short."""

from __future__ import annotations

from collections.abc import Callable

from pipelines.vectors import Writer
from tests.pipelines.vectors.crashes import Subject
from tests.pipelines.vectors.made import plan, rows, schema
from tests.pipelines.vectors.recorder import Recorder

PARTS = 2


def going(writer_class: type[Writer] = Writer, order: tuple[int, ...] = (0, 1)) -> Callable[[Recorder], list[str]]:
    """A run of two parts by a class of writers."""

    def run(storage: Recorder) -> list[str]:
        made = []
        with writer_class.open(storage.root, schema(), plan(PARTS), storage) as writer:
            for part in order:
                if part not in writer.commits:
                    writer.commit(part, rows(part), {"total": 1.0})
                    storage.mark(f"part {part}")
                    made.append(f"part {part}")
            if not writer.complete:
                writer.finish()
                storage.mark("the end")
                made.append("the end")
        return made

    return run


def other(storage: Recorder) -> None:
    with Writer.open(storage.root, schema(epochs=3), plan(PARTS), storage):
        pass


GOOD = Subject(going(), other)

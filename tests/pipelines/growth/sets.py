"""Sets that grow, and what the tests of it ask of them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from embedders import BadInput, BaseEmbedder, Status
from pipelines import Pipeline, VectorSet
from pipelines.engines import Progress
from tests.toy import Letters

Records = list[dict[str, Any]]


class Moody(Letters):
    """Refuses words that it does not like today."""

    disliked: frozenset[str] = frozenset()

    def prepare(self, media: str) -> str:
        if media in self.disliked:
            raise BadInput(Status.MODEL_ERROR, "MOOD", "not today")
        return media


def records(**words: str | None) -> Records:
    return [{"id": name, "word": word} for name, word in words.items()]


def run(source: Any, out: Path, *embedders: BaseEmbedder, field: str = "word", **options: Any) -> Progress:
    """Run embedders over one field; ``grow`` and ``stop`` are given on, the other options are the pipeline's."""
    given = {name: options.pop(name) for name in ("grow", "stop") if name in options}
    options = {"part_rows": 2, "max_failures": "any", "device": "cpu", "threads": 1, **options}
    return Pipeline({field: list(embedders) or [Letters()]}, **options).plan(source).run(out, **given)


def counts(progress: Progress) -> tuple[int, int]:
    """Cells kept and computed, as the user is told."""
    found = [re.fullmatch(r"Kept ([\d,]+) cells, computed ([\d,]+)", note) for note in progress.notes]
    kept, computed = next(match for match in found if match).groups()
    return int(kept.replace(",", "")), int(computed.replace(",", ""))


def forwarded(embedder: Letters) -> list[str]:
    return sorted(word for batch in embedder.batches for word in batch)


def statuses(out: Path, column: str) -> dict[str, str]:
    found = VectorSet.open(out)
    return dict(zip(found.ids.tolist(), found[column].status.tolist(), strict=True))


def bits(out: Path, column: str) -> Sequence[npt.NDArray[np.float32]]:
    return [piece.tobytes() for piece in VectorSet.open(out)[column].stored()]  # type: ignore[misc]


def stamps(out: Path, without: Iterable[str] = ()) -> Mapping[str, tuple[int, int]]:
    found = [path for path in out.rglob("*") if path.name not in without]
    return {str(path): (path.stat().st_ino, path.stat().st_mtime_ns) for path in found}


def stop_after(parts: int) -> Any:
    """Asks for an end before the next part after so many."""
    return iter([*[False] * parts, True]).__next__

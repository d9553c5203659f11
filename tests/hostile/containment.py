"""The one assertion of this folder: a bad record costs its own row, and nothing else.

A small set is made of good neighbours with the bad record in their middle, and compared with the set of the
neighbours alone.
"""

from __future__ import annotations

import contextlib
import functools
import tempfile
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
import pytest

from embedders import BaseEmbedder, Limits
from pipelines import Pipeline
from tests.embedders.modalities import pictures, sounds
from tests.hostile.measures import PictureMeasures, SoundMeasures, TextMeasures

BAD = "bad"

EMBEDDERS: dict[str, BaseEmbedder] = {
    "picture": PictureMeasures(),
    "sound": SoundMeasures(),
    "words": TextMeasures(),
}

NEIGHBOURS: dict[str, list[Any]] = {
    "picture": [pictures.encode(pictures.colours(8 + n, 9)) for n in range(4)],
    "sound": [sounds.encode(sounds.tone(500 + n), "WAV") for n in range(4)],
    "words": ["two red bells", "a blue drum", "silence", "NA"],
}

SET = ["commits", "commits/part-000000.json", "data", "data/part-000000.parquet", "manifest.json", "run.json"]
"""All that a finished set of one part consists of."""


@dataclass(frozen=True)
class Row:
    """The bad record's row, and the whole set as it was written."""

    vector: npt.NDArray[np.float32]
    sha256: str | None
    error: str
    flags: tuple[str, ...]
    out: Path


def case(
    identifier: str, what: str, raw: Any, status: str, code: str | None = "", flags: tuple[str, ...] | None = ()
) -> Any:
    """One line of a table: what it is called, how it is made (now or when it runs), and what must become of it.

    A code or flags of None leave open which; the status never does.
    """
    return pytest.param(raw, status, code, flags, id=f"{identifier} {what}")


def raw_of(given: Any) -> Any:
    """The raw input of a case: what is large is made only when its test runs."""
    return given() if callable(given) else given


def contained(
    folder: Path,
    record: dict[str, Any],
    status: str,
    code: str | None = "",
    *,
    capture: pytest.CaptureFixture[str],
    root: Path | None = None,
    limits: Limits | None = None,
    embedder: BaseEmbedder | None = None,
    seconds: float = 2.0,
    megabytes: int = 100,
) -> Row:
    """Embed ``record``, which has one field named in :data:`EMBEDDERS`, amid good ones; returns its row.

    Asserts that every record has one row, in order; the neighbours' rows are bit-equal to those of a run without
    the bad record; the bad row has the status and code, and a vector only where it is ``ok``; the folder holds
    the set and nothing else; nothing was printed or warned; processor time and memory stayed within bounds.
    """
    (field,) = record
    embedder = embedder or EMBEDDERS[field]
    alone, out = _alone(field, embedder), folder / "set"
    neighbours = [{"id": f"good {n}", field: raw} for n, raw in enumerate(NEIGHBOURS[field])]
    records = [*neighbours[:2], {"id": BAD, **record}, *neighbours[2:]]
    capture.readouterr()
    with bounded(seconds, megabytes), warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        Pipeline({field: embedder}, limits=limits, threads=2).run(records, out, root=root)

    assert [str(warning.message) for warning in warned] == []
    assert capture.readouterr() == ("", "")
    assert sorted(str(path.relative_to(out)) for path in out.rglob("*")) == SET
    standing = _standing(out)
    Pipeline({field: embedder}, limits=limits, threads=2).run(records, out, root=root)
    assert _standing(out) == standing
    rows = rows_of(out)
    assert [row["id"] for row in rows] == [given["id"] for given in records]
    column = f"{field}_{type(embedder).__name__.lower()}"
    assert [row for row in rows if row["id"] != BAD] == alone
    bad = rows[2]
    found = bad[f"{column}_error"] or ""
    assert bad[f"{column}_status"] == status, found
    assert found.partition(":")[0] == code or (code is None and found), found
    assert len(found) <= 300
    assert found.isprintable()
    vector = np.frombuffer(bad[column], np.float32)
    assert np.isfinite(vector).all() if status == "ok" else np.isnan(vector).all()
    return Row(vector, bad[f"{field}_sha256"], found, tuple(bad[f"{column}_flags"]), out)


def _standing(out: Path) -> dict[Path, tuple[int, int]]:
    """Every file and folder of a set, by what changes when it is written again."""
    return {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in [out, *out.rglob("*")]}


def rows_of(out: Path) -> list[dict[str, Any]]:
    """All rows of a set as a stranger reads them; vectors as bytes, so that equal means equal bit by bit."""
    rows: list[dict[str, Any]] = []
    for part in sorted((out / "data").glob("*.parquet")):
        for row in pq.read_table(part).to_pylist():
            numbers = {name: isinstance(value, list) and not name.endswith("_flags") for name, value in row.items()}
            rows.append({n: np.array(v, np.float32).tobytes() if numbers[n] else v for n, v in row.items()})
    return rows


@functools.cache
def _alone(field: str, embedder: BaseEmbedder) -> list[dict[str, Any]]:
    """The neighbours' rows in a run without the bad record."""
    records = [{"id": f"good {n}", field: raw} for n, raw in enumerate(NEIGHBOURS[field])]
    with tempfile.TemporaryDirectory() as folder:
        Pipeline({field: embedder}).run(records, Path(folder, "set"))
        return rows_of(Path(folder, "set"))


@contextlib.contextmanager
def bounded(seconds: float, megabytes: int) -> Iterator[None]:
    """Assert a bound on processor time, which a busy machine does not change, and on resident memory's rise."""
    Path("/proc/self/clear_refs").write_text("5")  # lets the peak begin anew
    before, began = _kibibytes("VmRSS"), time.process_time()
    yield
    took, rose = time.process_time() - began, (_kibibytes("VmHWM") - before) / 1024
    assert took < seconds, f"{took:.1f} seconds of processor time"
    assert rose < megabytes, f"memory rose by {rose:.0f} MiB"


def _kibibytes(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name))

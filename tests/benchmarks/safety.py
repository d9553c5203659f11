"""What safety costs: the same run with all of it, and without fsync, SHA-256, page checksums or finite checks.

::

    uv run python -m tests.benchmarks.safety --rounds 9

Vectors of 768 numbers come ready-made, so that nothing but the handling of rows takes time; what counts is the
seconds of the stages *forward* (where each value is looked at) and *write*. Rounds are interleaved, medians are
shown, and the cost is set against a run that makes 1,000 rows per second: 10 ms per 1,000 rows are 1 %.
"""

from __future__ import annotations

import argparse
import contextlib
import shutil
import statistics
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO
from unittest import mock

import numpy as np

from embedders import BaseEmbedder, EmbedderSpec, Runtime
from embedders.base import Forward
from pipelines import Pipeline
from pipelines.engines import Progress
from pipelines.vectors import Schema, Storage
from pipelines.vectors.hashing import Hashing

DIM, PARTS, PART_ROWS = 768, 8, 1024
READY = np.random.default_rng(0).standard_normal((PART_ROWS, DIM)).astype(np.float32)


class Ready(BaseEmbedder):
    """Vectors that were there before."""

    @property
    def spec(self) -> EmbedderSpec:
        return EmbedderSpec("text", "ready", DIM, normalized=False)

    def prepare(self, media: Any) -> int:
        return int(media) % PART_ROWS

    def collate(self, samples: Any) -> Any:
        return np.array(samples)

    def load(self, runtime: Runtime) -> Forward:
        return lambda batch: READY[batch]

    def examples(self) -> list[Any]:
        return ["1", "2", "3"]


def without_fsync() -> Any:
    def flush(self: Storage, file: BinaryIO) -> None:
        file.flush()

    return mock.patch.multiple(Storage, flush=flush, flush_folder=lambda self, path: None)


def without_sha256() -> Any:
    def work(self: Hashing) -> None:
        while self._waiting.get() is not None:
            pass
        self.digest = "0" * 64

    return mock.patch.object(Hashing, "_work", work)


def without_page_checksums() -> Any:
    safe = Schema.parquet_options

    def options(self: Schema) -> dict[str, Any]:
        return {**safe(self), "write_page_checksum": False}

    return mock.patch.object(Schema, "parquet_options", options)


def without_looking() -> Any:
    return mock.patch("pipelines.embedding.forward.row_failures", return_value={})


SAFE: dict[str, Callable[[], Any]] = {
    "fsync": without_fsync,
    "SHA-256": without_sha256,
    "page checksums": without_page_checksums,
    "finite checks": without_looking,
}


@contextlib.contextmanager
def without(*names: str) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        for name in names:
            stack.enter_context(SAFE[name]())
        yield


def milliseconds(records: list[dict[str, str]], out: Path) -> float:
    """Of the two stages, per 1,000 rows."""
    last: list[Progress] = []
    Pipeline({"caption": Ready()}, device="cpu", part_rows=PART_ROWS).run(records, out, observe=last.append)
    seconds = {name: s for name, s in last[-1].seconds.items() if name == "write" or name.startswith("caption")}
    shutil.rmtree(out)
    return 1000 * sum(seconds.values()) / (len(records) / 1000)


def main() -> None:
    """Measure in turn, print side by side."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--where", type=Path, help="folder on the disk to measure")
    options = parser.parse_args()
    where = Path(tempfile.mkdtemp(prefix="safety-", dir=options.where))
    records = [{"id": str(n), "caption": str(n)} for n in range(PARTS * PART_ROWS)]
    variants: dict[str, tuple[str, ...]] = {name: (name,) for name in SAFE}
    variants |= {"all of it": (), "any of it": tuple(SAFE)}
    found: dict[str, list[float]] = {name: [] for name in variants}
    milliseconds(records, where / "warm")
    for _ in range(options.rounds):
        for name, left_out in variants.items():
            with without(*left_out):
                found[name].append(milliseconds(records, where / "set"))
    shutil.rmtree(where)
    whole = statistics.median(found["all of it"])
    print(f"{len(records):,} rows of {DIM} numbers, medians of {options.rounds} rounds, ms per 1,000 rows")
    print(f"{'with all of it':24} {whole:7.1f}")
    for name in [*SAFE, "any of it"]:
        median = statistics.median(found[name])
        each = statistics.median(a - b for a, b in zip(found["all of it"], found[name], strict=True))
        print(f"{'without ' + name:24} {median:7.1f}   costs {each:6.1f} ms, {each / 10:5.2f} % at 1,000 rows/s")


if __name__ == "__main__":
    main()

"""What it costs to plan records, to write parts and to read them back, each beside a peer or a bound.

::

    uv run python -m tests.benchmarks.storage write read           # ratios to .npy, interleaved rounds
    uv run python -m tests.benchmarks.storage plan --rows 10000000  # seconds and memory, per kind of source
    uv run python -m tests.benchmarks.storage parts --parts 10000   # what must not grow with the number of parts
    uv run python -m tests.benchmarks.storage memory start

*write*: a part of 1,024 rows and vectors of 2,048, 512, 512 and 768 numbers, against the same numbers as ``.npy``
with fsync and SHA-256. *read*: a column of 512 numbers into memory, against ``np.load``, and against that with a
checksum of all bytes. Seconds of the CPU stand beside those of the clock: they hold on a machine that is busy.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from pipelines import Pipeline, VectorSet
from pipelines.records import FolderSource, IterableSource, Source, TableSource, make_plan
from pipelines.vectors import Cells, ColumnInfo, Schema, Writer, verify

PART_ROWS = 1024
DIMS = (2048, 512, 512, 768)
MEBIBYTE = 1024
FILES_PER_FOLDER = 10_000


def main() -> None:
    """Measure what is asked for, in a folder that is removed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("what", nargs="+", choices=sorted(MEASURES))
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--rows", type=int, default=1_000_000, help="records to plan")
    parser.add_argument("--kinds", nargs="+", default=sorted(KINDS), choices=sorted(KINDS), help="sources to plan")
    parser.add_argument("--parts", type=int, default=1000)
    parser.add_argument("--where", type=Path, help="folder on the disk to measure")
    options = parser.parse_args()
    for what in options.what:
        where = Path(tempfile.mkdtemp(prefix="storage-", dir=options.where))
        try:
            MEASURES[what](where, options)
        finally:
            shutil.rmtree(where)


def write(where: Path, options: argparse.Namespace) -> None:
    """Schema.table and commit beside ``.npy``."""
    schema = _schema(*DIMS)
    cells = {column.name: _cells(column.dim) for column in schema.columns}
    ids, fields = _named(0)
    whole = np.concatenate([cell.vectors for cell in cells.values()], axis=1)

    def npy() -> None:
        with (where / "peer.npy").open("wb") as file:
            np.save(file, whole)
            file.flush()
            os.fsync(file.fileno())
        with (where / "peer.npy").open("rb") as file:
            hashlib.file_digest(file, "sha256")

    with Writer.open(where / "v", schema, _plan(options.rounds + 1)) as writer:
        parts = iter(range(options.rounds + 1))

        def part() -> None:
            writer.commit(next(parts), schema.table(ids, fields, cells), {})

        _against("np.save, fsync, SHA-256", {"np.save, fsync, SHA-256": npy, "a part": part}, options.rounds)


def read(where: Path, options: argparse.Namespace) -> None:
    """A column into memory, by way of the parts and of the cache, beside ``np.load``."""
    parts, dim = 98, 512
    out = where / "v"
    _written(out, _schema(dim), parts)
    np.save(where / "peer.npy", np.concatenate([_cells(dim).vectors] * parts))

    def load() -> None:
        np.load(where / "peer.npy")

    def checked() -> None:
        zlib.crc32(np.load(where / "peer.npy").data)

    def stored() -> None:
        found, at = np.empty((parts * PART_ROWS, dim), np.float32), 0
        for piece in VectorSet.open(out)["c0"].stored():
            found[at : at + len(piece)] = piece
            at += len(piece)

    def first() -> None:
        shutil.rmtree(out / "cache", ignore_errors=True)
        _ = VectorSet.open(out)["c0"].vectors

    mapped = {"from the cache, summed": lambda: VectorSet.open(out)["c0"].vectors.sum()}
    rest = {
        "ids": lambda: VectorSet.open(out).ids,
        "status": lambda: VectorSet.open(out)["c0"].status,
        "failures": lambda: VectorSet.open(out).failures(),
    }
    ours = {"parts to memory": stored, "cache made and mapped": first, **mapped, **rest}
    print(f"{parts * PART_ROWS:,} rows of {dim} numbers")
    _against("np.load, CRC-32", {"np.load": load, "np.load, CRC-32": checked, **ours}, options.rounds)


def plan(where: Path, options: argparse.Namespace) -> None:
    """Seconds and memory of a plan, each in a process of its own."""
    for kind in options.kinds:
        command = [sys.executable, "-m", "tests.benchmarks.storage", "planned"]
        more = ["--kinds", kind, "--rows", str(options.rows), "--where", str(where)]
        subprocess.run([*command, *more], check=True)


def planned(where: Path, options: argparse.Namespace) -> None:
    """The plan over one kind of source, here."""
    (kind,) = options.kinds
    make = KINDS[kind](where, options.rows)
    before = _memory("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # forgets the peak
    seconds, cpu, found = _timed(lambda: make_plan(make(), PART_ROWS))
    print(
        f"{kind:10} {found.rows:>10,} records in {seconds:6.1f} s, {cpu:6.1f} s of the CPU; "
        f"peak {_memory('VmHWM'):,.0f} MiB, {before:,.0f} before"
    )


def parts(where: Path, options: argparse.Namespace) -> None:
    """A set of very many parts: their first and last commits, going on, finishing, opening, verifying."""
    schema, out, count = _schema(4), where / "v", options.parts
    cells, seconds = {"c0": _cells(4)}, []
    with Writer.open(out, schema, _plan(count)) as writer:
        for part in range(count - 1):
            table = schema.table(*_named(part), cells)
            began = time.process_time()
            writer.commit(part, table, {})
            seconds.append(time.process_time() - began)
    first, last = statistics.median(seconds[:100]), statistics.median(seconds[-100:])
    print(f"{count:,} parts; commit of the first 100 {1e3 * first:.2f} ms, of the last {1e3 * last:.2f} ms (CPU)")

    def finish() -> None:
        with Writer.open(out, schema, _plan(count)) as writer:
            writer.commit(count - 1, schema.table(*_named(count - 1), cells), {})
            writer.finish()

    for name, step in {
        "going on": lambda: Writer.open(out, schema, _plan(count)).close(),
        "going on and finishing": finish,
        "finding it complete": lambda: Writer.open(out, schema, _plan(count)).close(),
        "opening": lambda: VectorSet.open(out),
        "verifying": lambda: verify(out),
    }.items():
        elapsed, cpu, _ = _timed(step)
        print(f"  {name:24} {elapsed:7.2f} s, {cpu:7.2f} s of the CPU, {_memory('VmRSS'):,.0f} MiB")


def memory(where: Path, options: argparse.Namespace) -> None:
    """What a run of 100,000 records holds more than one of 5,000."""
    import tests.conftest  # noqa: F401 - registers the toy

    held = {rows: _held(where / str(rows), rows) for rows in (5000, 100_000)}
    print("a run in this process: " + ", ".join(f"{rows:,} records {mib:.0f} MiB" for rows, mib in held.items()))


def _held(where: Path, rows: int) -> float:
    """The most that the process held, in MiB, whenever cells of the run were done."""
    where.mkdir()
    (where / "t.csv").write_text("id,toy\n" + "".join(f"r{number},word\n" for number in range(rows)))
    seen: list[float] = []
    pipeline = Pipeline({"toy": "toy.letters"}, device="cpu")
    pipeline.run(where / "t.csv", where / "v", observe=lambda progress: seen.append(_memory("VmRSS")))
    return max(seen)


def start(where: Path, options: argparse.Namespace) -> None:
    """The largest imports of the command line's process, with those they bring along."""
    code = "import sys, pipelines.cli.main, pipelines.cli.run, pyarrow.parquet"
    found = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", code], capture_output=True, text=True, check=True
    )
    rows = [line.split("|") for line in found.stderr.splitlines() if line.count("|") == 2 and "[us]" not in line]
    for _, total, name in sorted(rows, key=lambda row: -int(row[1]))[:25]:
        print(f"{int(total) / 1000:8.1f} ms {name}")


def _csv(where: Path, rows: int) -> Callable[[], Source]:
    with (where / "t.csv").open("w") as file:
        file.write("id,photo,caption\n")
        file.writelines(",".join(row.values()) + "\n" for row in _rows(rows))
    return lambda: TableSource(where / "t.csv")


def _jsonl(where: Path, rows: int) -> Callable[[], Source]:
    with (where / "t.jsonl").open("w") as file:
        file.writelines(json.dumps(row) + "\n" for row in _rows(rows))
    return lambda: TableSource(where / "t.jsonl")


def _parquet(where: Path, rows: int) -> Callable[[], Source]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema([(name, pa.string()) for name in ("id", "photo", "caption")])
    with pq.ParquetWriter(where / "t.parquet", schema) as writer:
        for begin in range(0, rows, 1 << 17):
            made = list(_rows(min(rows, begin + (1 << 17)), begin))
            writer.write_table(pa.Table.from_pylist(made, schema=schema))
    return lambda: TableSource(where / "t.parquet")


def _python(where: Path, rows: int) -> Callable[[], Source]:
    return lambda: IterableSource(lambda: _rows(rows))


def _folder(where: Path, rows: int) -> Callable[[], Source]:
    for number in range(rows):
        folder = where / f"{number // FILES_PER_FOLDER:05d}"
        if number % FILES_PER_FOLDER == 0:
            folder.mkdir()
        (folder / f"{number:09d}.jpg").touch()
    return lambda: FolderSource(where, {".jpg": "photo"})


def _rows(rows: int, begin: int = 0) -> Iterator[dict[str, str]]:
    for number in range(begin, rows):
        name = f"{number:09d}"
        yield {"id": f"rec/{name}", "photo": f"photos/{name}.jpg", "caption": f"a caption about thing {name}"}


def _schema(*dims: int) -> Schema:
    numbered = enumerate(dims)
    columns = [
        ColumnInfo(f"c{n}", "f", "e", "m", "s", dim, "float32", False, {"weights": {}}) for n, dim in numbered
    ]
    return Schema(("photo",), tuple(columns))


def _cells(dim: int) -> Cells:
    vectors = np.random.default_rng(0).standard_normal((PART_ROWS, dim)).astype(np.float32)
    vectors[5] = np.nan
    error: list[str | None] = [None] * PART_ROWS
    error[5] = "X: broken"
    status = ["corrupt" if found else "ok" for found in error]
    return Cells(vectors, status, error, [[] for _ in range(PART_ROWS)])


def _named(part: int) -> tuple[list[str], dict[str, tuple[list[str | None], list[str | None]]]]:
    ids = [f"{part:06d}/{row:06d}" for row in range(PART_ROWS)]
    return ids, {"photo": ([f"{name}.jpg" for name in ids], ["0" * 64] * PART_ROWS)}


def _plan(count: int) -> dict[str, Any]:
    rows = [{"index": n, "start": n * PART_ROWS, "rows": PART_ROWS, "digest": "0" * 64} for n in range(count)]
    return {"plan": {"parts": rows}}


def _written(out: Path, schema: Schema, count: int) -> None:
    cells = {column.name: _cells(column.dim) for column in schema.columns}
    with Writer.open(out, schema, _plan(count)) as writer:
        for part in range(count):
            writer.commit(part, schema.table(*_named(part), cells), {})
        writer.finish()


def _timed(step: Callable[[], Any]) -> tuple[float, float, Any]:
    began, cpu = time.perf_counter(), time.process_time()
    found = step()
    return time.perf_counter() - began, time.process_time() - cpu, found


def _against(peer: str, contenders: dict[str, Callable[[], Any]], rounds: int) -> None:
    """Every contender in turn, round by round; ratios are those of each round."""
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in contenders}
    for number in range(-1, rounds):  # the first warms up
        for name, step in contenders.items():
            clock, cpu, _ = _timed(step)
            if number >= 0:
                found[name].append((1e3 * clock, 1e3 * cpu))
    print(f"{'':28} {'ms':>8} {'CPU ms':>8}  speed of {peer!r}: median (least to most)")
    for name, times in found.items():
        clocks, cpus = zip(*times, strict=True)
        ratios = [theirs[0] / ours for theirs, ours in zip(found[peer], clocks, strict=True)]
        shown = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        print(f"{name:28} {statistics.median(clocks):8.1f} {statistics.median(cpus):8.1f}  {shown}")


def _memory(kind: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(kind)) / MEBIBYTE


KINDS = {"csv": _csv, "folder": _folder, "jsonl": _jsonl, "parquet": _parquet, "python": _python}
MEASURES = {step.__name__: step for step in (memory, parts, plan, planned, read, start, write)}

if __name__ == "__main__":
    main()

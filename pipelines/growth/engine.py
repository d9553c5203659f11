"""An engine that takes cells from the old set and has the others computed."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from embedders import BadInput, EmbedError, RefusedError, Status
from embedders.redaction import redacted
from embedders.registry import registry
from embedders.remote import Policy
from pipelines.embedding import Embedded
from pipelines.embedding.opening import checksum_of, is_fetched, read_content, stored_value
from pipelines.embedding.part import Observer
from pipelines.engines import Engine, Settings
from pipelines.growth.deciding import Growth
from pipelines.growth.held import Held, Row
from pipelines.records import Record
from pipelines.vectors import Cells, ColumnInfo

__all__ = ["GrowingEngine"]

CHANGED = "CONTENT: it is not what the other columns were made of; an update computes all of them again"


class GrowingEngine:
    """The engine of a growth: ``old`` computes columns that the old set has, ``new`` those that it has not.

    Either is None where nothing will be asked of it. A cell that is taken from the old set is the same to the bit.
    A cell is never put beside another that was made of another content: where a file changes in between, all cells
    of the field are those of its new content, or the new one is ``changed``.
    """

    def __init__(
        self, growth: Growth, held: Held, settings: Settings, old: Engine | None, new: Engine | None
    ) -> None:
        self.growth = growth
        self.held = held
        # a relative root would follow an embedder that changes the working folder
        root = None if settings.root is None else Path(os.path.abspath(settings.root))
        self.settings = replace(settings, root=root)
        self.old = old
        self.new = new
        self.kept = 0
        self.computed = 0
        self._columns: dict[str, list[str]] = {column.field: [] for column in growth.base.schema.columns}
        self._modalities = {column.field: column.modality for column in growth.run.schema.columns}
        for column in growth.base.schema.columns:
            self._columns[column.field].append(column.name)
        self._threads = ThreadPoolExecutor(settings.decoders, thread_name_prefix="look")

    def describe(self) -> Sequence[ColumnInfo]:
        """See :class:`~pipelines.engines.engine.Engine`."""
        return self.growth.run.schema.columns

    def load(self) -> None:
        """Load what is needed for sure; other weights are loaded with the first cell that wants them."""
        if self.new is not None:
            self.new.load()

    def close(self) -> None:
        """See :class:`~pipelines.engines.engine.Engine`."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        for engine in (self.old, self.new):
            if engine is not None:
                engine.close()

    def embed(self, records: Sequence[Record], observe: Observer = lambda done, failed: None) -> Embedded:
        """See :class:`~pipelines.engines.engine.Engine`."""
        part = _Part(self.growth, records, observe)
        began = time.perf_counter()
        wanted = self._keep(part)
        part.seconds["look"] = time.perf_counter() - began
        rows = sorted(wanted)
        part.tell((len(records) - len(rows)) * len(self.growth.base.schema.columns), 0)
        if rows:
            self._compute(part, rows, wanted)
        if self.new is not None:
            self._add(part, self.new)
        part.tell_rest()
        ids = [record.id for record in records]
        return Embedded(ids, part.fields, part.cells, part.seconds, part.notes, part.usage)

    def _keep(self, part: _Part) -> dict[int, dict[str, list[str]]]:
        """Put what is held into its place; returns what is not: columns per field, by row."""
        wanted: dict[int, dict[str, list[str]]] = {}
        for row, found in enumerate(self._found(part.records)):
            missing: dict[str, list[str]] = {}
            for name, (stored, checksum, source) in found.items():
                part.put_field(row, name, stored, checksum)
                for column in self._columns[name]:
                    status = "" if source is None else source.cells(column).status[source.place]
                    if source is not None and self.growth.keeps(status):
                        part.put(row, column, source.cells(column), source.place)
                        self.kept += status != Status.ABSENT.value
                    else:
                        missing.setdefault(name, []).append(column)
            if missing:
                wanted[row] = missing
        return wanted

    def _found(
        self, records: Sequence[Record]
    ) -> Iterable[Mapping[str, tuple[str | None, str | None, Row | None]]]:
        """Per record and field of the old set that is there: stored value, SHA-256, and the row that has it."""
        if not self.growth.by_content:
            for record in records:
                row = self.held.by_id(record.id)
                if row is None:  # the plans are equal
                    raise RefusedError(f"The set has no row of the record {record.id!r}", "embed verify says more")
                yield {name: (row.stored(name), row.checksum(name), row) for name in self._columns}
            return
        for record, read in zip(records, self._threads.map(self._read, records), strict=True):
            yield {
                name: (stored, checksum, self.held.by_content(name, checksum, record.id))
                for name, (stored, checksum) in read.items()
            }

    def _read(self, record: Record) -> dict[str, tuple[str | None, str | None]]:
        """Stored value and SHA-256 per field that is there; None for what cannot be read: embedding it says why."""
        found: dict[str, tuple[str | None, str | None]] = {}
        for name in self._columns:
            raw, checksum = record.fields.get(name), None
            if record.problem is None and raw is None:
                continue
            modality = registry.modality(self._modalities[name])
            try:
                if record.problem is None:
                    settings = self.settings
                    content = read_content(raw, modality, settings.root, settings.limits, settings.urls or Policy())
                    checksum = checksum_of(content)
            except BadInput:
                pass
            except EmbedError:
                raise
            except Exception:  # whoever embeds it says what is wrong
                pass
            found[name] = stored_value(redacted(str(raw)) if is_fetched(raw, modality) else raw), checksum
        return found

    def _compute(self, part: _Part, rows: Sequence[int], wanted: Mapping[int, Mapping[str, list[str]]]) -> None:
        assert self.old is not None
        found = self.old.embed([_restricted(part.records[row], wanted[row]) for row in rows], part.tell)
        part.join(found)
        for place, row in enumerate(rows):
            for name, missing in wanted[row].items():
                values, checksums = found.fields[name]
                same = checksums[place] == part.fields[name][1][row]
                for column in missing if same else self._columns[name]:
                    self.kept -= column not in missing
                    self.computed += 1
                    part.put(row, column, found.cells[column], place)
                part.put_field(row, name, values[place], checksums[place])

    def _add(self, part: _Part, engine: Engine) -> None:
        found = engine.embed(part.records, part.tell)
        part.join(found)
        for column in self.growth.new:
            values, checksums = found.fields[column.field]
            ours = part.fields[column.field][1]
            for row in range(len(part.records)):
                part.put(row, column.name, found.cells[column.name], row)
                self.computed += found.cells[column.name].status[row] != Status.ABSENT.value
                if column.field not in self._columns:
                    part.put_field(row, column.field, values[row], checksums[row])
                elif None not in (ours[row], checksums[row]) and ours[row] != checksums[row]:
                    part.refuse(row, column.name)


@dataclass
class _Part:
    """The growing result of one part; a cell that nobody puts in its place is absent."""

    growth: Growth
    records: Sequence[Record]
    observe: Observer
    seconds: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    usage: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        count, schema = len(self.records), self.growth.run.schema
        self.fields: dict[str, tuple[list[str | None], list[str | None]]] = {
            name: ([None] * count, [None] * count) for name in schema.fields
        }
        self.cells = {column.name: _absent(count, column.dim) for column in schema.columns}
        self._told = [0, 0]

    def put_field(self, row: int, name: str, stored: str | None, checksum: str | None) -> None:
        values, checksums = self.fields[name]
        values[row], checksums[row] = stored, checksum

    def put(self, row: int, column: str, source: Cells, place: int) -> None:
        cells = self.cells[column]
        cells.vectors[row] = source.vectors[place]
        cells.status[row], cells.error[row] = source.status[place], source.error[place]
        cells.flags[row] = source.flags[place]

    def refuse(self, row: int, column: str) -> None:
        changed = Cells(np.full((1, self.cells[column].vectors.shape[1]), np.nan, np.float32), [], [CHANGED], [[]])
        changed.status.append(Status.CHANGED.value)
        self.put(row, column, changed, 0)

    def join(self, found: Embedded) -> None:
        self.notes += found.notes
        for name, count in found.usage.items():
            self.usage[name] = self.usage.get(name, 0) + count
        for stage, seconds in found.seconds.items():
            self.seconds[stage] = self.seconds.get(stage, 0.0) + seconds

    def tell(self, done: int, failed: int) -> None:
        self._told = [self._told[0] + done, self._told[1] + failed]
        self.observe(done, failed)

    def tell_rest(self) -> None:
        """What engines said of cells that were not taken from them is put right."""
        statuses = [status for cells in self.cells.values() for status in cells.status]
        done, failed = len(statuses), sum(Status(status).failed for status in statuses)
        self.observe(done - self._told[0], failed - self._told[1])


def _absent(count: int, dim: int) -> Cells:
    vectors = np.full((count, dim), np.nan, np.float32)
    return Cells(vectors, [Status.ABSENT.value] * count, [None] * count, [[] for _ in range(count)])


def _restricted(record: Record, fields: Mapping[str, object]) -> Record:
    """The record with these fields alone: nothing else of it is read again."""
    if record.problem is not None:
        return record
    return replace(record, fields={name: record.fields[name] for name in fields if name in record.fields})

"""What there is to embed: sources of records, and the plan that cuts them into parts.

::

    folder.py   files joined by name       ─┐
    table.py    CSV, TSV, JSON Lines,       ├─▶ Source ──▶ records ──▶ plan.py ──▶ parts
                Parquet                     │
    memory.py   Python objects             ─┘

    sources.py   picks the source for what the user named
    record.py    Record, and what a source promises; names and ids as strings
    rows.py      what the formats of tables share: delimited.py, jsonl.py, parquet.py, over stream.py
    identity.py  what makes two records the same

Nothing here opens a media file or knows what a field is embedded with::

    source = open_source("photos.csv", suffixes={})
    plan = make_plan(source, part_rows=1000)
    for part, records in plan.read(source):
        ...
"""

from pipelines.records.folder import FolderSource
from pipelines.records.memory import IterableSource
from pipelines.records.plan import Part, Plan, make_plan
from pipelines.records.record import Record, Source
from pipelines.records.sources import open_source
from pipelines.records.table import TableSource

__all__ = [
    "FolderSource",
    "IterableSource",
    "Part",
    "Plan",
    "Record",
    "Source",
    "TableSource",
    "make_plan",
    "open_source",
]

"""What there is to embed: sources of records, and the plan that cuts them into parts.

::

    folder.py   files joined by name       ─┐
    table.py    CSV, TSV, JSON Lines,       ├─▶ Source ──▶ records ──▶ plan.py ──▶ parts
                Parquet                     │
    shards.py   members of tar archives     │
    memory.py   Python objects             ─┘

    sources.py   picks the source for what the user named
    record.py    Record, and what a source promises; names and ids as strings
    rows.py      what the formats of tables share: delimited.py, jsonl.py, parquet.py, over stream.py
    tar.py       the members of an archive; naming.py their keys, samples.py which is which field
    member.py    content that lies in an archive until it is read
    damage.py    what is wrong with a source and belongs to no record
    identity.py  what makes two records the same

Nothing here opens a media file or knows what a field is embedded with::

    source = open_source("photos.csv", suffixes={})
    plan = make_plan(source, part_rows=1000)
    for part, records in plan.read(source):
        ...
"""

from pipelines.records.damage import SourceError
from pipelines.records.folder import FolderSource
from pipelines.records.member import Member
from pipelines.records.memory import IterableSource
from pipelines.records.plan import Part, Plan, make_plan
from pipelines.records.record import Record, Source
from pipelines.records.shards import ShardSource
from pipelines.records.sources import open_source
from pipelines.records.table import TableSource

__all__ = [
    "FolderSource",
    "IterableSource",
    "Member",
    "Part",
    "Plan",
    "Record",
    "ShardSource",
    "Source",
    "SourceError",
    "TableSource",
    "make_plan",
    "open_source",
]

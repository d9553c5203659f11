"""The vector set on disk: its columns, how parts are committed, and reading it back."""

from pipelines.vectors.commit import Commit, Writer, refuse_foreign
from pipelines.vectors.schema import Cells, ColumnInfo, Schema
from pipelines.vectors.storage import Storage
from pipelines.vectors.vector_set import VectorColumn, VectorSet
from pipelines.vectors.verify import Finding, Sample, samples, verify

__all__ = [
    "Cells",
    "ColumnInfo",
    "Commit",
    "Finding",
    "Sample",
    "Schema",
    "Storage",
    "VectorColumn",
    "VectorSet",
    "Writer",
    "refuse_foreign",
    "samples",
    "verify",
]

"""The vector set on disk: its columns, how parts are committed, and reading it back."""

from pipelines.vectors.commit import Commit, Writer
from pipelines.vectors.schema import Cells, ColumnInfo, Schema
from pipelines.vectors.storage import Storage
from pipelines.vectors.vector_set import VectorColumn, VectorSet

__all__ = ["Cells", "ColumnInfo", "Commit", "Schema", "Storage", "VectorColumn", "VectorSet", "Writer"]

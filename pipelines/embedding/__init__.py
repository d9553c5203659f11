"""One part: records in, rows of vectors out. Knows nothing of commits, resuming or processes."""

from pipelines.embedding.columns import Column, columns_for
from pipelines.embedding.part import Embedded, PartEmbedder

__all__ = ["Column", "Embedded", "PartEmbedder", "columns_for"]

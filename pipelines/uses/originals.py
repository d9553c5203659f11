"""What the records of a set were made of, read back from where the set says it lies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from embedders import BadInput, Limits
from embedders.modality import read_file
from embedders.registry import registry
from pipelines.vectors import VectorSet

__all__ = ["LIMITS", "Originals"]

LIMITS = Limits(bytes=64 << 20, seconds=600)
"""Larger files are named and not shown: whoever looks at results waits for each of them to be decoded."""


class Originals:
    """The inputs of a set's records; nothing of them is in the set but texts that were given inline.

    ``root`` is the folder that the set's paths are relative to and must lie under; without it the source's own, as
    the run recorded it.
    """

    def __init__(self, vs: VectorSet, root: str | Path | None = None) -> None:
        run = vs.storage.read_json("run.json") if vs.storage.exists("run.json") else {}
        made = run.get("circumstances", {})
        self.files_only = made.get("source", {}).get("kind") in ("folder", "shards")
        place = root if root is not None else made.get("root")
        self.root = Path(place) if place is not None else None
        self.modalities = {column.info.field: column.info.modality for column in vs.columns.values()}

    def wordy(self, field: str) -> bool:
        """Whether a field's inputs are of a modality that can stand in a line, wherever they lie."""
        return registry.modality(self.modalities[field]).inline

    def inline(self, field: str) -> bool:
        """Whether a field's value is the input itself, and not the path of a file."""
        return not self.files_only and self.wordy(field)

    def media(self, field: str, value: str) -> Any:
        """The decoded input; raises BadInput where there is none, or none any more."""
        modality = registry.modality(self.modalities[field])
        if self.inline(field):
            return modality.decode(value, LIMITS).media
        path = Path(value) if self.root is None else self.root / value
        return modality.decode(read_file(path, LIMITS, self.root), LIMITS).media

    def line(self, field: str, value: str | None) -> str:
        """What stands for an input in a line of a table: the words themselves, else the path."""
        if value is None or not self.wordy(field):
            return value or ""
        try:
            media = self.media(field, value)
        except BadInput:
            return value
        return media if isinstance(media, str) else value

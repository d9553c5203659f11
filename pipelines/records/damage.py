"""What is wrong with a source itself: it belongs to no record, and so to no row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["Damaged", "SourceError"]


class Damaged(Exception):
    """Raised by readers where nothing that follows can be attributed; the source keeps what came before.

    ``at`` is the byte or line where it was found, None where the reader does not count any.
    """

    def __init__(self, code: str, reason: str, at: int | None = None) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason
        self.at = at


@dataclass(frozen=True)
class SourceError:
    """Part of a source that could not be read: which file, from where on, and why.

    ``at`` counts ``unit`` (``byte`` from 0, ``line`` from 1) in ``file``, a name without its folder; ``read`` is
    how many members of an archive, by their headers, or rows of a table came before; ``code`` is stable
    (``TAR_CUT``), ``reason`` is for people.
    """

    file: str
    unit: str
    at: int
    read: int
    code: str
    reason: str

    def __str__(self) -> str:
        return f"{self.file!r}, {self.unit} {self.at}, {self.read:,} read before: {self.code}: {self.reason}"

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> SourceError:
        """The inverse of :meth:`to_json`; raises TypeError for other names or types."""
        found = cls(**values)
        for name, value in asdict(found).items():
            if type(value) is not (int if name in ("at", "read") else str):
                raise TypeError(f"{name} of a source error is {value!r}")
        return found

"""Everything that can go wrong, as one tree; each branch carries the exit code of the command line.

::

    EmbedError                  message plus cure
    ├── BadInput                one input cannot be embedded: becomes a status in its row, never stops a run
    ├── UsageError        (2)   a wrong option, an unknown name, a source without records
    ├── TooManyFailures   (4)   the share of failed rows says that something is wrong with the run itself
    ├── StorageError      (5)   the output could not be written; what is committed stays valid
    ├── RefusedError      (6)   the output folder belongs to something else, or is incomplete
    ├── SetupError        (7)   weights, device, hub or an installed package is missing
    └── ContractError     (7)   an embedder broke its contract: wrong shape, not unit length, a programming error

Catch what you can act on::

    try:
        vectors = embedder.embed(files)
    except BadInput as bad:
        print(bad.status, bad.code, bad)
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import ClassVar

__all__ = [
    "BadInput",
    "ContractError",
    "EmbedError",
    "RefusedError",
    "SetupError",
    "Status",
    "StorageError",
    "TooManyFailures",
    "UsageError",
    "nearest",
]


class Status(enum.StrEnum):
    """What became of one cell (one record in one column). Closed: every failure is one of these."""

    OK = "ok"
    ABSENT = "absent"
    EMPTY = "empty"
    NOT_FOUND = "not_found"
    UNREADABLE = "unreadable"
    BLOCKED = "blocked"
    UNSUPPORTED = "unsupported"
    CORRUPT = "corrupt"
    LIMIT = "limit"
    INVALID = "invalid"
    MODEL_ERROR = "model_error"
    NONFINITE = "nonfinite"
    TIMEOUT = "timeout"
    CRASHED = "crashed"
    CHANGED = "changed"
    REMOTE_ERROR = "remote_error"

    @property
    def failed(self) -> bool:
        """True for everything but ``ok`` and ``absent``: a field that was never given has not failed."""
        return self not in (Status.OK, Status.ABSENT)


class EmbedError(Exception):
    """Base of all errors raised on purpose: ``cure`` says what to do, ``details`` are lines of their own."""

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, cure: str = "", details: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.cure = cure
        self.details = tuple(details)

    def __str__(self) -> str:
        message = str(self.args[0])
        if self.details:
            lines = [f"{message}:", *(f"  {line}" for line in self.details), self.cure]
            return "\n".join(filter(None, lines))
        return f"{message}. {self.cure}" if self.cure else message

    def __reduce__(self) -> tuple[object, ...]:
        return (type(self), (self.args[0], self.cure, self.details))


class BadInput(EmbedError):
    """One input cannot be embedded; carries the status and the code (``IMG_TRUNCATED``) its row gets."""

    exit_code = 3

    def __init__(self, status: Status, code: str, message: str) -> None:
        super().__init__(message)
        self.status = Status(status)
        self.code = code

    def __reduce__(self) -> tuple[object, ...]:
        return (type(self), (self.status, self.code, self.args[0]))


class UsageError(EmbedError):
    """The caller asked for something that does not exist or contradicts itself."""

    exit_code = 2


class TooManyFailures(EmbedError):
    """A run was stopped because too many rows failed; committed parts are kept."""

    exit_code = 4


class StorageError(EmbedError):
    """Reading or writing the output folder failed."""

    exit_code = 5


class RefusedError(EmbedError):
    """Going on would damage or mix what stands in the output folder; nothing was written."""

    exit_code = 6


class SetupError(EmbedError):
    """Something this machine lacks: weights, a device, a package, a working plugin."""

    exit_code = 7


class ContractError(EmbedError):
    """An embedder returned or did what :class:`~embedders.base.BaseEmbedder` forbids."""

    exit_code = 7


def nearest(name: str, known: Iterable[str]) -> str:
    """The sentence that helps after a misspelling: the nearest known name, then all of them."""
    known = sorted(known)
    close = get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f"Did you mean {close[0]!r}? " if close else ""
    return f"{hint}Known: {', '.join(known) or 'none'}"

"""One record's fields, from raw inputs to samples: read, checksum, decode once, prepare per embedder.

Runs in threads, away from the forward. Whatever is wrong with an input ends here as a BadInput for its cells.
"""

from __future__ import annotations

import functools
import hashlib
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from embedders import BadInput, ContractError, Decoded, EmbedError, Limits, Modality, Status
from embedders.modality import PROGRAMMING_ERRORS, read_file
from embedders.redaction import redacted
from embedders.registry import registry
from embedders.remote import Policy, fetch, is_url
from pipelines.embedding.columns import Column
from pipelines.embedding.failing import is_out_of_memory, said
from pipelines.records import Member, Record

__all__ = ["Opened", "OpenedCell", "checksum_of", "is_fetched", "open_record", "read_content", "stored_value"]

_LONE_SURROGATES = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True)
class OpenedCell:
    """One cell before its forward: a sample with its cost, or the reason why there is none."""

    sample: Any = None
    cost: int = 0
    flags: tuple[str, ...] = ()
    problem: BadInput | None = None


@dataclass
class Opened:
    """One record, opened: what is stored of its fields, and a cell per column."""

    stored: dict[str, tuple[str | None, str | None]] = field(default_factory=dict)
    """Per field: the text, or the path as given; and the SHA-256 of what was read."""
    cells: dict[str, OpenedCell] = field(default_factory=dict)


def open_record(
    record: Record, columns: Sequence[Column], root: Path | None, limits: Limits, urls: Policy | None = None
) -> Opened:
    """Read, decode and prepare all fields of a record that have columns. Raises ContractError at most."""
    opened = Opened()
    for name in dict.fromkeys(column.field for column in columns):
        mine = [column for column in columns if column.field == name]
        raw = record.fields.get(name)
        modality = registry.modality(mine[0].modality)
        content = _attempt(modality, functools.partial(_content, record, name, modality, root, limits, urls))
        # columns that need as much of an input share one decoding, and what each gets is what it would get alone
        for at_least in dict.fromkeys(column.at_least for column in mine):
            decoded = content
            if not isinstance(content, BadInput):
                decoded = _attempt(modality, functools.partial(_decoded, modality, content, limits, at_least))
            for column in mine:
                if column.at_least == at_least:
                    opened.cells[column.name] = _prepare(column, decoded)
        shown = redacted(str(raw)) if is_fetched(raw, modality) else raw
        opened.stored[name] = (stored_value(shown), checksum_of(content))
    return opened


def _content(
    record: Record, name: str, modality: Modality, root: Path | None, limits: Limits, urls: Policy | None
) -> Any:
    if record.problem is not None:
        raise record.problem
    raw = record.fields.get(name)
    if raw is None:
        raise BadInput(Status.ABSENT, "", "")
    return read_content(raw, modality, root, limits, urls or Policy())


def _decoded(modality: Modality, content: Any, limits: Limits, at_least: int | None) -> Decoded:
    decoded: Any = modality.decode(content, limits, at_least)
    if not isinstance(decoded, Decoded):
        raise ContractError(f"The modality {modality.name!r} decoded to {type(decoded).__name__}, not to Decoded")
    return decoded


def _attempt(modality: Modality, step: Callable[[], Any]) -> Any:
    """What a step of opening comes to, which may be a BadInput. Raises what is no fault of the input's."""
    try:
        return step()
    except BadInput as problem:
        return problem
    except EmbedError:
        raise
    except PROGRAMMING_ERRORS as error:
        raise ContractError(f"The modality {modality.name!r} failed: {said(error)}") from error
    except BaseException as error:  # in a thread, where no interrupt of the user's arrives
        return _unforeseen(error, Status.CORRUPT, "DECODE")


def _prepare(column: Column, decoded: Decoded | BadInput) -> OpenedCell:
    if isinstance(decoded, BadInput):
        return OpenedCell(problem=decoded)
    embedder, flags = column.embedder, decoded.flags
    try:
        prepare = embedder.prepare if column.exact else embedder.prepare_fast
        sample = prepare(decoded.media)
        return OpenedCell(sample, embedder.cost(sample), (*flags, *embedder.flags(sample)))
    except BadInput as problem:
        return OpenedCell(flags=flags, problem=problem)
    except EmbedError:
        raise
    except PROGRAMMING_ERRORS as error:
        raise ContractError(f"{column.reference} failed in prepare: {said(error)}") from error
    except BaseException as error:  # as above
        return OpenedCell(flags=flags, problem=_unforeseen(error, Status.MODEL_ERROR, "PREPARE"))


def _unforeseen(error: BaseException, status: Status, code: str) -> BadInput:
    if is_out_of_memory(error):
        return BadInput(Status.LIMIT, "MEMORY", "opening it needs more memory than there is")
    return BadInput(status, code, said(error))


def read_content(raw: Any, modality: Modality, root: Path | None, limits: Limits, urls: Policy) -> Any:
    """Bytes for whatever lies in a file or an archive; everything else as it was given."""
    if isinstance(raw, Member):
        return raw.read(limits.bytes)
    if is_fetched(raw, modality):
        return fetch(raw, limits, urls)
    if isinstance(raw, Path) or (isinstance(raw, str) and not modality.inline):
        if not str(raw).strip():
            raise BadInput(Status.EMPTY, "NO_PATH", "the path is empty")
        return read_file(Path(raw) if root is None else root / raw, limits, root)
    return raw


def is_fetched(raw: Any, modality: Modality) -> bool:
    """Whether a raw input is a URL whose content is to be fetched."""
    return isinstance(raw, str) and not modality.inline and is_url(raw)


def checksum_of(content: Any) -> str | None:
    """The SHA-256 of words or bytes, in hexadecimal; None for media that were decoded before."""
    if isinstance(content, str):
        content = content.encode("utf-8", "surrogatepass")
    if isinstance(content, bytes | bytearray | memoryview):
        return hashlib.sha256(content).hexdigest()
    return None


def stored_value(raw: Any) -> str | None:
    """Text and paths as given, members by name, in valid UTF-8; None for what cannot be shown in a cell."""
    if isinstance(raw, Member):
        return raw.name
    if isinstance(raw, Path):
        return os.fsencode(raw).decode("utf-8", "backslashreplace")
    return _LONE_SURROGATES.sub("\ufffd", raw) if isinstance(raw, str) else None

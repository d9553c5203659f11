"""What makes two records the same: their ids and fields, fed to a hash without ambiguity."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import functools
import hashlib
import os
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

import numpy as np

from pipelines.records.member import Member
from pipelines.records.record import Record

__all__ = ["add_record"]

SCALARS = (
    *(type(None), bool, int, float, complex),
    *(datetime.date, datetime.time, datetime.timedelta, decimal.Decimal),
)
"""Types whose ``repr`` is their value."""


def add_record(digest: hashlib._Hash, record: Record) -> None:
    """Feed a record to a hash: its id, its problem and every field that is there.

    Strings, bytes and arrays count by content, paths by their name, members of archives by name, place and header.
    Of an object that is none of these, nor made of them, only the type counts.
    """
    pieces = [_sized(b"r", record.id.encode("utf-8", "surrogatepass"))]
    if record.problem is not None:
        _add_value(pieces, ["problem", record.problem.status, record.problem.code, str(record.problem)])
    fields = record.fields
    for name in sorted(fields):
        value = fields[name]
        if value is not None:
            pieces.append(_name(name))
            _add_value(pieces, value)
    digest.update(b"".join(pieces))


def _sized(kind: bytes, content: bytes) -> bytes:
    # the length keeps "ab" + "c" apart from "a" + "bc"
    return b"%b%d:%b" % (kind, len(content), content)


@functools.lru_cache(1024)
def _name(name: str) -> bytes:
    return _sized(b"s", name.encode("utf-8", "surrogatepass"))


def _add_value(pieces: list[bytes], value: Any) -> None:
    if isinstance(value, str):
        content = value.encode("utf-8", "surrogatepass")
        pieces.append(b"s%d:%b" % (len(content), content))
    elif isinstance(value, PurePath):
        path = str(value)
        pieces.append(_sized(b"p", path.encode() if path.isascii() else os.fsencode(path)))
    elif isinstance(value, (bytes, bytearray, memoryview)):
        pieces.append(_sized(b"b", bytes(value)))
    elif isinstance(value, Member):
        _add_all(pieces, b"t", value.identity)
    elif isinstance(value, SCALARS):
        pieces.append(_sized(b"v", repr(value).encode()))
    elif isinstance(value, Mapping):
        _add_all(pieces, b"m", [part for pair in value.items() for part in pair])
    elif isinstance(value, (list, tuple)):
        _add_all(pieces, b"l", value)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        _add_all(pieces, b"d", [getattr(value, field.name) for field in dataclasses.fields(value)])
    elif isinstance(value, (np.ndarray, np.generic)):
        _add_array(pieces, np.asarray(value))
    else:
        pieces.append(_sized(b"o", type(value).__qualname__.encode()))


def _add_all(pieces: list[bytes], kind: bytes, values: Any) -> None:
    pieces.append(b"%b%d:" % (kind, len(values)))
    for value in values:
        _add_value(pieces, value)


def _add_array(pieces: list[bytes], values: np.ndarray[Any, Any]) -> None:
    if values.dtype.hasobject:
        _add_all(pieces, b"a", values.ravel().tolist())
    else:
        kind = f"a{values.dtype.str}{values.shape}".encode()
        pieces.append(_sized(kind, np.ascontiguousarray(values).tobytes()))

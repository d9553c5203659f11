"""What makes two records the same: their ids and fields, fed to a hash without ambiguity."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
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
    _add(digest, "r", record.id.encode("utf-8", "surrogatepass"))
    if record.problem is not None:
        _add_value(digest, ["problem", record.problem.status, record.problem.code, str(record.problem)])
    for name in sorted(record.fields):
        value = record.fields[name]
        if value is not None:
            _add_value(digest, name)
            _add_value(digest, value)


def _add(digest: hashlib._Hash, kind: str, content: bytes) -> None:
    # the length keeps "ab" + "c" apart from "a" + "bc"
    digest.update(f"{kind}{len(content)}:".encode())
    digest.update(content)


def _add_value(digest: hashlib._Hash, value: Any) -> None:
    if isinstance(value, str):
        _add(digest, "s", value.encode("utf-8", "surrogatepass"))
    elif isinstance(value, bytes | bytearray | memoryview):
        _add(digest, "b", bytes(value))
    elif isinstance(value, PurePath):
        _add(digest, "p", os.fsencode(value))
    elif isinstance(value, Member):
        _add_all(digest, "t", value.identity)
    elif isinstance(value, SCALARS):
        _add(digest, "v", repr(value).encode())
    elif isinstance(value, Mapping):
        _add_all(digest, "m", [part for pair in value.items() for part in pair])
    elif isinstance(value, list | tuple):
        _add_all(digest, "l", value)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        _add_all(digest, "d", [getattr(value, field.name) for field in dataclasses.fields(value)])
    elif isinstance(value, np.ndarray | np.generic):
        _add_array(digest, np.asarray(value))
    else:
        _add(digest, "o", type(value).__qualname__.encode())


def _add_all(digest: hashlib._Hash, kind: str, values: Any) -> None:
    digest.update(f"{kind}{len(values)}:".encode())
    for value in values:
        _add_value(digest, value)


def _add_array(digest: hashlib._Hash, values: np.ndarray[Any, Any]) -> None:
    if values.dtype.hasobject:
        _add_all(digest, "a", values.ravel().tolist())
    else:
        _add(digest, f"a{values.dtype.str}{values.shape}", np.ascontiguousarray(values).tobytes())

"""The columns of a part: what a row of a vector set holds, and how each of them is stored.

Per record: ``id``; per field ``<field>`` (the text, or the path as given) and ``<field>_sha256`` (of the bytes
that were embedded); per column the vectors under its name, then ``_status``, ``_error`` and ``_flags``.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from embedders.errors import RefusedError, UsageError

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = [
    "FORMAT",
    "Cells",
    "ColumnInfo",
    "Schema",
    "check_names",
    "list_vectors",
    "numbers",
    "strings",
    "vectors_of",
]

FORMAT = 2
"""Version of the folder's layout: readers refuse a later one, writers go on with no other. Since 2 commit records
are sealed, and the manifest names its run."""

PAGE_BYTES = 16 << 20
"""Where a column goes on in a further page: 1,024 rows of 4,096 numbers."""

MOST_OFFSET = (1 << 31) - 1
"""Bytes of all strings of one Arrow array together."""

MOST_DIMENSIONS = 1 << 20
"""A column of more dimensions was made up."""


@dataclass(frozen=True)
class ColumnInfo:
    """The facts of one vector column that its readers need and its writers must not change."""

    name: str
    field: str
    embedder: str
    modality: str
    space: str
    dim: int
    dtype: str
    normalized: bool
    fingerprint: Mapping[str, Any]

    @property
    def meaningless(self) -> bool:
        """True where the weights are random: such vectors show that a pipeline works and nothing else."""
        return "seed" in self.fingerprint.get("weights", {})

    @classmethod
    def from_json(cls, values: Any) -> ColumnInfo:
        """The inverse of :meth:`to_json`; raises ValueError for what cannot be a column."""
        known = fields(cls)
        if not isinstance(values, dict) or set(values) != {field.name for field in known}:
            raise ValueError("one of its columns has not the entries of a column")
        dim, fingerprint = values["dim"], values["fingerprint"]
        names = [values[field.name] for field in known if field.type == "str"]
        if not all(isinstance(name, str) for name in names) or values["dtype"] not in ("float32", "float16"):
            raise ValueError(f"its column {values['name']!r} is described by other than names")
        if type(dim) is not int or not 0 < dim <= MOST_DIMENSIONS or type(values["normalized"]) is not bool:
            raise ValueError(f"its column {values['name']!r} has {dim!r} dimensions")
        if not isinstance(fingerprint, dict) or not isinstance(fingerprint.get("weights", {}), dict):
            raise ValueError(f"its column {values['name']!r} has no fingerprint")
        return cls(**values)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


@dataclass
class Cells:
    """One column's cells for a part's rows: NaN stands where the status is not ``ok``."""

    vectors: npt.NDArray[np.float32]
    status: list[str]
    error: list[str | None]
    flags: list[list[str]]


@dataclass(frozen=True)
class Schema:
    """Fields and columns of a vector set; raises UsageError if two of them need the same name."""

    fields: tuple[str, ...]
    columns: tuple[ColumnInfo, ...]

    def __post_init__(self) -> None:
        check_names(self.fields, [column.name for column in self.columns])

    def arrow(self) -> pa.Schema:
        """The Arrow schema of a part."""
        return self._arrow

    @functools.cached_property
    def _arrow(self) -> pa.Schema:
        import pyarrow as pa

        fields = [pa.field("id", pa.string(), nullable=False)]
        for field in self.fields:
            fields += [pa.field(field, pa.string()), pa.field(f"{field}_sha256", pa.string())]
        for column in self.columns:
            kind = pa.float16() if column.dtype == "float16" else pa.float32()
            fields += [
                pa.field(column.name, pa.list_(kind, column.dim), nullable=False),
                pa.field(f"{column.name}_status", pa.string(), nullable=False),
                pa.field(f"{column.name}_error", pa.string()),
                pa.field(f"{column.name}_flags", pa.list_(pa.string()), nullable=False),
            ]
        return pa.schema(fields)

    def table(
        self,
        ids: Sequence[str],
        fields: Mapping[str, tuple[Sequence[str | None], Sequence[str | None]]],
        cells: Mapping[str, Cells],
    ) -> pa.Table:
        """A part's rows: ``fields`` gives (stored value, SHA-256) per field, ``cells`` the columns by name."""
        import pyarrow as pa

        arrays: list[Any] = [strings(ids)]
        for name in self.fields:
            arrays += map(strings, fields[name])
        for column in self.columns:
            found = cells[column.name]
            vectors = list_vectors(found.vectors.astype(column.dtype, copy=False))
            arrays += [vectors, strings(found.status), strings(found.error), _lists(found.flags)]
        table = pa.Table.from_arrays(arrays, schema=self.arrow())
        table.validate(full=True)
        return table

    def parquet_options(self) -> dict[str, Any]:
        """How parts are written.

        Vectors carry neither dictionary nor statistics nor compression, which cost several times the write for
        nothing on floating-point noise, and a part's lie in one page, so that they can be read where they lie;
        everything carries page checksums, without which a flipped bit of an uncompressed page would be read back
        as data.
        """
        vectors = [column.name for column in self.columns]
        plain = ["id", *(f"{field}{end}" for field in self.fields for end in ("", "_sha256"))]
        statuses = [f"{name}_status" for name in vectors]
        plain += statuses + [f"{name}_error" for name in vectors]
        flags = [f"{name}_flags.list.element" for name in vectors]
        compression = dict.fromkeys([*plain, *flags], "zstd")
        compression.update({f"{name}.list.element": "none" for name in vectors})
        return {
            "use_dictionary": statuses + flags,
            "write_statistics": plain,
            "compression": compression,
            "write_page_checksum": True,
            "data_page_size": PAGE_BYTES,
        }


def check_names(fields: Sequence[str], columns: Sequence[str]) -> None:
    """Raise UsageError where two fields or columns would be stored under one name, or under an unusable one."""
    names = [("id", "the record's id")]
    for field in fields:
        names += [(f"{field}{end}", f"the field {field!r}") for end in ("", "_sha256")]
    for column in columns:
        names += [(f"{column}{end}", f"the column {column!r}") for end in ("", "_status", "_error", "_flags")]
    taken: dict[str, str] = {}
    for name, owner in names:
        if not name or "." in name:  # a dot would read as a path into a nested Parquet column
            raise UsageError(f"{name!r} cannot name {owner}", "Use a name without dots")
        if name in taken:
            raise UsageError(
                f"{owner} and {taken[name]} would both be stored as {name!r}",
                "Rename the field, or give the column a variant of its own: --embed 'FIELD=NAME(as=VARIANT)'",
            )
        taken[name] = owner


# Arrays are put together from their buffers: pyarrow's own ways from and to Python and numpy import pandas wherever
# that is installed, which takes longer than starting does.


def numbers(values: npt.NDArray[Any]) -> pa.Array:
    """A flat array as an Arrow array, without a copy."""
    import pyarrow as pa

    return pa.Array.from_buffers(pa.from_numpy_dtype(values.dtype), len(values), [None, pa.py_buffer(values)])


def strings(values: Sequence[str | None]) -> pa.Array:
    """An Arrow array of strings."""
    import pyarrow as pa

    encoded = [b"" if value is None else value.encode() for value in values]
    ends = _ends(encoded)
    if ends[-1] > MOST_OFFSET:
        return pa.array(values, pa.string())  # in pieces
    there = np.array([value is not None for value in values], np.bool_)
    valid = None if there.all() else pa.py_buffer(np.packbits(there, bitorder="little"))
    return pa.StringArray.from_buffers(
        len(values), pa.py_buffer(ends.astype(np.int32)), pa.py_buffer(b"".join(encoded)), valid
    )


def _lists(values: Sequence[Sequence[str]]) -> pa.Array:
    import pyarrow as pa

    ends = numbers(_ends(values).astype(np.int32))
    return pa.ListArray.from_arrays(ends, strings([value for found in values for value in found]))


def _ends(values: Sequence[Sequence[Any]]) -> npt.NDArray[np.int64]:
    """Where each value ends when all stand in a row, behind a 0."""
    return np.cumsum([0, *map(len, values)], dtype=np.int64)


def list_vectors(vectors: npt.NDArray[Any]) -> pa.FixedSizeListArray:
    """``(n, dim)`` as an Arrow array of fixed-size lists, without a copy."""
    import pyarrow as pa

    flat = np.ascontiguousarray(vectors).reshape(-1)
    return pa.FixedSizeListArray.from_arrays(numbers(flat), vectors.shape[1])


def vectors_of(array: Any) -> npt.NDArray[Any]:
    """An Arrow array or chunk of fixed-size lists as ``(n, dim)``; raises RefusedError if it holds nulls.

    Arrow's own ways out are traps: ``flatten()`` drops null rows and ``values`` ignores a slice's offset, and
    both misalign rows without an error.
    """
    dim = array.type.list_size
    if array.null_count:
        raise RefusedError(f"A vector column holds {array.null_count} nulls", "A cell without vector must be NaN")
    flat = array.flatten()
    if flat.null_count or len(flat) != len(array) * dim:
        raise RefusedError("A vector column holds nulls inside of its vectors")
    values = np.frombuffer(flat.buffers()[1], f"<f{flat.type.bit_width // 8}")
    return values[flat.offset : flat.offset + len(flat)].reshape(len(array), dim)

"""A column's vectors as one memory-mapped ``.npy`` file: made from the parts, rebuilt whenever they differ.

Parquet cannot be mapped into memory, and a search reads all vectors of a column many times. The cache belongs to
no commit: deleting it loses nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from typing import BinaryIO
from urllib.parse import quote

import numpy as np
import numpy.typing as npt

from embedders.errors import StorageError
from pipelines.vectors.storage import Storage

__all__ = ["mapped"]


def mapped(
    storage: Storage,
    column: str,
    shape: tuple[int, int],
    stored: Callable[[], Iterator[npt.NDArray[np.float32]]],
) -> npt.NDArray[np.float32]:
    """The column as ``(n, dim)`` float32, mapped from ``cache/<column>.npy``.

    ``stored`` gives the rows in order, piece by piece; it is called only where the cache is missing or was made
    from another manifest. Where the folder cannot be written, the rows come in memory instead.
    """
    name = f"cache/{quote(column, safe='')}"
    key = hashlib.sha256(storage.path("manifest.json").read_bytes()).hexdigest()
    if not _current(storage, name, key, shape):
        try:
            storage.write(f"{name}.npy", lambda file: _write(file, shape, stored()))
            storage.write_json(f"{name}.json", {"manifest_sha256": key})
        except StorageError:
            return np.concatenate([np.empty((0, shape[1]), np.float32), *stored()])
    vectors: npt.NDArray[np.float32] = np.load(storage.path(f"{name}.npy"), mmap_mode="r", allow_pickle=False)
    return vectors


def _current(storage: Storage, name: str, key: str, shape: tuple[int, int]) -> bool:
    if not (storage.exists(f"{name}.npy") and storage.exists(f"{name}.json")):
        return False
    if storage.read_json(f"{name}.json") != {"manifest_sha256": key}:
        return False
    try:
        found = np.load(storage.path(f"{name}.npy"), mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return False
    return bool(found.shape == shape and found.dtype == np.float32)


def _write(file: BinaryIO, shape: tuple[int, int], pieces: Iterable[npt.NDArray[np.float32]]) -> None:
    header = {"descr": "<f4", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_2_0(file, header)
    for piece in pieces:
        file.write(np.ascontiguousarray(piece, dtype="<f4").tobytes())

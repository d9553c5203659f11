"""A column's vectors as one memory-mapped ``.npy`` file: made from the parts, rebuilt whenever they differ.

Parquet cannot be mapped into memory, and a search reads all vectors of a column many times. The cache belongs to
no commit: deleting it loses nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import BinaryIO
from urllib.parse import quote

import numpy as np
import numpy.typing as npt

from embedders.errors import EmbedError, StorageError
from pipelines.vectors.storage import Storage

__all__ = ["current", "file_of", "mapped"]


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
    found = current(storage, column, shape)
    if found is None:
        name = file_of(column)
        try:
            storage.write(f"{name}.npy", lambda file: _write(file, shape, stored()))
            storage.write_json(f"{name}.json", {"manifest_sha256": storage.sha256("manifest.json")})
        except StorageError:
            return np.concatenate([np.empty((0, shape[1]), np.float32), *stored()])
        found = np.load(storage.path(f"{name}.npy"), mmap_mode="r", allow_pickle=False)
    return found


def current(storage: Storage, column: str, shape: tuple[int, int]) -> npt.NDArray[np.float32] | None:
    """The column as it was mapped before, if that was made from the manifest that stands there."""
    name = file_of(column)
    if not (storage.exists(f"{name}.npy") and storage.exists(f"{name}.json")):
        return None
    try:
        if storage.read_json(f"{name}.json") != {"manifest_sha256": storage.sha256("manifest.json")}:
            return None
        found: npt.NDArray[np.float32] = np.load(storage.path(f"{name}.npy"), mmap_mode="r", allow_pickle=False)
    except (EmbedError, OSError, ValueError, EOFError):
        return None
    return found if found.shape == shape and found.dtype == np.float32 else None


def file_of(column: str) -> str:
    """Where a column's vectors are cached: the file's name without its suffix."""
    return f"cache/{quote(column, safe='')}"


def _write(file: BinaryIO, shape: tuple[int, int], pieces: Iterable[npt.NDArray[np.float32]]) -> None:
    header = {"descr": "<f4", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_2_0(file, header)
    for piece in pieces:
        file.write(np.ascontiguousarray(piece, dtype="<f4").data)

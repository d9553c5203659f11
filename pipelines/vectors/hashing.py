"""The SHA-256 of a file while it is written: of what was meant, not of what a disk says it holds."""

from __future__ import annotations

import hashlib
import threading
from queue import SimpleQueue
from typing import BinaryIO, Self

__all__ = ["Hashing"]


class Hashing:
    """Passes bytes on to a file and hashes them beside that, in a thread of its own.

    Hashing takes about as long as writing does, and both leave Python alone meanwhile; so a part is not read back
    for its hash. A file for whoever writes in one go, as pyarrow does; ``digest`` is there after the ``with``::

        with Hashing() as hashing:
            storage.write(name, lambda file: pq.write_table(table, hashing.onto(file)))
        hashing.size, hashing.digest
    """

    closed = False

    def __init__(self) -> None:
        self.size = 0
        self.digest = ""
        self._waiting: SimpleQueue[bytes | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="hashing", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *raised: object) -> None:
        self._waiting.put(None)
        self._thread.join()

    def onto(self, file: BinaryIO) -> Self:
        """Itself, as what passes its bytes on to this file."""
        self._file = file
        return self

    def write(self, chunk: bytes) -> int:
        """Pass on, count and hash."""
        self._waiting.put(chunk)
        self._file.write(chunk)
        self.size += len(chunk)
        return len(chunk)

    def tell(self) -> int:
        """Bytes so far."""
        return self.size

    def flush(self) -> None:
        """The file is flushed by whoever opened it."""

    def close(self) -> None:
        """The file is closed by whoever opened it."""

    def _work(self) -> None:
        digest = hashlib.sha256()
        while (chunk := self._waiting.get()) is not None:
            digest.update(chunk)
        self.digest = digest.hexdigest()

"""A field's value that lies in an archive, read when it is needed."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field

from embedders.errors import BadInput, Status

__all__ = ["Member"]


@dataclass(frozen=True)
class Member:
    """``size`` bytes of an archive: small enough to travel to a worker process before they are read.

    ``name`` says what a row keeps of it: ``shard.tar#a/dog.jpg``. Of a plain archive the bytes from ``offset`` on
    are read; those of a compressed one travel as ``content``, None where they are too many to be held. ``header``
    is a checksum over the member's header, and ``stamp`` the archive's size and modification time when the run
    was planned. One of another ``kind`` than a file (a link, a sparse file) stands for content that is not there,
    and is never followed.
    """

    archive: str
    name: str
    offset: int
    size: int
    header: int
    stamp: tuple[int, int]
    packed: bool = False
    content: bytes | None = field(default=None, repr=False)
    kind: str = ""

    @property
    def identity(self) -> tuple[str, int, int, int]:
        """What makes two members the same for a plan: not where the archive lies, nor when it was copied there."""
        return self.name, self.offset, self.size, self.header

    def read(self, most: int) -> bytes:
        """The content, of ``most`` bytes at most.

        Raises BadInput: ``limit`` for more, ``blocked`` for what is no file, ``changed`` for an archive that is no
        longer the planned one, ``not_found`` and ``unreadable`` as for a file of its own.
        """
        if self.kind:
            raise BadInput(Status.BLOCKED, "TAR_KIND", f"{self.name!r} is a {self.kind}: no content of its own")
        if self.size > most:
            raise BadInput(Status.LIMIT, "BYTES", f"{self.size} bytes; the limit is {most}")
        try:
            if self.packed:
                self._check(os.stat(self.archive))
                if self.content is None:
                    rule = "too many to hold of a compressed archive; decompress it"
                    raise BadInput(Status.LIMIT, "TAR_HELD", f"{self.size} bytes: {rule}")
                return self.content
            # O_NONBLOCK: a pipe put in the archive's place must not make the run wait for a writer
            descriptor = os.open(self.archive, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            with os.fdopen(descriptor, "rb") as file:
                self._check(os.fstat(descriptor))
                file.seek(self.offset)
                content = file.read(self.size)
                self._check(os.fstat(descriptor))
                return content
        except FileNotFoundError as error:
            raise BadInput(Status.NOT_FOUND, "NO_FILE", f"there is no file {self.archive!r}") from error
        except OSError as error:
            raise BadInput(Status.UNREADABLE, "READ", f"{self.archive!r}: {error}") from error

    def _check(self, found: os.stat_result) -> None:
        if not stat.S_ISREG(found.st_mode) or (found.st_size, found.st_mtime_ns) != self.stamp:
            message = f"{self.archive!r} is not the archive any more that it was when the run was planned"
            raise BadInput(Status.CHANGED, "TAR_CHANGED", message)

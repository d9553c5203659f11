"""The members of a tar archive, header by header.

Written for input that nobody vouches for: every header's checksum is verified, whatever does not fit is Damaged
with its byte offset, an archive without its end counts as cut, and nothing is ever extracted. ustar, GNU long
names, PAX paths and sizes, and sizes beyond 8 GiB are read. (Python's own reader ends in silence at a broken
header, which is why it is not used.)
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple, Protocol

from embedders.errors import UsageError
from pipelines.records.damage import Damaged
from pipelines.records.stream import GZIP, ZSTANDARD, open_bytes

__all__ = ["BLOCK", "Archive", "Entry", "compressed", "entries", "open_archive"]

BLOCK = 512
"""Bytes of a header; everything is padded to a multiple of it."""

EXTENDED_BYTES = 1 << 20
"""Longest GNU long name or PAX header: a thousand times what a path needs."""

TRAILING_BYTES = 1 << 20
"""How far the zeros after the end are followed: writers pad to 10 KiB."""

REGULAR = (b"0", b"\0", b"7")
"""Ordinary files: today's type, that of the oldest archives, and the one for contiguous files."""

EXTENDED = (b"L", b"K", b"x", b"X", b"g")
"""Headers in front of a member's own: GNU's long name and link target, PAX (also Solaris') for one and for all."""

EMPTY = {b"1": "hard link", b"2": "link", b"3": "device", b"4": "device", b"5": "folder", b"6": "pipe"}
"""Members without content, whatever size they claim."""


class Entry(NamedTuple):
    """One member: its name as stored, and ``size`` bytes of content from ``offset`` on.

    ``kind`` is empty for an ordinary file, else what it is instead (``link``, ``sparse file``); ``start`` is the
    offset of its first header, ``header`` a checksum over all of them.
    """

    name: bytes
    kind: str
    start: int
    offset: int
    size: int
    header: int


class Archive(Protocol):
    """Bytes to read headers from, ever further on."""

    size: int | None
    """All bytes; None where that is not known before the end."""

    def take(self, offset: int, count: int) -> bytes:
        """``count`` bytes from ``offset`` on, less at the end; offsets never decrease."""


class _Plain:
    def __init__(self, file: io.FileIO) -> None:
        self.file = file
        self.size: int | None = file.seek(0, io.SEEK_END)

    def take(self, offset: int, count: int) -> bytes:
        self.file.seek(offset)
        return self.file.read(count)


class _Unpacked:
    def __init__(self, stream: BinaryIO) -> None:
        self.stream = stream
        self.size: int | None = None
        self.position = 0

    def take(self, offset: int, count: int) -> bytes:
        while self.position < offset:
            passed = self.stream.read(min(offset - self.position, 1 << 20))
            self.position += len(passed)
            if not passed:
                raise Damaged("TAR_CUT", "the archive breaks off within a member", self.position)
        content = self.stream.read(count)
        self.position += len(content)
        return content


def compressed(path: Path) -> bool:
    """Whether an archive can only be read from its beginning."""
    return path.suffix.lower() in (*GZIP, *ZSTANDARD)


@contextmanager
def open_archive(path: Path) -> Iterator[Archive]:
    """The bytes of an archive; raises UsageError for one that cannot be opened, Damaged while it is read."""
    if compressed(path):
        with open_bytes(path) as stream:
            yield _Unpacked(stream)
        return
    try:
        file = path.open("rb", buffering=0)
    except OSError as error:
        raise UsageError(f"'{path}' cannot be read: {error.strerror or error}") from error
    with file:
        try:
            yield _Plain(file)
        except OSError as error:
            raise Damaged("READ", f"reading failed: {error.strerror or error}") from error


def entries(archive: Archive) -> Iterator[Entry]:
    """All members in order; content is to be taken before the next one is asked for.

    Raises Damaged, with the offset of the header concerned: ``TAR_CUT``, ``TAR_CHECKSUM``, ``TAR_HEADER`` and,
    for bytes after the end of the archive, ``TAR_TRAILING``.
    """
    offset = 0
    while (entry := _entry(archive, offset)) is not None:
        yield entry
        offset = entry.offset + _padded(entry.size)


@dataclass
class _Extended:
    """What headers in front of a member's own say about it."""

    name: bytes | None = None
    size: int | None = None
    sparse: bool = False

    def add(self, kind: bytes, content: bytes, start: int) -> None:
        if kind == b"L" and self.name is None:  # a PAX path, of any alphabet, is worth more
            self.name = content.partition(b"\0")[0]
        if kind in (b"L", b"K"):
            return
        found = _pax(content, start)
        if kind == b"g":
            if {b"path", b"size"} & found.keys():
                raise Damaged("TAR_HEADER", "a path or size for all members", start)
            return
        self.name = found.get(b"path", self.name)
        self.sparse = self.sparse or any(key.startswith(b"GNU.sparse.") for key in found)
        if b"size" in found:
            self.size = _decimal(found[b"size"], start)


def _entry(archive: Archive, start: int) -> Entry | None:
    """The member whose headers begin at ``start``; None at the end of the archive."""
    offset, checksum, extended, only_global = start, 0, _Extended(), True
    while True:
        block = _whole(archive, offset, BLOCK, start)
        if not block.strip(b"\0"):
            if not only_global:
                raise Damaged("TAR_HEADER", "the archive ends after half of a member's headers", start)
            _check_end(archive, offset + BLOCK)
            return None
        _check_sum(block, offset)
        kind, claimed = block[156:157], _number(block[124:136], offset)
        offset += BLOCK
        checksum = zlib.crc32(block, checksum)
        if kind not in EXTENDED:
            break
        if claimed > EXTENDED_BYTES:
            raise Damaged("TAR_HEADER", f"a header of {claimed} bytes", start)
        content = _whole(archive, offset, claimed, start)
        extended.add(kind, content, start)
        offset += _padded(claimed)
        checksum = zlib.crc32(content, checksum)
        only_global = only_global and kind == b"g"
    more = block[482] if kind == b"S" else 0
    while more:  # the map of a sparse file goes on in further blocks
        more = _whole(archive, offset, BLOCK, start)[504]
        offset += BLOCK
    name = _name(block) if extended.name is None else extended.name
    size = 0 if kind in EMPTY else claimed if extended.size is None else extended.size
    if archive.size is not None and offset + size > archive.size:
        there = max(archive.size - offset, 0)
        raise Damaged("TAR_CUT", f"a member of {size} bytes, of which {there} are there", start)
    return Entry(name, _kind(kind, name, extended.sparse), start, offset, size, checksum)


def _kind(kind: bytes, name: bytes, sparse: bool) -> str:
    if sparse or kind == b"S":
        return "sparse file"
    if kind in REGULAR:
        # how archives older than the type of folders wrote them
        return "folder" if name.endswith(b"/") else ""
    return EMPTY.get(kind, "other kind")


def _padded(size: int) -> int:
    return -(-size // BLOCK) * BLOCK


def _whole(archive: Archive, offset: int, count: int, start: int) -> bytes:
    content = archive.take(offset, count)
    if len(content) < count:
        raise Damaged("TAR_CUT", "the archive breaks off here, without its end", start)
    return content


def _check_end(archive: Archive, offset: int) -> None:
    """Nothing but zeros may follow: what else there is would be lost in silence."""
    end = offset + TRAILING_BYTES
    while offset < end:
        chunk = archive.take(offset, 1 << 16)
        if not chunk:
            return
        if used := len(chunk.lstrip(b"\0")):
            raise Damaged("TAR_TRAILING", "there is more after the end of the archive", offset + len(chunk) - used)
        offset += len(chunk)
    raise Damaged("TAR_TRAILING", f"more than {TRAILING_BYTES} zeros after the end of the archive", offset)


def _check_sum(block: bytes, offset: int) -> None:
    rest = block[:148] + b" " * 8 + block[156:]
    promised, total = _number(block[148:156], offset), sum(rest)
    # some old writers summed signed characters
    if promised != total and promised != total - 256 * sum(byte > 127 for byte in rest):
        what = "a header's checksum is wrong" if offset else "this is no tar archive"
        raise Damaged("TAR_CHECKSUM", what, offset)


def _number(field: bytes, offset: int) -> int:
    if field[0] == 0x80:  # more than octal digits can say, in bytes
        return int.from_bytes(field[1:])
    digits = field.partition(b"\0")[0].strip(b" ")
    if digits.strip(b"01234567"):
        what = "a header's number is none" if offset else "this is no tar archive"
        raise Damaged("TAR_HEADER", what, offset)
    return int(digits or b"0", 8)


def _decimal(digits: bytes, offset: int) -> int:
    if not digits.isdigit() or len(digits) > 20:
        raise Damaged("TAR_HEADER", f"a size of {digits[:20]!r}", offset)
    return int(digits)


def _name(block: bytes) -> bytes:
    name = block[:100].partition(b"\0")[0]
    # GNU's magic ends in blanks, and keeps other things where ustar has the folder
    if block[257:263] == b"ustar\0" and (folder := block[345:500].partition(b"\0")[0]):
        return folder + b"/" + name
    return name


def _pax(content: bytes, offset: int) -> dict[bytes, bytes]:
    """Records of length, blank, key, ``=``, value and line end; the length counts all of it."""
    found: dict[bytes, bytes] = {}
    position = 0
    while position < len(content) and content[position]:
        digits = content[position : position + 10].partition(b" ")[0]
        length = int(digits) if digits.isdigit() else 0
        record = content[position + len(digits) + 1 : position + length]
        key, equals, value = record[:-1].partition(b"=")
        if not equals or record[-1:] != b"\n" or position + length > len(content):
            raise Damaged("TAR_HEADER", "a PAX header that cannot be read", offset)
        found[key] = value
        position += length
    return found

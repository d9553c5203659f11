"""Archives made for tests, whole and broken."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa

from embedders import BadInput
from pipelines.records import Member, Record, ShardSource

SUFFIXES = {".jpg": "photo", ".png": "photo", ".txt": "caption", ".wav": "sound"}

LIMIT = 1 << 20


def tar(members: Iterable[tuple[str | tarfile.TarInfo, bytes]], form: int = tarfile.USTAR_FORMAT) -> bytes:
    """An archive of these members, in order, as the standard library writes it."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form, encoding="utf-8", errors="surrogateescape") as archive:
        for name, content in members:
            info = tarfile.TarInfo(name) if isinstance(name, str) else name
            info.size = len(content) or info.size
            archive.addfile(info, io.BytesIO(content) if content else None)
    return out.getvalue()


def of(*names: str) -> bytes:
    """An archive of members whose content is their name."""
    return tar((name, name.encode()) for name in names)


def pairs(count: int) -> list[str]:
    """Names of ``count`` complete samples."""
    return [f"{number:03d}.{suffix}" for number in range(count) for suffix in ("jpg", "txt")]


def packed(name: str, content: bytes) -> bytes:
    """Compressed as the name says."""
    if name.endswith(("gz", "tgz")):
        return gzip.compress(content)
    if name.endswith("zst"):
        compressed: bytes = pa.Codec("zstd").compress(content, asbytes=True)
        return compressed
    return content


def header(name: bytes, size: int | bytes, kind: bytes = b"0", magic: bytes = b"ustar\x0000") -> bytes:
    """One header with a right checksum, for what the standard library does not write."""
    field = size if isinstance(size, bytes) else b"%011o\0" % size
    block = name.ljust(100, b"\0") + b"0000644\0" * 3 + field + b"%011o\0" % 0
    block = (block + b" " * 8 + kind).ljust(257, b"\0") + magic
    block = block.ljust(512, b"\0")
    return block[:148] + b"%06o\0 " % sum(block) + block[156:]


def content(value: Any) -> bytes:
    """A member's bytes, or the code of why there are none."""
    assert isinstance(value, Member)
    try:
        return value.read(LIMIT)
    except BadInput as bad:
        return f"{bad.status}/{bad.code}".encode()


def rows(source: ShardSource) -> dict[str, dict[str, bytes] | str]:
    """Per id: what every field's bytes are, or the code of the record's problem."""
    found: dict[str, dict[str, bytes] | str] = {}
    for record in source.records():
        assert record.id not in found, "two rows of one id"
        found[record.id] = judged(record)
    return found


def judged(record: Record) -> dict[str, bytes] | str:
    if record.problem is not None:
        return f"{record.problem.status}/{record.problem.code}"
    return {name: content(value) for name, value in record.fields.items()}


def shards(folder: Path, **contents: bytes) -> ShardSource:
    """Shards of these contents; ``a_tar_gz`` stands for the name ``a.tar.gz``."""
    paths = []
    for name, given in contents.items():
        paths.append(folder / name.replace("_", "."))
        paths[-1].write_bytes(packed(paths[-1].name, given))
    return ShardSource(paths, SUFFIXES)


def codes(source: ShardSource) -> list[str]:
    """Codes of source errors after one pass over everything."""
    for _ in source.records():
        pass
    return [error.code for error in source.errors()]

"""The hash of a part is that of what was meant to be written, whatever the disk made of it."""

from __future__ import annotations

import hashlib
import io
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedders import StorageError
from pipelines.vectors import Storage
from pipelines.vectors.hashing import Hashing
from pipelines.vectors.manifest import Commit
from tests.pipelines.vectors.made import write


@given(st.lists(st.binary(max_size=50)))
def test_the_hash_is_that_of_all_bytes_in_order(chunks: list[bytes]) -> None:
    file = io.BytesIO()
    with Hashing() as hashing:
        sink = hashing.onto(file)
        assert [sink.write(chunk) for chunk in chunks] == list(map(len, chunks))
        assert sink.tell() == sum(map(len, chunks))
    assert file.getvalue() == b"".join(chunks)
    assert (hashing.size, hashing.digest) == (file.tell(), hashlib.sha256(file.getvalue()).hexdigest())


def test_no_thread_is_left_when_writing_fails() -> None:
    before = threading.active_count()
    file = io.BytesIO()
    file.close()
    with pytest.raises(ValueError, match="closed"), Hashing() as hashing:
        hashing.onto(file).write(b"1")
    assert threading.active_count() == before


class Forgetful(Storage):
    """Keeps another first page than was written, and says nothing."""

    def rename(self, old: Path, new: Path) -> None:
        super().rename(old, new)
        if new.suffix == ".parquet":
            content = bytearray(new.read_bytes())
            content[10] ^= 1
            new.write_bytes(content)


def test_what_the_disk_changes_is_not_what_was_committed(tmp_path: Path) -> None:
    out = tmp_path / "v"
    first = write(out, finish=False, only=[0], storage=Forgetful(out)).commits[0]
    again = write(out, finish=False, only=[0])
    assert [note.partition(":")[0] for note in again.notes] == ["data/part-000000.parquet"]
    assert "has another SHA-256 than was committed" in again.notes[0]
    assert again.commits == {0: first}
    assert isinstance(first, Commit)
    assert first.sha256 == hashlib.sha256((out / first.file).read_bytes()).hexdigest()


class Short(Storage):
    """Loses bytes in front of the first page."""

    def rename(self, old: Path, new: Path) -> None:
        super().rename(old, new)
        if new.suffix == ".parquet":
            new.write_bytes(new.read_bytes()[8:])


def test_a_file_of_another_size_is_not_committed(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"of the .* bytes just written"):
        write(tmp_path / "v", storage=Short(tmp_path / "v"))
    assert not list((tmp_path / "v").glob("commits/*"))

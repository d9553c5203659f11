"""Laws of the shard reader: what was written comes back, and damage never makes a wrong pair."""

from __future__ import annotations

import io
import random
import tarfile
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.records import ShardSource, make_plan
from pipelines.records.damage import Damaged
from pipelines.records.naming import key_of, unpacked_name
from pipelines.records.tar import BLOCK, Entry, entries
from tests.pipelines.records.archives import SUFFIXES, of, pairs, rows, shards, tar

SEEDS = 2000


class Held:
    """An archive in memory."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.size: int | None = len(content)

    def take(self, offset: int, count: int) -> bytes:
        return self.content[offset : offset + count]


def members(content: bytes) -> tuple[list[Entry], Damaged | None]:
    found: list[Entry] = []
    try:
        for entry in entries(Held(content)):
            found.append(entry)
    except Damaged as damage:
        return found, damage
    return found, None


PARTS = st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=60)


@given(
    names=st.lists(st.lists(PARTS, min_size=1, max_size=6).map("/".join), max_size=8),
    form=st.sampled_from([tarfile.PAX_FORMAT, tarfile.GNU_FORMAT]),
    sizes=st.lists(st.integers(0, 1500), min_size=8, max_size=8),
)
def test_what_the_standard_library_writes_comes_back(names: list[str], form: int, sizes: list[int]) -> None:
    contents = [bytes([number]) * size for number, size in enumerate(sizes)]
    whole = tar(list(zip(names, contents, strict=False)), form)
    found, damage = members(whole)
    with tarfile.open(fileobj=io.BytesIO(whole)) as archive:
        expected = [(info.name.encode(), info.offset_data, info.size) for info in archive]
    assert damage is None
    assert [(entry.name.rstrip(b"/"), entry.offset, entry.size) for entry in found] == expected


@given(number=st.integers(1, 100), length=st.integers(1, 5000))
def test_every_cut_is_damage_and_the_members_before_it_are_whole(number: int, length: int) -> None:
    whole = of(*(f"{n}.txt" for n in range(number)))
    found, damage = members(whole[: min(length, number * 1024)])
    assert damage is not None
    assert [entry.name for entry in found] == [f"{n}.txt".encode() for n in range(len(found))]
    assert all(whole[entry.offset : entry.offset + entry.size] == entry.name for entry in found)


@pytest.mark.parametrize("block", range(0, 250, 10))
def test_tar_14_flipped_bytes_never_make_a_wrong_pair(tmp_path: Path, block: int) -> None:
    whole = of(*pairs(10))
    places = {name: number * 1024 + BLOCK for number, name in enumerate(pairs(10))}
    path = tmp_path / "s.tar"
    path.write_bytes(whole)
    complete = set(rows(ShardSource(path, SUFFIXES)))
    for seed in range(block * SEEDS // 250, (block + 10) * SEEDS // 250):
        chance = random.Random(seed)
        flipped = bytearray(whole[: 20 * 1024 + 2 * BLOCK])
        for _ in range(chance.choice((1, 1, 1, 2, 8))):
            flipped[chance.randrange(len(flipped))] ^= chance.randrange(1, 256)
        path.write_bytes(flipped)
        source = ShardSource(path, SUFFIXES)
        found = list(source.records())
        good = [record for record in found if record.problem is None]
        for record in good:
            key = record.id.removeprefix("s/")
            for field, suffix in (("photo", "jpg"), ("caption", "txt")):
                # content has no checksum of its own: what lies in the member's own place is its content
                member = record.fields[field]
                assert (member.offset, member.size) == (places[f"{key}.{suffix}"], 7), (seed, record.id)
        assert {record.id for record in found} <= complete, seed
        assert len({record.id for record in found}) == len(found), seed
        assert source.errors() or len(good) == len(complete), seed


def test_flipping_any_single_byte_of_a_header_is_damage() -> None:
    whole = of("a.jpg", "b.jpg")
    harmless = {154, 155}  # what ends the checksum's own digits
    for position in range(BLOCK):
        for change in (1, 0x20, 0x80, 0xFF):
            flipped = bytearray(whole)
            flipped[position] ^= change
            found, damage = members(bytes(flipped))
            if position not in harmless:
                assert (len(found), damage is None) == (0, False), (position, change)
            elif damage is None:
                assert [entry.name for entry in found] == [b"a.jpg", b"b.jpg"]


@given(st.lists(st.binary(max_size=12), unique=True, max_size=30))
def test_different_names_stay_different(names: list[bytes]) -> None:
    found = [unpacked_name(name) for name in names]
    assert len(set(found)) == len(names)
    for name, shown in zip(names, found, strict=True):
        assert bool(shown.encode()) == bool(name)
        assert not shown.startswith("/")
        assert ".." not in shown.split("/")
        assert not {"\\", "\0"} & set(shown)


@given(st.lists(st.text("a.%/\\", min_size=1, max_size=6).map(str.encode), unique=True, max_size=30))
def test_names_that_look_escaped_stay_different(names: list[bytes]) -> None:
    given_names = {*names, *(unpacked_name(name).encode() for name in names)}
    assert len({unpacked_name(name) for name in given_names}) == len(given_names)


@given(st.text("aB./", max_size=12))
def test_a_key_and_its_suffix_are_the_name(name: str) -> None:
    key, suffix = key_of(name.encode())
    while name.startswith("./"):
        name = name[2:]
    if key:
        assert key.decode() == name[: len(key)]
        assert suffix == name[len(key) :].lower()
        assert b"." not in key.rpartition(b"/")[2]
    else:
        hidden = [part for part in name.split("/") if part.startswith(".")]
        assert hidden or name.endswith("/") or not name


def test_every_pass_is_equal(tmp_path: Path) -> None:
    source = shards(tmp_path, s_tar_zst=of(*pairs(50)), t_tar=of(*pairs(50))[:90_000])
    first, second = list(source.records()), list(source.records())
    assert [(r.id, r.fields, str(r.problem)) for r in first] == [(r.id, r.fields, str(r.problem)) for r in second]
    assert [error.code for error in source.errors()] == ["TAR_CUT"]


@pytest.mark.parametrize("name", ["s_tar", "s_tar_gz", "s_tar_zst"])
def test_planning_holds_one_record_at_a_time(tmp_path: Path, name: str) -> None:
    contents = random.Random(0).randbytes(100_000)
    source = shards(tmp_path, **{name: tar((f"{number}.jpg", contents[number:]) for number in range(100))})
    make_plan(source, 1000)
    tracemalloc.start()
    try:
        assert make_plan(source, 1000).rows == 100
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2_000_000

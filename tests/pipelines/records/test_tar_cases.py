"""Every hostile tar shard of the catalogue, by its id."""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from embedders import Limits, UsageError
from pipelines.embedding import PartEmbedder, columns_for
from pipelines.records import ShardSource, make_plan, open_source
from tests.pipelines.records.archives import (
    SUFFIXES,
    codes,
    header,
    of,
    packed,
    pairs,
    rows,
    shards,
    tar,
)

ENDINGS = ["tar", "tar_gz", "tgz", "tar_zst"]
END = bytes(1024)


@pytest.mark.parametrize("ending", ENDINGS)
def test_members_of_a_key_are_one_record(tmp_path: Path, ending: str) -> None:
    source = shards(tmp_path, **{f"train_{ending}": of("a/dog.jpg", "a/dog.txt", "b.wav")})
    assert rows(source) == {
        "train/a/dog": {"photo": b"a/dog.jpg", "caption": b"a/dog.txt"},
        "train/b": {"sound": b"b.wav"},
    }
    assert (source.fields(), source.notes(), source.errors()) == (("photo", "caption", "sound"), {}, [])


@pytest.mark.parametrize("ending", ENDINGS)
def test_tar_01_a_broken_header_keeps_the_rows_before_and_is_told(tmp_path: Path, ending: str) -> None:
    whole = bytearray(of(*pairs(10)))
    broken = 1024 * 7  # each member is a header and one block: the text of the fourth sample
    whole[broken + 5] ^= 1
    source = shards(tmp_path, **{f"s_{ending}": bytes(whole)})
    found = rows(source)
    assert list(found) == ["s/000", "s/001", "s/002", "s/003"]
    assert found["s/002"] == {"photo": b"002.jpg", "caption": b"002.txt"}
    assert found["s/003"] == "corrupt/TAR_CUT"
    (error,) = source.errors()
    assert (error.code, error.unit, error.at, error.read) == ("TAR_CHECKSUM", "byte", broken, 7)
    assert error.file == f"s.{ending.replace('_', '.')}"


@pytest.mark.parametrize("ending", ENDINGS)
def test_tar_02_every_cut_is_told_and_no_cut_sample_is_ok(tmp_path: Path, ending: str) -> None:
    whole = of(*pairs(4))
    truth = rows(shards(tmp_path, s_tar=whole))
    for length in range(0, 8 * 1024 + 1, 512):
        source = shards(tmp_path, **{f"s_{ending}": whole[:length]})
        begun = -(-(length // 1024) // 2)  # a member is a header and one block, a sample two members
        expected = dict(list(truth.items())[:begun])
        if begun:
            expected[f"s/{begun - 1:03d}"] = "corrupt/TAR_CUT"
        assert (rows(source), codes(source)) == (expected, ["TAR_CUT"]), length


def test_tar_02_one_block_of_the_end_says_enough(tmp_path: Path) -> None:
    source = shards(tmp_path, s_tar=of("a.jpg")[: 1024 + 512])
    assert (rows(source), codes(source)) == ({"s/a": {"photo": b"a.jpg"}}, [])


@pytest.mark.parametrize("ending", ENDINGS)
def test_tar_02_a_compressed_file_that_is_cut_is_told(tmp_path: Path, ending: str) -> None:
    contents = [(name, os.urandom(300)) for name in pairs(6)]
    whole = packed(ending, tar(contents))
    truth = dict(contents)
    for length in range(0, len(whole) - 1, 101):
        path = tmp_path / f"s.{ending.replace('_', '.')}"
        path.write_bytes(whole[:length])
        source = ShardSource(path, SUFFIXES)
        found = rows(source)
        for identifier, fields in found.items():
            if isinstance(fields, dict):
                key = identifier.removeprefix("s/")
                assert fields == {"photo": truth[f"{key}.jpg"], "caption": truth[f"{key}.txt"]}
        assert len(source.errors()) == (ending != "tar" or length < 12 * 1024 + 512), length


def test_tar_03_a_cut_shard_takes_nothing_from_the_next(tmp_path: Path) -> None:
    first = of("a.jpg", "b.jpg", "b.txt")[: 2 * 1024]
    source = shards(tmp_path, one_tar=first, two_tar=of("b.txt", "c.jpg"))
    assert rows(source) == {
        "one/a": {"photo": b"a.jpg"},
        "one/b": "corrupt/TAR_CUT",
        "two/b": {"caption": b"b.txt"},
        "two/c": {"photo": b"c.jpg"},
    }
    assert [(error.file, error.code) for error in source.errors()] == [("one.tar", "TAR_CUT")]


def test_tar_04_equal_keys_of_different_shards_do_not_collide(tmp_path: Path) -> None:
    source = shards(tmp_path, one_tar=of("a.jpg"), two_tar_gz=of("a.jpg"))
    assert list(rows(source)) == ["one/a", "two/a"]
    assert make_plan(source, 10).rows == 2


@pytest.mark.parametrize("other", ["sub/s.tar", "s.tar.gz", "s.TAR"])
def test_tar_04_shards_of_one_stem_are_refused(tmp_path: Path, other: str) -> None:
    for name in ("s.tar", other):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(packed(name, of("a.jpg")))
    with pytest.raises(UsageError, match=r"s\.tar' and .* the same ids\. Rename one"):
        ShardSource([tmp_path / "s.tar", tmp_path / other], SUFFIXES)


@pytest.mark.parametrize("ending", ENDINGS)
def test_tar_05_members_that_lie_apart_are_never_two_half_rows(tmp_path: Path, ending: str) -> None:
    source = shards(tmp_path, **{f"s_{ending}": of("a.jpg", "b.jpg", "c.jpg", "a.txt", "c.txt", "c.wav")})
    assert rows(source) == {
        "s/a": "invalid/TAR_SPLIT",
        "s/b": {"photo": b"b.jpg"},
        "s/c": "invalid/TAR_SPLIT",
    }
    (error,) = source.errors()
    assert (error.code, error.at, error.read) == ("TAR_SPLIT", 3 * 1024, 3)
    assert rows(source)["s/a"] == "invalid/TAR_SPLIT", "a second pass is equal"
    assert source.errors() == [error]


def test_tar_05_members_that_lie_apart_can_be_gathered(tmp_path: Path) -> None:
    (tmp_path / "s.tar").write_bytes(of("a.jpg", "b.jpg", "a.txt", "b.txt"))
    source = ShardSource(tmp_path / "s.tar", SUFFIXES, group="global")
    assert rows(source) == {
        "s/a": {"photo": b"a.jpg", "caption": b"a.txt"},
        "s/b": {"photo": b"b.jpg", "caption": b"b.txt"},
    }
    assert source.errors() == []


def test_tar_05_gathering_trusts_no_record_of_a_cut_shard(tmp_path: Path) -> None:
    (tmp_path / "s.tar").write_bytes(of("a.jpg", "b.jpg", "a.txt", "b.txt")[: 3 * 1024])
    source = ShardSource(tmp_path / "s.tar", SUFFIXES, group="global")
    assert rows(source) == {"s/a": "corrupt/TAR_CUT", "s/b": "corrupt/TAR_CUT"}


def test_tar_05_gathering_from_a_compressed_shard_is_refused(tmp_path: Path) -> None:
    (tmp_path / "s.tgz").write_bytes(packed("s.tgz", of("a.jpg")))
    with pytest.raises(UsageError, match="is compressed, and group='global'"):
        ShardSource(tmp_path / "s.tgz", SUFFIXES, group="global")
    with pytest.raises(UsageError, match="group is 'all'; it must be"):
        ShardSource(tmp_path / "s.tgz", SUFFIXES, group="all")


def test_tar_05_members_without_field_do_not_come_between(tmp_path: Path) -> None:
    assert rows(shards(tmp_path, s_tar=of("a.jpg", "b.json", "README", "a.txt"))) == {
        "s/a": {"photo": b"a.jpg", "caption": b"a.txt"}
    }


@pytest.mark.parametrize(
    "names", [("a.jpg", "a.jpg"), ("a.jpg", "a.png"), ("a.v1.jpg", "a.v2.jpg"), ("./a.jpg", "a.jpg")]
)
def test_tar_06_two_members_for_one_field_are_an_invalid_row(tmp_path: Path, names: tuple[str, str]) -> None:
    source = shards(tmp_path, s_tar=of("0.jpg", *names, "a.txt", "b.jpg"))
    assert rows(source) == {
        "s/0": {"photo": b"0.jpg"},
        "s/a": "invalid/TAR_DUPLICATE",
        "s/b": {"photo": b"b.jpg"},
    }
    problem = [record.problem for record in source.records()][1]
    assert str(problem) == f"'s.tar#{names[0]}' and 's.tar#{names[1]}' both claim the field 'photo'"


def test_tar_06_a_key_of_countless_members_is_a_limit(tmp_path: Path) -> None:
    source = shards(tmp_path, s_tar=of(*(f"a.{number}.jpg" for number in range(300)), "b.jpg"))
    assert rows(source) == {"s/a": "limit/TAR_MEMBERS", "s/b": {"photo": b"b.jpg"}}


HOSTILE_NAMES = {
    b"/etc/x.jpg": "%2Fetc/x",
    b"../../y.jpg": "%2E%2E/%2E%2E/y",
    b"a/../z.jpg": "a/%2E%2E/z",
    b"a\\b.jpg": "a%5Cb",
    b"nul\0.jpg": "nul%00",
    b"caf\xe9.jpg": "caf%E9",
    b"caf%E9.jpg": "caf%25E9",
    b"caf\xc3\xa9.jpg": "caf\xe9",
    b"100% sure.jpg": "100% sure",
    b"..x/a.jpg": None,
    b"new\nline.jpg": "new\nline",
    b"\xed\xa0\x80.jpg": "%ED%A0%80",
    b"a//b.jpg": "a//b",
    b"n" * 10_000 + b".jpg": "n" * 10_000,
}


@pytest.mark.parametrize("form", ["pax", "header"])
def test_tar_07_hostile_names_become_distinct_harmless_ids(tmp_path: Path, form: str) -> None:
    blocks = []
    expected = {}
    for name, key in HOSTILE_NAMES.items():
        if form == "header" and (len(name) > 100 or b"\0" in name):
            continue
        record = b" path=" + name + b"\n"
        length = len(record) + len(str(len(record) + 4))
        record = b"%d" % length + record
        assert len(record) == length
        if form == "pax":
            blocks.append(header(b"pax", len(record), b"x") + record.ljust(-(-len(record) // 512) * 512, b"\0"))
        blocks.append(header(b"short.jpg" if form == "pax" else name, 4) + b"true".ljust(512, b"\0"))
        if key is not None:
            expected[f"s/{key}"] = {"photo": b"true"}
    before = sorted(tmp_path.rglob("*"))
    source = shards(tmp_path, s_tar=b"".join(blocks) + END)
    assert rows(source) == expected
    assert source.notes() == {"ignored": {"hidden file": 1}}
    assert source.errors() == []
    assert sorted(tmp_path.rglob("*")) == [*before, tmp_path / "s.tar"]
    for found in source.records():
        for text in (found.id, found.fields["photo"].name):
            text.encode()
            assert "/../" not in f"/{text}/"


def special(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_tar_08_what_is_no_file_is_blocked_or_counted_and_never_followed(tmp_path: Path, form: int) -> None:
    members: list[tuple[str | tarfile.TarInfo, bytes]] = [
        (special("a", tarfile.DIRTYPE), b""),
        ("a/dog.jpg", b"dog"),
        (special("a/link.jpg", tarfile.SYMTYPE, "/etc/passwd"), b""),
        (special("a/hard.jpg", tarfile.LNKTYPE, "a/dog.jpg"), b""),
        (special("a/tty.jpg", tarfile.CHRTYPE), b""),
        (special("a/sda.jpg", tarfile.BLKTYPE), b""),
        (special("a/pipe.jpg", tarfile.FIFOTYPE), b""),
        ("a/last.jpg", b"last"),
    ]
    source = shards(tmp_path, s_tar=tar(members, form))
    assert rows(source) == {
        "s/a/dog": {"photo": b"dog"},
        "s/a/link": {"photo": b"blocked/TAR_KIND"},
        "s/a/hard": {"photo": b"blocked/TAR_KIND"},
        "s/a/last": {"photo": b"last"},
    }
    assert source.notes() == {"ignored": {"device": 2, "folder": 1, "pipe": 1}}


@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_tar_08_long_names_are_whole(tmp_path: Path, form: int) -> None:
    name = "/".join(["folder" * 10] * 5) + "/é" + "x" * 200
    assert rows(shards(tmp_path, s_tar=tar([(f"{name}.jpg", b"1"), (f"{name}.txt", b"2")], form))) == {
        f"s/{name}": {"photo": b"1", "caption": b"2"}
    }


@pytest.mark.parametrize("ending", ENDINGS)
def test_tar_08_a_hard_link_costs_its_own_cell_only(tmp_path: Path, ending: str) -> None:
    link = special("b.jpg", tarfile.LNKTYPE, "a.jpg")
    whole = tar([("a.jpg", b"a"), (link, b""), ("b.txt", b"words")])
    assert rows(shards(tmp_path, **{f"s_{ending}": whole})) == {
        "s/a": {"photo": b"a"},
        "s/b": {"photo": b"blocked/TAR_KIND", "caption": b"words"},
    }


def test_tar_08_the_size_of_a_pax_header_counts(tmp_path: Path) -> None:
    info = tarfile.TarInfo("a.jpg")
    info.pax_headers = {"size": "600"}
    block = info.create_pax_header({**info.get_info(), "size": 0, "pax_headers": {"size": "600"}}, "utf-8")
    source = shards(tmp_path, s_tar=block + b"x" * 600 + bytes(424) + of("b.jpg"))
    assert rows(source) == {"s/a": {"photo": b"x" * 600}, "s/b": {"photo": b"b.jpg"}}


def test_tar_08_a_header_for_all_members_is_read_over(tmp_path: Path) -> None:
    record = b"22 comment=0123456789\n"
    note = header(b"pax_global_header", len(record), b"g") + record.ljust(512, b"\0")
    assert rows(shards(tmp_path, s_tar=note + of("a.jpg"))) == {"s/a": {"photo": b"a.jpg"}}
    assert codes(shards(tmp_path, t_tar=note + END)) == []


@pytest.mark.parametrize(
    ("record", "kind"),
    [
        (b"11 size=-1\n", b"x"),
        (b"99 size=1\n", b"x"),
        (b"10 size=1\n", b"g"),
        (b"0 size=1\n", b"x"),
        (b"8 a=bcd\n", b"x"),
        (b"size=1\n", b"x"),
        (b"7 path\n", b"x"),
    ],
)
def test_tar_08_a_broken_pax_header_is_a_source_error(tmp_path: Path, record: bytes, kind: bytes) -> None:
    extra = header(b"pax", len(record), kind) + record.ljust(512, b"\0")
    source = shards(tmp_path, s_tar=of("a.jpg")[:1024] + extra + of("b.jpg"))
    expected = (["s/a", "s/b"], []) if record.startswith(b"8 ") else (["s/a"], ["TAR_HEADER"])
    assert (list(rows(source)), codes(source)) == expected


@pytest.mark.parametrize("ending", ["tar_gz", "tar_zst"])
def test_tar_09_a_bomb_stops_at_its_ratio(tmp_path: Path, ending: str) -> None:
    whole = of("a.jpg", "b.jpg")[:2048] + header(b"c.jpg", 1 << 30) + bytes(1 << 25)
    source = shards(tmp_path, **{f"s_{ending}": whole})
    began = time.process_time()
    assert rows(source)["s/a"] == {"photo": b"a.jpg"}
    assert time.process_time() - began < 2
    (error,) = source.errors()
    assert (error.code, error.read) == ("RATIO", 3)
    assert "grows more than 200 times" in error.reason


@pytest.mark.parametrize("ending", ["tar", "tar_gz"])
@pytest.mark.parametrize("size", [b"\x80" + (1 << 63).to_bytes(11), b"777777777777", b"\x80" + b"\xff" * 11])
def test_tar_09_a_member_that_claims_exabytes_is_a_source_error(tmp_path: Path, ending: str, size: bytes) -> None:
    whole = of("a.jpg", "b.jpg")[:2048] + header(b"c.jpg", size) + bytes(512)
    source = shards(tmp_path, **{f"s_{ending}": whole})
    found = rows(source)
    assert found["s/a"] == {"photo": b"a.jpg"}
    assert "s/c" not in found or found["s/c"] == "corrupt/TAR_CUT"
    assert codes(source) == ["TAR_CUT"]


def test_tar_09_sizes_in_bytes_are_read(tmp_path: Path) -> None:
    whole = header(b"a.jpg", b"\x80" + (3).to_bytes(11)) + b"abc".ljust(512, b"\0") + END
    assert rows(shards(tmp_path, s_tar=whole)) == {"s/a": {"photo": b"abc"}}


@pytest.mark.parametrize("size", [b"\xff" * 12, b"12a45678901\0", b"-0000000001\0"])
def test_tar_09_a_size_that_is_none_is_a_source_error(tmp_path: Path, size: bytes) -> None:
    source = shards(tmp_path, s_tar=of("a.jpg")[:1024] + header(b"c.jpg", size) + END)
    assert codes(source) == ["TAR_HEADER"]


def test_tar_09_a_giant_long_name_is_a_source_error(tmp_path: Path) -> None:
    whole = header(b"long", 1 << 21, b"L") + b"n" * (1 << 21) + of("a.jpg")
    assert codes(shards(tmp_path, s_tar=whole)) == ["TAR_HEADER"]


def test_tar_09_a_pax_header_of_countless_records_takes_linear_time(tmp_path: Path) -> None:
    record = b"6 a=b\n" * 170_000
    whole = header(b"pax", len(record), b"x") + record.ljust(-(-len(record) // 512) * 512, b"\0") + of("a.jpg")
    began = time.process_time()
    assert rows(shards(tmp_path, s_tar=whole)) == {"s/a": {"photo": b"a.jpg"}}
    assert time.process_time() - began < 3


def test_tar_10_keys_end_at_the_first_dot_and_nothing_vanishes(tmp_path: Path) -> None:
    names = [
        "a.JPG",  # upper case
        "a.mask.png",  # the whole suffix of another member goes before the end of this one
        "b.2019.01.jpg",  # no other claims the field
        "dir.with.dots/c.txt",
        "README",
        "c.json",
        "0.cls",
        ".hidden.jpg",
        "__MACOSX/._a.jpg",
        ".git/x.jpg",
        "d.",
        "dog.jpg.bak",
    ]
    source = shards(tmp_path, s_tar=of(*names))
    assert rows(source) == {
        "s/a": {"photo": b"a.JPG"},
        "s/b": {"photo": b"b.2019.01.jpg"},
        "s/dir.with.dots/c": {"caption": b"dir.with.dots/c.txt"},
    }
    expected = {"hidden file": 3, "no suffix": 1, ".": 1, ".bak": 1, ".cls": 1, ".json": 1, ".png": 1}
    assert source.notes() == {"ignored": dict(sorted(expected.items()))}
    assert sum(expected.values()) + 3 == len(names)


def test_tar_10_countless_suffixes_are_counted_together(tmp_path: Path) -> None:
    source = shards(tmp_path, s_tar=of(*(f"a.x{number}" for number in range(300)), "b.jpg"))
    ignored = source.notes()["ignored"]
    assert (len(ignored), sum(ignored.values()), ignored["others"]) == (101, 300, 200)


@pytest.mark.parametrize("name", ["pipe:cat s.tar", "http://x/s.tar", "s3://b/s.tar.gz", "file:///s.tar"])
def test_tar_11_nothing_but_paths_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    Path("s.tar").write_bytes(of("a.jpg"))
    for given in (name, ["s.tar", name]):
        with pytest.raises(UsageError, match=r"is no path of a file.*nothing is fetched, and no command is run"):
            open_source(given, suffixes=SUFFIXES)


def test_tar_11_a_colon_in_a_name_is_no_scheme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("pipe:s.tar").write_bytes(of("a.jpg"))
    assert list(rows(ShardSource("pipe:s.tar", SUFFIXES))) == ["pipe:s/a"]


@pytest.mark.parametrize("ending", ENDINGS)
def test_tar_12_an_empty_archive_has_no_rows_and_no_error(tmp_path: Path, ending: str) -> None:
    source = shards(tmp_path, **{f"s_{ending}": tar([])}, two_tar=of("a.jpg"))
    assert list(rows(source)) == ["two/a"]
    assert source.errors() == []


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "TAR_CUT"),
        (b"x", "TAR_CUT"),
        (b"x" * 512, "TAR_HEADER"),
        (json.dumps({"no": "tar"}).encode() * 100, "TAR_HEADER"),
        (b"0" * 1024, "TAR_CHECKSUM"),
    ],
)
def test_tar_12_what_is_no_archive_is_a_source_error_at_its_first_byte(
    tmp_path: Path, content: bytes, code: str
) -> None:
    source = shards(tmp_path, s_tar=content, two_tar=of("a.jpg"))
    assert list(rows(source)) == ["two/a"]
    assert [(e.file, e.code, e.at, e.read) for e in source.errors()] == [("s.tar", code, 0, 0)]
    assert make_plan(source, 10).source_errors == tuple(source.errors())


def test_tar_12_a_source_of_nothing_else_says_why_it_is_empty(tmp_path: Path) -> None:
    source = shards(tmp_path, s_tar=b"0" * 1024)
    with pytest.raises(UsageError, match=r"holds no records; 's\.tar', byte 0, 0 read before: TAR_CHECKSUM: this"):
        make_plan(source, 10)


def test_tar_12_an_archive_in_an_archive_stays_closed(tmp_path: Path) -> None:
    source = shards(tmp_path, s_tar=tar([("inner.tar", of("x.jpg", "y.jpg")), ("a.jpg", b"a")]))
    assert rows(source) == {"s/a": {"photo": b"a"}}
    assert source.notes() == {"ignored": {".tar": 1}}


@pytest.mark.parametrize("ending", ENDINGS)
def test_tar_12_a_second_archive_behind_the_first_is_told(tmp_path: Path, ending: str) -> None:
    first = of("a.jpg", "b.jpg")
    source = shards(tmp_path, **{f"s_{ending}": first + of("c.jpg")})
    assert rows(source) == {"s/a": {"photo": b"a.jpg"}, "s/b": "corrupt/TAR_CUT"}
    assert [(e.code, e.at) for e in source.errors()] == [("TAR_TRAILING", len(first))]


def test_tar_12_zeros_without_end_are_not_followed(tmp_path: Path) -> None:
    source = shards(tmp_path, s_tar=of("a.jpg"))
    os.truncate(tmp_path / "s.tar", 1 << 40)
    assert codes(source) == ["TAR_TRAILING"]


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("s-{000..003}.tar", ["s-000.tar", "s-001.tar", "s-002.tar", "s-003.tar"]),
        ("{b,a}-{8..10}.tar", ["b-8.tar", "b-9.tar", "b-10.tar", "a-8.tar", "a-9.tar", "a-10.tar"]),
        ("{2..1}.tar", ["2.tar", "1.tar"]),
        ("s{x}.tar", ["s{x}.tar"]),
    ],
)
def test_tar_13_patterns_stand_for_paths_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pattern: str, names: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in names:
        Path(name).write_bytes(of("a.jpg"))
    source = open_source(pattern, suffixes=SUFFIXES)
    assert [record.id for record in source.records()] == [name.removesuffix(".tar") + "/a" for name in names]
    assert [record.id for record in open_source(names, suffixes=SUFFIXES).records()] == [
        record.id for record in source.records()
    ]


@pytest.mark.parametrize(
    "pattern",
    ["s-{0..999999999999}.tar", "{0..999999}{0..999999}.tar", "{0..1000000}.tar", "{a,b}" * 5000 + ".tar"],
)
def test_tar_13_a_pattern_of_too_many_paths_is_refused_at_once(pattern: str) -> None:
    began = time.process_time()
    with pytest.raises(UsageError, match="the most are 1,000,000"):
        open_source(pattern, suffixes=SUFFIXES)
    assert time.process_time() - began < 2


def test_tar_13_missing_shards_are_refused_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("s-1.tar").write_bytes(of("a.jpg"))
    with pytest.raises(UsageError, match=r"There is no file 's-0\.tar', 's-2\.tar', 's-3\.tar'\. Check the paths"):
        ShardSource("s-{0..999999}.tar", SUFFIXES)
    with pytest.raises(UsageError, match="There are no shards"):
        ShardSource([], SUFFIXES)
    with pytest.raises(UsageError, match=r"'s-1\.zip' is no shard"):
        ShardSource(["s-1.tar", "s-1.zip"], SUFFIXES)


def test_a_pipe_in_a_shards_place_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "s.tar")
    with pytest.raises(UsageError, match="There is no file"):
        ShardSource(tmp_path / "s.tar", SUFFIXES)


def test_a_failing_disk_is_a_source_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = shards(tmp_path, s_tar=of(*pairs(3)), two_tar=of("a.jpg"))

    class Failing(io.FileIO):
        def read(self, size: int | None = -1, /) -> bytes:
            if self.name.name == "s.tar" and self.tell() >= 4096:
                raise OSError(5, "Input/output error")
            return super().read(size)

    monkeypatch.setattr(Path, "open", lambda path, *_, **__: Failing(path))
    assert [record.id for record in source.records()] == ["s/000", "s/001", "two/a"]
    assert [(e.code, e.reason) for e in source.errors()] == [("READ", "reading failed: Input/output error")]


def test_the_description_is_plain_json(tmp_path: Path) -> None:
    described = shards(tmp_path, a_tar=of("a.jpg"), b_tar=of("b.jpg")).describe()
    assert described["path"] == f"{tmp_path / 'a.tar'} and 1 more"
    assert json.loads(json.dumps(described)) == described


@pytest.mark.parametrize("ending", ENDINGS)
def test_shards_become_rows(tmp_path: Path, ending: str) -> None:
    name = f"s.{ending.replace('_', '.')}"
    members = [("bell.toy", b"bell"), ("drum.toy", b""), ("harp.toy", b"harp"), ("siren.toy", b"siren")]
    (tmp_path / name).write_bytes(packed(name, tar(members)[: 6 * 512]))
    source = open_source(tmp_path / name, suffixes={".toy": "word"})
    ((_, records),) = make_plan(source, 10).read(source)
    columns = columns_for(["word"], {"word": "toy.letters"})
    with ThreadPoolExecutor(1) as threads:
        found = PartEmbedder(columns, threads, limits=Limits(bytes=100)).embed(records)
    assert found.ids == ["s/bell", "s/drum", "s/harp"]
    assert found.cells["word_letters"].status == ["ok", "empty", "corrupt"]
    assert found.cells["word_letters"].vectors[0].tolist() == [4, 1, 2]
    assert found.cells["word_letters"].error[2] == f"TAR_CUT: {records[2].problem}"
    values, checksums = found.fields["word"]
    assert values == [f"{name}#bell.toy", f"{name}#drum.toy", None]
    assert checksums == [hashlib.sha256(b"bell").hexdigest(), hashlib.sha256(b"").hexdigest(), None]

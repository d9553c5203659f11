from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedders import UsageError
from pipelines.records import FolderSource, Record
from pipelines.records.folder import _suffix
from tests.pipelines.records.conftest import Write

SUFFIXES = {".pic": "photo", ".gif": "photo", ".txt": "caption", ".snd": "sound"}


def ids(folder: Path, **options: bool) -> list[str]:
    return [record.id for record in FolderSource(folder, SUFFIXES, **options).records()]


@given(st.text("a.B ä", min_size=1, max_size=6).filter(lambda name: not name.startswith(".")))
def test_key_and_suffix_are_those_of_the_standard_library(name: str) -> None:
    source = FolderSource(Path(__file__).parent, SUFFIXES)
    assert (source._key(name), _suffix(name)) == (os.path.splitext(name)[0], os.path.splitext(name)[1].lower())


def test_files_of_one_stem_are_one_record(tmp_path: Path, write: Write) -> None:
    for name in ("a/dog.pic", "a/dog.txt", "a/dog.snd"):
        write(name, "x")
    fields = {"photo": Path("a/dog.pic"), "caption": Path("a/dog.txt"), "sound": Path("a/dog.snd")}
    assert list(FolderSource(tmp_path, SUFFIXES).records()) == [Record("a/dog", fields)]


def test_paths_are_relative_to_the_root(tmp_path: Path, write: Write) -> None:
    write("a/dog.txt", "woof")
    source = FolderSource(tmp_path, SUFFIXES)
    (record,) = source.records()
    assert (source.root / record.fields["caption"]).read_text() == "woof"


def test_root_does_not_move_with_the_working_folder(
    tmp_path: Path, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    write("set/dog.txt", "woof")
    monkeypatch.chdir(tmp_path)
    source = FolderSource("set", SUFFIXES)
    monkeypatch.chdir("/")
    assert [record.id for record in source.records()] == ["dog"]


def test_records_of_a_folder_come_sorted_before_its_subfolders(tmp_path: Path, write: Write) -> None:
    names = ["b/z.txt", "b/a.txt", "c.txt", "a/b/x.txt", "a/y.txt", "B.txt", "a.b.txt", "a-b/x.txt"]
    random.Random(0).shuffle(names)
    for name in names:
        write(name, "x")
    assert ids(tmp_path) == ["B", "a.b", "c", "a/y", "a/b/x", "a-b/x", "b/a", "b/z"]


def test_order_does_not_depend_on_the_file_system(
    tmp_path: Path, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a.txt", "b.txt", "c/a.txt", "d/b.txt", "b.pic"):
        write(name, "x")
    before = list(FolderSource(tmp_path, SUFFIXES).records())
    scandir = os.scandir

    class Reversed:
        def __init__(self, path: Path) -> None:
            with scandir(path) as entries:
                self.entries = sorted(entries, key=lambda entry: entry.name, reverse=True)

        def __enter__(self) -> list[os.DirEntry[str]]:
            return self.entries

        def __exit__(self, *error: object) -> None: ...

    monkeypatch.setattr(os, "scandir", Reversed)
    assert list(FolderSource(tmp_path, SUFFIXES).records()) == before


def test_every_pass_is_equal(tmp_path: Path, write: Write) -> None:
    for number in range(20):
        write(f"{number % 3}/{number}.txt", "x")
    source = FolderSource(tmp_path, SUFFIXES)
    assert list(source.records()) == list(source.records())


def test_suffixes_are_known_in_any_case(tmp_path: Path, write: Write) -> None:
    write("dog.TXT", "x")
    assert ids(tmp_path) == ["dog"]


def test_case_twins_are_two_records(tmp_path: Path, write: Write) -> None:
    write("A.pic", "x")
    write("a.pic", "x")
    assert ids(tmp_path) == ["A", "a"]


@pytest.mark.parametrize("second", ["dog.gif", "dog.PIC"])
def test_two_files_of_one_field_are_refused_by_name(tmp_path: Path, write: Write, second: str) -> None:
    write("a/dog.pic", "x")
    write(f"a/{second}", "x")
    with pytest.raises(UsageError, match="--no-join") as raised:
        ids(tmp_path)
    assert "a/dog.pic" in str(raised.value)
    assert f"a/{second}" in str(raised.value)


def test_without_join_every_file_is_a_record(tmp_path: Path, write: Write) -> None:
    for name in ("dog.pic", "dog.gif", "dog.txt"):
        write(name, "x")
    records = list(FolderSource(tmp_path, SUFFIXES, join=False).records())
    assert records == [
        Record("dog.gif", {"photo": Path("dog.gif")}),
        Record("dog.pic", {"photo": Path("dog.pic")}),
        Record("dog.txt", {"caption": Path("dog.txt")}),
    ]


def test_fields_are_those_that_occur_in_the_order_of_the_suffixes(tmp_path: Path, write: Write) -> None:
    write("a/dog.txt", "x")
    write("cat.gif", "x")
    assert FolderSource(tmp_path, SUFFIXES).fields() == ("photo", "caption")


def test_other_files_are_counted_by_suffix(tmp_path: Path, write: Write) -> None:
    for name in ("a.pdf", "b/c.PDF", "README", "b/x.tar.gz", "dog.txt"):
        write(name, "x")
    assert FolderSource(tmp_path, SUFFIXES).notes() == {"ignored": {".gz": 1, ".pdf": 2, "no suffix": 1}}


def test_nothing_ignored_is_nothing_noted(tmp_path: Path, write: Write) -> None:
    write("dog.txt", "x")
    assert FolderSource(tmp_path, SUFFIXES).notes() == {}


def test_hidden_files_and_folders_are_passed_over(tmp_path: Path, write: Write) -> None:
    for name in (".hidden.txt", ".git/a.txt", ".txt", "dog.txt"):
        write(name, "x")
    assert ids(tmp_path) == ["dog"]
    assert FolderSource(tmp_path, SUFFIXES).notes() == {}


def test_linked_folders_are_counted_and_not_followed(tmp_path: Path, write: Write) -> None:
    write("in/dog.txt", "x")
    (tmp_path / "in" / "loop").symlink_to(tmp_path)
    (tmp_path / "in" / "twin.pic").symlink_to(tmp_path / "in")
    assert ids(tmp_path) == ["in/dog"]
    assert FolderSource(tmp_path, SUFFIXES).notes() == {"linked_folders": 2}


def test_linked_files_are_records_wherever_they_lead(tmp_path: Path, write: Write) -> None:
    write("a.txt", "x")
    (tmp_path / "b.txt").symlink_to(tmp_path / "a.txt")
    (tmp_path / "c.txt").symlink_to("/etc/hostname")
    (tmp_path / "d.txt").symlink_to("nowhere")
    (tmp_path / "e.txt").symlink_to("e.txt")
    assert ids(tmp_path) == ["a", "b", "c", "d", "e"]


def test_a_pipe_is_listed_without_being_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.txt")
    assert ids(tmp_path) == ["a"]


def test_a_folder_named_like_a_file_is_a_folder(tmp_path: Path, write: Write) -> None:
    write("dog.pic/ear.txt", "x")
    assert ids(tmp_path) == ["dog.pic/ear"]


@pytest.mark.parametrize(
    "name", ["with space", "new\nline", 'quote"s', "100% sure", "🔔", "é", "e\u0301", "n" * 251]
)
def test_names_in_utf8_are_left_alone(tmp_path: Path, write: Write, name: str) -> None:
    write(f"{name}.txt", "x")
    assert ids(tmp_path) == [name]


def test_names_that_are_not_utf8_become_distinct_valid_ids(tmp_path: Path) -> None:
    raw = os.fsencode(tmp_path)
    for name in (b"caf\xe9.txt", b"caf\xe8.txt", b"50%\xff.txt"):
        with open(os.path.join(raw, name), "wb") as file:
            file.write(name)
    source = FolderSource(tmp_path, SUFFIXES)
    records = list(source.records())
    assert [record.id for record in records] == ["50%25%FF", "caf%E8", "caf%E9"]
    assert (source.root / records[2].fields["caption"]).read_bytes() == b"caf\xe9.txt"


def test_folders_that_are_not_utf8_are_escaped_too(tmp_path: Path) -> None:
    folder = os.path.join(os.fsencode(tmp_path), b"\xff", b"10%")
    os.makedirs(folder)
    with open(os.path.join(folder, b"dog.txt"), "wb"):
        pass
    assert ids(tmp_path) == ["%FF/10%/dog"]


def test_an_escaped_name_is_not_joined_with_its_literal_twin(tmp_path: Path, write: Write) -> None:
    write("caf%E9.pic", "x")
    with open(os.path.join(os.fsencode(tmp_path), b"caf\xe9.txt"), "wb"):
        pass
    assert [set(record.fields) for record in FolderSource(tmp_path, SUFFIXES).records()] == [{"photo"}, {"caption"}]


def test_ids_do_not_depend_on_the_locale(tmp_path: Path, write: Write) -> None:
    write("é/🔔.txt", "x")
    code = (
        "import sys, json; from pipelines.records import FolderSource;"
        "print(json.dumps([r.id for r in FolderSource(sys.argv[1], {'.txt': 't'}).records()]))"
    )
    environment = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    shown = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], env=environment, capture_output=True, check=True
    )
    assert json.loads(shown.stdout) == ["é/🔔"]


def test_deep_trees_are_walked(tmp_path: Path, write: Write) -> None:
    write("/".join(["d"] * 200) + "/dog.txt", "x")
    assert ids(tmp_path) == ["d/" * 200 + "dog"]


def test_a_folder_that_cannot_be_listed_is_named(
    tmp_path: Path, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    write("closed/dog.txt", "x")
    scandir = os.scandir

    def closed(path: Path) -> object:
        if path.name == "closed":
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", closed)
    with pytest.raises(UsageError, match=r"closed' cannot be listed: Permission denied"):
        ids(tmp_path)


@pytest.mark.parametrize(("name", "rule"), [("missing", "does not exist"), ("dog.txt", "is not a folder")])
def test_a_path_that_is_no_folder_is_refused(tmp_path: Path, write: Write, name: str, rule: str) -> None:
    write("dog.txt", "x")
    with pytest.raises(UsageError, match=rule):
        FolderSource(tmp_path / name, SUFFIXES)


def test_the_description_is_plain_json(tmp_path: Path) -> None:
    described = FolderSource(tmp_path, SUFFIXES).describe()
    assert described == {"kind": "folder", "path": str(tmp_path), "suffixes": SUFFIXES, "join": True}
    assert json.loads(json.dumps(described)) == described

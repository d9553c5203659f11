"""``embed samples``: ordinary files that everything else reads, and a table of what they show."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from embedders import RefusedError, UsageError
from embedders.errors import StorageError
from embedders.registry import registry
from pipelines.cli.samples import LABELS, write_scenes
from pipelines.records import open_source
from pipelines.training.scenes import Example, examples

FIELDS = {".png": "image", ".jpg": "image", ".txt": "text", ".wav": "audio", ".flac": "audio"}
COUNT = 8


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_scenes(COUNT, tmp_path / "scenes", split="comp-attr", seed=4)
    return tmp_path / "scenes"


@pytest.fixture
def made() -> list[Example]:
    return list(examples("comp-attr", COUNT, 4))


def test_three_files_of_a_stem_are_one_record(folder: Path, made: list[Example]) -> None:
    records = list(open_source(folder, suffixes=FIELDS).records())
    assert [record.id for record in records] == [one.id for one in made]
    assert all(sorted(record.fields) == ["audio", "image", "text"] for record in records)


def test_what_is_read_is_what_was_made(folder: Path, made: list[Example]) -> None:
    for record, one in zip(open_source(folder, suffixes=FIELDS).records(), made, strict=True):
        media = {}
        for field, path in record.fields.items():
            decoded = registry.modality(field).decode(folder / path)
            assert decoded.flags == ()
            media[field] = decoded.media
        assert media["text"] == one.caption
        assert media["audio"].rate == 16_000
        np.testing.assert_array_equal(media["audio"].samples, one.sound)
        # JPEG loses a little; PNG nothing
        lost = np.abs(media["image"].astype(int) - one.picture).mean()
        assert lost < 4 if record.fields["image"].suffix == ".jpg" else lost == 0


def test_all_combinations_of_formats_occur(folder: Path) -> None:
    kinds = {tuple(sorted(p.suffix for p in folder.glob(f"*{i:06d}.*"))) for i in range(COUNT)}
    assert kinds == {(sound, picture, ".txt") if sound < picture else (picture, ".txt", sound)
                     for picture in (".jpg", ".png") for sound in (".flac", ".wav")}  # fmt: skip


def test_the_table_tells_every_scene(folder: Path, made: list[Example]) -> None:
    rows = [json.loads(line) for line in (folder / LABELS).read_text().splitlines()]
    assert [row["id"] for row in rows] == [one.id for one in made]
    for row, one in zip(rows, made, strict=True):
        first, *second = one.scene.groups
        assert (row["graph"], row["audible"]) == (one.scene.graph(), one.scene.audible())
        assert (row["caption"], row["relation"]) == (one.caption, one.scene.relation)
        assert (row["shape"], row["colour"], row["count"]) == (first.shape, first.colour, first.count)
        assert row["second_shape"] == (second[0].shape if second else None)
    assert len({tuple(row) for row in rows}) == 1, "every row has the same columns"


def test_the_table_is_a_source_itself(folder: Path) -> None:
    source = open_source(folder / LABELS, suffixes={}, id_column="id")
    assert {"graph", "audible", "shape", "second_colour"} <= set(source.fields())


def test_writing_twice_gives_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    write_scenes(COUNT, tmp_path / "again", split="comp-attr", seed=4)
    written = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert {path.name: path.read_bytes() for path in (tmp_path / "again").iterdir()} == written
    assert len(written) == 3 * COUNT + 1


def test_a_folder_with_anything_in_it_is_refused_untouched(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(RefusedError, match="not empty"):
        write_scenes(2, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


@pytest.mark.parametrize(("count", "split"), [(0, "iid"), (-3, "iid"), (1_000_001, "iid"), (2, "test")])
def test_a_wrong_choice_is_refused_before_a_folder_is_made(count: int, split: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        write_scenes(count, tmp_path / "out", split=split)
    assert not (tmp_path / "out").exists()


def test_a_full_disk_is_a_storage_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, content: bytes) -> int:
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(StorageError, match=r"iid-0-000000.*No space left on device"):
        write_scenes(1, tmp_path / "out")


def test_what_was_made_is_said_on_stderr(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_scenes(1, tmp_path / "out")
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("1 scene of 'iid', seed 0: ")

"""The package for video: its own tests, and its sample files through a whole pipeline."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines import Pipeline, VectorSet
from pipelines.uses.evaluation import Evaluator
from pipelines.uses.search import search
from tests.plugins.packages import PLUGINS, plugged

from test_embed_video import *  # noqa: F403  # isort: skip

EMBED = {"video": "video.frames(encoder=image.starter)", "text": "text.starter"}
WHOLE = [f"iid-12-{number:06d}" for number in range(8, 16)]


@pytest.fixture(scope="module", autouse=True)
def folder() -> Iterator[Path]:
    with plugged("video") as found:
        yield found


@pytest.fixture(scope="module")
def clips(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> VectorSet:
    return Pipeline(EMBED).run(folder / "records", tmp_path_factory.mktemp("out") / "set")


def test_a_clip_that_ends_too_soon_is_a_row_that_says_so(clips: VectorSet) -> None:
    assert list(clips.ids) == ["broken", *WHOLE]
    assert list(clips["video_frames"].status) == ["corrupt", *["ok"] * 8]


def test_words_find_clips_in_the_space_of_pictures(clips: VectorSet) -> None:
    found = search(clips, "two little striped red engines", column="video_frames", k=1)
    assert found[0].id == "iid-12-000012"


def test_words_find_clips_though_no_text_was_embedded(folder: Path, tmp_path: Path) -> None:
    embed = {"video": "video.frames(encoder=image.starter, weights=random:1)"}
    vs = Pipeline(embed).run(folder / "records", tmp_path / "set")
    assert len(search(vs, "a horn", by="text", k=3)) == 3


def test_a_picture_and_a_clip_find_the_clip(clips: VectorSet, folder: Path) -> None:
    for query in (PLUGINS.parent / "scenes" / "iid-12-000008.png", folder / "records" / "iid-12-000008.mp4"):
        assert search(clips, query, column="video_frames", k=1)[0].id == "iid-12-000008"


def test_captions_find_their_clips(clips: VectorSet) -> None:
    outcomes = Evaluator(clips).run(["retrieval"])
    assert len(outcomes) == 2
    assert all(outcome["hit_rate@1"].value == 1 for outcome in outcomes)


def test_a_table_of_paths_is_read_too(folder: Path, tmp_path: Path) -> None:
    table = tmp_path / "clips.csv"
    table.write_text("id,clip\n" + "".join(f"{name},{name}.mp4\n" for name in (WHOLE[0], WHOLE[4], "absent")))
    vs = Pipeline({"clip": EMBED["video"]}).run(table, tmp_path / "set", root=folder / "records")
    assert list(vs["clip_frames"].status) == ["ok", "ok", "not_found"]

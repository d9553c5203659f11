"""The page: what it shows, and that nothing in a set can make it do more than show."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable, Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from PIL import Image

from embedders import StorageError
from pipelines import VectorSet
from pipelines.uses import gallery as module
from pipelines.uses import originals
from pipelines.uses.gallery import gallery, write_gallery
from pipelines.uses.query import Query
from pipelines.uses.search import Result
from pipelines.vectors import Cells, ColumnInfo, Schema, Writer

FIELDS = {"picture": "image", "sound": "audio", "caption": "text"}
HOSTILE = "<script>alert(1)</script>\"'><img src=http://example.org/x onerror=alert(1)>"


class Page(HTMLParser):
    """The elements of a page as a browser would see them."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self._open: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        while self._open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if data.strip() and self._open[-1] != "style":
            self.words.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]

    def source(self, tag: str, at: int = 0) -> bytes:
        kind, _, content = str(self.all(tag)[at]["src"]).partition(";base64,")
        assert kind == {"img": "data:image/jpeg", "audio": "data:audio/mpeg"}[tag]
        return base64.b64decode(content, validate=True)


Show = Callable[..., Page]


@pytest.fixture
def show(tmp_path: Path) -> Show:
    """The page of a set with one record per dictionary of stored values, all of them found."""

    def make(*records: dict[str, str], query: Any = "two red bells", kind: str = "table", **options: Any) -> Page:
        vs = write(tmp_path / "out", records, kind, tmp_path)
        found = [
            Result(str(row), 0.5, "picture_x", "picture", row, {f: record.get(f) for f in FIELDS})
            for row, record in enumerate(records)
        ]
        return Page(gallery(vs, Query(query, "image" if isinstance(query, Path) else "text"), found, **options))

    return make


def write(out: Path, records: Sequence[dict[str, str]], kind: str, root: Path, weights: Any = None) -> VectorSet:
    columns = tuple(
        ColumnInfo(f"{field}_x", field, "x", modality, "space", 2, "float32", True, {"weights": weights or {}})
        for field, modality in FIELDS.items()
    )
    n = len(records)
    run = {
        "circumstances": {"source": {"kind": kind}, "root": str(root)},
        "plan": {"parts": [{"index": 0, "start": 0, "rows": n}]},
    }
    cells = Cells(np.ones((n, 2), np.float32), ["ok"] * n, [None] * n, [[]] * n)
    values = {field: ([record.get(field) for record in records], [None] * n) for field in FIELDS}
    ids = [str(row) for row in range(n)]
    with Writer.open(out, Schema(tuple(FIELDS), columns), run) as writer:
        writer.commit(0, writer.schema.table(ids, values, {c.name: cells for c in columns}), {})
        writer.finish()
    return VectorSet.open(out)


def picture(path: Path, size: tuple[int, int] = (8, 8), colour: tuple[int, int, int] = (200, 30, 30)) -> Path:
    Image.new("RGB", size, colour).save(path)
    return path


def sound(path: Path, seconds: float = 0.5, rate: int = 16_000) -> Path:
    soundfile.write(path, 0.5 * np.sin(np.arange(int(seconds * rate)) * 0.2), rate)
    return path


def test_words_of_every_kind_stay_words(show: Show, tmp_path: Path) -> None:
    name = 'it\'s "quoted" <b>&amp;.png'
    picture(tmp_path / name)
    page = show({"picture": name, "caption": HOSTILE}, query=HOSTILE)
    assert not page.all("script")
    assert {tag for tag, _ in page.tags} == {
        *("html", "head", "meta", "title", "style", "body", "header", "h1", "h2"),
        *("main", "ol", "li", "p", "b", "span", "div", "img"),
    }
    assert f"picture: {name}" in page.words
    assert HOSTILE in page.words
    assert f"“{HOSTILE}”" in page.words
    assert not [key for _, attributes in page.tags for key in attributes if key.startswith("on")]


def test_everything_that_is_loaded_stands_in_the_page_and_the_policy_forbids_the_rest(
    show: Show, tmp_path: Path
) -> None:
    picture(tmp_path / "a.png")
    sound(tmp_path / "a.wav")
    page = show({"picture": "a.png", "sound": "a.wav"}, query=tmp_path / "a.png")
    sources = [value for _, attributes in page.tags for key, value in attributes.items() if key in ("src", "href")]
    assert len(sources) == 3
    assert all(str(source).startswith("data:") for source in sources)
    policy = [meta["content"] for meta in page.all("meta") if "http-equiv" in meta]
    assert policy == ["default-src 'none'; img-src data:; media-src data:; style-src 'unsafe-inline'"]


@pytest.mark.parametrize(("size", "shown"), [((1000, 500), (320, 160)), ((40, 20), (40, 20)), ((900, 1), (320, 1))])
def test_pictures_are_made_small_and_encoded_anew(
    show: Show, tmp_path: Path, size: tuple[int, int], shown: tuple[int, int]
) -> None:
    path = picture(tmp_path / "a.png", size)
    path.write_bytes(path.read_bytes() + b"<script>hidden</script>")
    content = show({"picture": "a.png"}).source("img")
    assert b"hidden" not in content
    found = Image.open(io.BytesIO(content))
    assert (found.format, found.size) == ("JPEG", shown)
    np.testing.assert_allclose(found.resize((1, 1)).getpixel((0, 0)), (200, 30, 30), atol=3)


@pytest.mark.parametrize(("rate", "played"), [(16_000, 16_000), (4_000, 8_000), (22_000, 22_050), (96_000, 48_000)])
def test_sounds_are_encoded_anew_at_a_rate_that_players_know(
    show: Show, tmp_path: Path, rate: int, played: int
) -> None:
    sound(tmp_path / "a.wav", 1.0, rate)
    samples, found = soundfile.read(io.BytesIO(show({"sound": "a.wav"}).source("audio")))
    assert found == played
    assert len(samples) / found == pytest.approx(1.0, abs=0.1)
    assert np.sqrt(np.mean(samples**2)) == pytest.approx(0.5 / np.sqrt(2), rel=0.1)


def test_long_sounds_are_cut_and_said_to_be(show: Show, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SECONDS", 1)
    sound(tmp_path / "a.wav", 3.0)
    page = show({"sound": "a.wav"})
    samples, rate = soundfile.read(io.BytesIO(page.source("audio")))
    assert len(samples) / rate == pytest.approx(1.0, abs=0.1)
    assert "the first 1 of 3 seconds" in page.words


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("gone.png", "missing"),
        ("note.txt", "not shown: unsupported"),
        ("../outside.png", "not shown: blocked"),
        ("folder", "not shown: unreadable"),
    ],
)
def test_what_cannot_be_shown_says_why(show: Show, tmp_path: Path, value: str, says: str) -> None:
    (tmp_path / "note.txt").write_text("no picture at all")
    (tmp_path / "folder").mkdir()
    page = show({"picture": value, "caption": "a bell"})
    assert not page.all("img")
    assert {says, f"picture: {value}", "a bell"} <= set(page.words)


def test_a_large_file_is_named_and_not_decoded(show: Show, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(originals, "LIMITS", originals.Limits(bytes=20))
    picture(tmp_path / "a.png")
    assert "not shown: limit" in show({"picture": "a.png"}).words


def test_in_a_folder_a_text_lies_in_a_file_and_in_a_table_it_is_there(show: Show, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("rain on a roof")
    words = show({"caption": "a.txt"}, kind="folder").words
    assert {"rain on a roof", "caption: a.txt"} <= set(words)


def test_in_a_table_a_text_is_the_cell(show: Show, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("rain on a roof")
    words = show({"caption": "a.txt"}).words
    assert "a.txt" in words
    assert "rain on a roof" not in words


def test_the_files_may_have_moved(show: Show, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    picture(tmp_path / "elsewhere" / "a.png")
    assert show({"picture": "a.png"}, root=tmp_path / "elsewhere").all("img")


def test_long_texts_are_cut_and_control_characters_shown_as_what_they_are(show: Show) -> None:
    words = show({"caption": "x" * 1000}, {"caption": "a\x1b[31mb"}, query="two\x00red").words
    assert "x" * 599 + "…" in words
    assert "a\ufffd[31mb" in words
    assert "“two\ufffdred”" in words


def test_every_word_of_a_set_keeps_its_direction_to_itself(show: Show) -> None:
    page = show({"caption": "\u202egnihtemos"})
    spoken = [attributes for tag, attributes in page.tags if tag in ("p", "b", "h1", "h2", "title")]
    alone = [attributes for attributes in spoken if attributes.get("class") != "line"]
    assert len(alone) == len(spoken) - 1
    assert all(attributes["dir"] == "auto" for attributes in alone)


def test_a_query_too_large_for_a_page_is_named(show: Show, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("damaged")
    page = show({}, query=tmp_path / "a.png")
    assert {str(tmp_path / "a.png"), "not shown: unsupported"} <= set(page.words)


def test_columns_stand_one_below_the_other_with_space_and_warning(tmp_path: Path) -> None:
    vs = write(tmp_path / "out", [{"caption": "a"}], "python", tmp_path, {"seed": 0})
    found = [Result("0", 0.25, f"{f}_x", f, 0, {"caption": "a"}) for f in ("picture", "caption")]
    words = Page(gallery(vs, Query("bells", "text"), found)).words
    assert [word for word in words if word.endswith("_x")] == ["picture_x", "caption_x"]
    assert f"1 records in {tmp_path}/out · space space" in words
    assert "Random weights: these scores carry no meaning." in words


def test_a_set_without_a_record_of_its_source_still_shows_its_texts(tmp_path: Path) -> None:
    vs = write(tmp_path / "out", [{"caption": "a bell"}], "table", tmp_path)
    (tmp_path / "out" / "run.json").unlink()
    found = [Result("0", 0.5, "caption_x", "caption", 0, {"caption": "a bell", "picture": "a.png"})]
    assert {"a bell", "missing"} <= set(Page(gallery(vs, Query("bells", "text"), found)).words)


def test_the_page_is_written_in_utf_8_and_a_refusal_is_said(tmp_path: Path) -> None:
    vs = write(tmp_path / "out", [{"caption": "ü"}], "table", tmp_path)
    found = [Result("0", 0.5, "caption_x", "caption", 0, {"caption": "ü"})]
    write_gallery(tmp_path / "page.html", vs, Query("\udcff", "text"), found)
    content = (tmp_path / "page.html").read_bytes().decode("utf-8")
    assert content.startswith("<!doctype html>")
    assert ">ü<" in content
    with pytest.raises(StorageError, match="No such file"):
        write_gallery(tmp_path / "no" / "page.html", vs, Query("x", "text"), found)
    assert json.loads((tmp_path / "out" / "manifest.json").read_text())["rows"] == 1

"""Ids, captions and paths that steer a terminal or a page: SEC-03, SEC-07, SEC-08."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from embedders import Runtime
from pipelines import Pipeline
from pipelines.uses.gallery import gallery
from pipelines.uses.query import Query
from pipelines.uses.search import Result
from tests.hostile.command import ESCAPES, invoke
from tests.hostile.measures import PictureMeasures
from tests.toy import Filed, Letters


@pytest.fixture(autouse=True)
def no_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """The toys need none, and looking for one imports torch."""
    monkeypatch.setattr(Runtime, "of", classmethod(lambda cls, device="auto", precision="auto": cls()))


STEERING = {
    "clear the screen": "a\x1b[2Jb",
    "set the title": "a\x1b]0;owned\x07b",
    "C1": "a\x9b2Jb",
    "forge a line": "a\nembed: all is well",
    "go back": "a\rembed: all is well",
    "tabs": "a\tb\tc\td\te",
    "turned round": "a\u202egnp.exe",
    "isolated": "a\u2066b",
    "bell": "a\a\b\b",
    "nul": "a\0b",
    "markup": "a[red]b[/red]",
}


@pytest.fixture
def steering(tmp_path: Path) -> Path:
    """A set whose ids try to steer the terminal; all of its rows have failed but one."""
    records = [{"id": name, "word": "!bad"} for name in STEERING.values()]
    Pipeline({"word": Letters()}).run([*records, {"id": "good", "word": "bell"}], tmp_path / "set")
    return tmp_path / "set"


def test_sec_07_names_do_not_steer_the_terminal_and_sec_08_make_no_lines(steering: Path) -> None:
    code, out, _ = invoke("show", steering, "--failures")
    assert code == 0
    assert not ESCAPES.search(out.replace("\t", ""))
    lines = out.splitlines()
    assert [line.split("\t")[1:3] for line in lines] == [["word_letters", "invalid"]] * len(STEERING)
    assert lines[0].startswith(r"a\x1b[2Jb" + "\t")
    code, out, _ = invoke("show", steering)
    assert code == 0
    assert not ESCAPES.search(out)


def test_sec_07_what_is_found_does_not_steer_the_terminal(tmp_path: Path) -> None:
    records = [{"id": name, "word": name} for name in STEERING.values()]
    Pipeline({"word": "toy.letters"}).run(records, tmp_path / "set")
    code, out, err = invoke("search", tmp_path / "set", "bell", "--by", "toy")
    assert code == 0, err
    assert not ESCAPES.search(out)
    assert len(out.splitlines()) <= len(STEERING) + 3


@pytest.mark.parametrize("name", STEERING.values(), ids=STEERING)
def test_sec_08_an_error_is_one_line_whatever_it_quotes(name: str) -> None:
    code, out, err = invoke("show", name.replace("\0", ""))
    assert (code, out) == (2, "")
    assert len(err.splitlines()) == 1
    assert not ESCAPES.search(err)


PAYLOADS = [
    "<script>alert(1)</script>",
    "<ScRiPt>alert(1)</sCrIpT>",
    "</script><script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<img src=x onerror=alert(1)//",
    "<svg onload=alert(1)>",
    "<svg><script>alert(1)</script></svg>",
    "<iframe src=javascript:alert(1)>",
    "<a href='javascript:alert(1)'>x</a>",
    "<body onload=alert(1)>",
    "<input autofocus onfocus=alert(1)>",
    "<details open ontoggle=alert(1)>",
    "<video><source onerror=alert(1)></video>",
    "<math><mtext><script>alert(1)</script></mtext></math>",
    "<style>*{background:url(//evil.example)}</style>",
    "</style><script>alert(1)</script>",
    "</title><script>alert(1)</script>",
    "</textarea><script>alert(1)</script>",
    "</p></li></ol></main></body></html><script>alert(1)</script>",
    "<meta http-equiv=refresh content='0;url=//evil.example'>",
    "<base href=//evil.example/>",
    "<link rel=stylesheet href=//evil.example>",
    "<object data=//evil.example>",
    "<embed src=//evil.example>",
    "<form action=//evil.example><input type=submit>",
    "<!--><script>alert(1)</script>-->",
    "<![CDATA[<script>alert(1)</script>]]>",
    "<?xml version='1.0'?><script>alert(1)</script>",
    '" onmouseover="alert(1)',
    "' onmouseover='alert(1)",
    "` onmouseover=`alert(1)",
    '"><script>alert(1)</script>',
    "javascript:alert(1)",
    "data:text/html,<script>alert(1)</script>",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "&#60;script&#62;alert(1)&#60;/script&#62;",
    "\x00<script\x00>alert(1)</script>",
    "<\u0131mg src=x onerror=alert(1)>",
    "{{constructor.constructor('alert(1)')()}}",
    "${alert(1)} <%= 7*7 %> #{7*7}",
    "+ADw-script+AD4-alert(1)+ADw-/script+AD4-",
]
TAGS = {*("html", "head", "meta", "title", "style", "body", "header", "main"), *("h1", "h2", "ol", "li", "p", "b")}
TAGS |= {"span", "div", "img"}
ATTRIBUTES = {"lang", "charset", "http-equiv", "content", "name", "class", "dir", "src", "alt"}


class Page(HTMLParser):
    """The elements and attributes of a page as a browser would see them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_comment(self, data: str) -> None:
        raise AssertionError(f"a comment: {data}")


def test_sec_03_no_payload_becomes_more_than_words(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x010E] = PAYLOADS[0]  # ImageDescription
    Image.new("RGB", (4, 4)).save(tmp_path / "a.jpg", exif=exif)
    records = [{"id": p, "word": p, "file": p, "picture": "a.jpg"} for p in PAYLOADS]
    choices: dict[str, Any] = {"word": Letters(), "file": Filed(), "picture": PictureMeasures()}
    (tmp_path / "table.jsonl").write_text("\n".join(map(json.dumps, records)))
    vs = Pipeline(choices).run(tmp_path / "table.jsonl", tmp_path / "set")
    found = [
        Result(str(id), 0.5, "word_letters", "word", row, {"word": id, "file": id, "picture": "a.jpg"})
        for row, id in enumerate(vs.ids)
    ]
    assert len(found) == len(PAYLOADS) > 40
    for payload in PAYLOADS:
        html = gallery(vs, Query(payload, "toy"), found, tmp_path)
        page = Page(html)
        assert set(page.tags) <= TAGS
        assert {name for name, _ in page.attributes} <= ATTRIBUTES
        assert all(str(value).startswith("data:image/jpeg;base64,") for n, value in page.attributes if n == "src")
    assert page.tags.count("img") == len(PAYLOADS)
    assert "default-src 'none'" in html
    assert "href" not in {name for name, _ in page.attributes}

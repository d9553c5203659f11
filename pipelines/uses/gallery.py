"""The results of a search as one HTML page that anyone can open: pictures, sounds and texts beside each other.

The page is a single file without scripts, and its policy forbids the browser to fetch anything. Nothing of a
record's file gets into it as it is: media are decoded by their modality and encoded anew, pictures as small JPEG,
sounds as their first seconds in MP3. All words are escaped by the writer of the element tree. What cannot be shown
says why.
"""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

import numpy as np

from embedders import BadInput, StorageError, Waveform
from embedders.registry import registry
from pipelines.uses.originals import LIMITS, Originals
from pipelines.uses.query import Query
from pipelines.uses.search import Result
from pipelines.vectors import VectorSet

__all__ = ["gallery", "write_gallery"]

SIDE = 320
"""Longest side of a picture in pixels."""

SECONDS = 30
"""What is kept of a sound; about 8 kB each."""

CHARACTERS = 600
"""What is kept of a text."""

MP3_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
"""In Hz; MPEG-1 and 2 audio layer III with the extension to low rates knows no others."""

PLAYER = '<audio controls="" preload="metadata"/>'
POLICY = "default-src 'none'; img-src data:; media-src data:; style-src 'unsafe-inline'"
STYLE = (Path(__file__).parent / "gallery.css").read_text("utf-8")

# what HTML has no place for: control characters and halves of surrogate pairs
_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")


def write_gallery(
    file: str | Path, vs: VectorSet, query: Query, results: Sequence[Result], root: str | Path | None = None
) -> None:
    """Write :func:`gallery` to a file, over what is there; raises StorageError where that cannot be."""
    page = gallery(vs, query, results, root)
    try:
        Path(file).write_text(page, "utf-8")
    except OSError as error:
        raise StorageError(f"{str(file)!r}: {error.strerror or error}", "Choose another file") from error


def gallery(vs: VectorSet, query: Query, results: Sequence[Result], root: str | Path | None = None) -> str:
    """The page as a ``str``: the query, then the results of each column.

    ``root`` is the folder that the set's paths are relative to and must lie under; without it the source's own, as
    the run recorded it. Files that are gone are shown as missing.
    """
    records = Originals(vs, root)
    page = Element("html", lang="en")
    head = SubElement(page, "head")
    SubElement(head, "meta", charset="utf-8")
    SubElement(head, "meta", {"http-equiv": "Content-Security-Policy", "content": POLICY})
    SubElement(head, "meta", name="viewport", content="width=device-width, initial-scale=1")
    _add(head, "title", f"{_cut(str(query))} · search")
    _add(head, "style").text = STYLE
    body = SubElement(page, "body")
    header = SubElement(body, "header")
    _query(header, query)
    spaces = ", ".join(dict.fromkeys(vs[result.column].space for result in results))
    _add(header, "p", f"{len(vs):,} records in {vs.storage.root} · space {spaces}", "about")
    if any(vs[result.column].info.meaningless for result in results):
        _add(header, "p", "Random weights: these scores carry no meaning.", "warning")
    main = SubElement(body, "main")
    for column, found in groupby(results, lambda result: result.column):
        _add(main, "h2", column)
        cards = SubElement(main, "ol")
        for result in found:
            _card(SubElement(cards, "li"), result, records)
    return "<!doctype html>\n" + ElementTree.tostring(page, encoding="unicode", method="html") + "\n"


def _query(header: Element, query: Query) -> None:
    try:
        media = registry.modality(query.modality).decode(query.raw, LIMITS).media
    except BadInput as error:  # it may be larger than a page can hold, and still have been searched for
        _add(header, "h1", _cut(str(query)))
        _add(header, "p", _reason(error), "missing")
        return
    if isinstance(media, str):
        _add(header, "h1", f"“{_cut(media)}”")
    else:
        _add(header, "h1", query.raw.name if isinstance(query.raw, Path) else str(query))
        _show(header, media)


def _card(card: Element, result: Result, records: Originals) -> None:
    line = _add(card, "p", None, "line")
    _add(line, "b", result.id)
    _add(line, "span", f"{result.score:.3f}", "score")
    for field, value in result.values.items():
        if value is None or not value.strip():
            continue
        block = _add(card, "div", None, "field found" if field == result.field else "field")
        try:
            _show(block, records.media(field, value))
        except BadInput as error:
            _add(block, "p", _reason(error), "missing")
        _add(block, "p", field if records.inline(field) else f"{field}: {value}", "path")


def _show(parent: Element, media: Any) -> None:
    """Add media of a kind that a browser can show; of others, the name that stands below has to do."""
    if isinstance(media, str):
        _add(parent, "p", _cut(media), "words")
    elif isinstance(media, Waveform):
        player = ElementTree.fromstring(PLAYER)
        player.set("src", _sound(media))
        parent.append(player)
        if media.seconds > SECONDS:
            _add(parent, "p", f"the first {SECONDS} of {media.seconds:.0f} seconds", "path")
    elif isinstance(media, np.ndarray) and media.dtype == np.uint8 and media.ndim == 3 and media.shape[2] == 3:
        SubElement(parent, "img", alt="", src=_picture(media))


def _picture(pixels: Any) -> str:
    from PIL import Image

    small = Image.fromarray(pixels)
    small.thumbnail((SIDE, SIDE))
    file = io.BytesIO()
    small.save(file, "JPEG", quality=85)
    return _address("image/jpeg", file)


def _sound(sound: Waveform) -> str:
    import soundfile

    rate = next((rate for rate in MP3_RATES if rate >= sound.rate), MP3_RATES[-1])
    first = Waveform(sound.samples[: SECONDS * sound.rate], sound.rate)
    file = io.BytesIO()
    soundfile.write(file, np.clip(first.at(rate), -1, 1), rate, format="MP3")
    return _address("audio/mpeg", file)


def _address(kind: str, file: io.BytesIO) -> str:
    return f"data:{kind};base64,{base64.b64encode(file.getvalue()).decode()}"


def _add(parent: Element, tag: str, words: str | None = None, kind: str | None = None) -> Element:
    """Add an element; words are shown in their own direction, so that none can turn its surroundings round."""
    found = SubElement(parent, tag, {"class": kind} if kind else {})
    if words is not None:
        found.text = _UNPRINTABLE.sub("\ufffd", words)
        found.set("dir", "auto")
    return found


def _cut(words: str) -> str:
    return words if len(words) <= CHARACTERS else words[: CHARACTERS - 1] + "…"


def _reason(error: BadInput) -> str:
    """Why there is nothing to see: missing, corrupt, limit; no message, which could quote a whole path."""
    return "missing" if error.status == "not_found" else f"not shown: {error.status}"

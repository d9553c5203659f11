"""Text: what may be embedded as a ``str``, and how the bytes of a text file become one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar

from embedders.errors import BadInput, Status
from embedders.modality import Decoded, Limits, Modality

__all__ = ["Text"]

BOM = "\ufeff"

# a Python str holds only unpaired surrogates: a pair would have become one character
_SURROGATE = re.compile("[\ud800-\udfff]")


class Text(Modality):
    """Text in any language, as ``str`` or as a UTF-8 file; media is the ``str`` itself.

    The text is passed on as given: no stripping, no Unicode normalisation, no change of case, so that every
    embedder's own tokeniser sees what the author wrote. Four things differ from the input:

    * a byte order mark at the start is dropped;
    * lone surrogates, which no file can store, become U+FFFD (flag ``text_repaired``);
    * one line break at the end of a *file* is dropped, since editors add it;
    * text of white space alone is ``empty`` (``TXT_EMPTY``).

    ``invalid`` are bytes that are not UTF-8 (``TXT_ENCODING``, with the offset of the first wrong byte) and
    values that are no ``str`` (``TXT_TYPE``): a number is never turned into text. More than ``limits.characters``
    characters are ``limit`` (``TXT_CHARACTERS``); shortening to what a model reads is the embedder's matter.
    """

    name: ClassVar[str] = "text"
    suffixes: ClassVar[frozenset[str]] = frozenset({".txt"})
    inline: ClassVar[bool] = True
    defaults: ClassVar[tuple[str, ...]] = ("text.clip",)

    @property
    def policy(self) -> Mapping[str, Any]:
        """The four changes above, and the changes that are not made."""
        return {
            "encoding": "utf-8",
            "byte_order_mark": "dropped",
            "lone_surrogates": "U+FFFD",
            "line_break_at_end_of_file": "one dropped",
            "white_space": "kept",
            "normalization": "none",
        }

    def decode_content(self, content: bytes, limits: Limits) -> Decoded:
        """Decode a UTF-8 file; raises BadInput as the class says."""
        # 4 bytes is the longest character; a byte order mark and a line break do not count
        if len(content) > 4 * limits.characters + 5:
            raise _too_long(f"{len(content)} bytes", limits)
        try:
            text = content.decode("utf-8")
        except UnicodeDecodeError as error:
            utf16 = content.startswith((b"\xff\xfe", b"\xfe\xff"))
            cure = "it looks like UTF-16; save it as UTF-8" if utf16 else "save the file as UTF-8"
            message = f"byte 0x{content[error.start]:02x} at offset {error.start} is not UTF-8; {cure}"
            raise BadInput(Status.INVALID, "TXT_ENCODING", message) from error
        for line_break in ("\r\n", "\n", "\r"):
            if text.endswith(line_break):
                text = text.removesuffix(line_break)
                break
        return self.accept(text, limits)

    def accept(self, media: Any, limits: Limits) -> Decoded:
        """Check a ``str``; raises BadInput as the class says."""
        if not isinstance(media, str):
            message = f"{type(media).__name__} is not text; give a str, bytes in UTF-8 or a Path"
            raise BadInput(Status.INVALID, "TXT_TYPE", message)
        text = media.removeprefix(BOM)
        if len(text) > limits.characters:
            raise _too_long(f"{len(text)} characters", limits)
        if not text or text.isspace():
            what = "white space alone" if text else "no characters"
            raise BadInput(Status.EMPTY, "TXT_EMPTY", f"the text is {what}")
        repaired = _SURROGATE.sub("\ufffd", text)
        return Decoded(repaired, ("text_repaired",) if repaired != text else ())


def _too_long(found: str, limits: Limits) -> BadInput:
    return BadInput(Status.LIMIT, "TXT_CHARACTERS", f"{found}; the limit is {limits.characters} characters")

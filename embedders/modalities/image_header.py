"""What the bytes of a picture say before a decoder sees them: format, size, completeness, orientation.

Structures are those of PNG (ISO 15948), WebP (RFC 9649), TIFF 6.0 and EXIF 3.0.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from embedders.errors import BadInput, Status

__all__ = ["check_jpeg", "check_tiff", "declared_size", "orientation", "png_core", "sniff"]

SIGNATURES = {
    b"\xff\xd8\xff": "JPEG",
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"GIF87a": "GIF",
    b"GIF89a": "GIF",
    b"BM": "BMP",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
}

# only to say what was found; none of these is ever opened
OTHERS = {
    b"%PDF": "PDF",
    b"%!PS": "EPS",
    b"\xc5\xd0\xd3\xc6": "EPS",
    b"8BPS": "a Photoshop file",
    b"\0\0\0\x0cjP": "JPEG 2000",
    b"\0\0\0\x0cJXL": "JPEG XL",
    b"\xff\x0a": "JPEG XL",
    b"II+\0": "BigTIFF",
    b"MM\0+": "BigTIFF",
    b"PK\x03\x04": "a ZIP archive",
    b"\x1f\x8b": "gzip",
}

PNG_KEPT = frozenset({b"IHDR", b"PLTE", b"tRNS", b"iCCP", b"eXIf", b"IDAT", b"IEND"})

# markers that begin a frame; of all its codings only baseline, extended and progressive Huffman are read
JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
JPEG_PROGRESSIVE, JPEG_SCAN = 0xC2, 0xDA
JPEG_READ = frozenset({0xC0, 0xC1, JPEG_PROGRESSIVE})
JPEG_BARE = frozenset({0x01, *range(0xD0, 0xD9)})
"""Markers without a length behind them."""

ORIENTATION = 0x0112

# bytes per value of TIFF's field types 1 to 12; 13 is a directory's offset
TIFF_SIZES = dict(enumerate((1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8, 4), start=1))

# width, height, compression, fill order, orientation, samples, rows per strip, resolutions, planes, unit, tiles
TIFF_SINGLE = frozenset({256, 257, 259, 266, ORIENTATION, 277, 278, 282, 283, 284, 296, 322, 323})


def sniff(content: bytes) -> str:
    """Pillow's name of the format, by content alone; raises BadInput ``unsupported/IMG_FORMAT``."""
    for signature, name in SIGNATURES.items():
        if content.startswith(signature):
            return name
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "WEBP"
    found = next((name for signature, name in OTHERS.items() if content.startswith(signature)), "")
    if content[4:8] == b"ftyp":
        brands = content[8 : int.from_bytes(content[:4], "big")][:256]
        if b"avif" in brands or b"avis" in brands:
            return "AVIF"
        heif = any(brand in brands for brand in (b"heic", b"heix", b"hevc", b"mif1", b"msf1"))
        found = "HEIF, which needs converting to JPEG" if heif else "an MP4 container"
    head = content[:256].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if head.startswith((b"<!doctype html", b"<html", b"<head", b"<body")):
        found = "an HTML page"
    elif head.startswith((b"<svg", b"<?xml")):
        found = "XML or SVG"
    message = (
        f"the content is {found or 'of no known picture format'}; pictures are JPEG, PNG, WebP, GIF, BMP, TIFF"
    )
    raise BadInput(Status.UNSUPPORTED, "IMG_FORMAT", message)


def declared_size(form: str, content: bytes) -> tuple[int, int] | None:
    """Width and height where the decoder would allocate or complain before it tells them: PNG and WebP.

    None for other formats, and for WebP whose first chunk is not one of a picture.
    """
    if form == "PNG" and content[12:16] == b"IHDR" and len(content) >= 24:
        width, height = struct.unpack_from(">II", content, 16)
        return width, height
    if form == "WEBP" and len(content) >= 30:
        chunk, body = content[12:16], content[20:30]
        if chunk == b"VP8X":
            return 1 + int.from_bytes(body[4:7], "little"), 1 + int.from_bytes(body[7:10], "little")
        if chunk == b"VP8L":
            bits = int.from_bytes(body[1:5], "little")
            return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
        if chunk == b"VP8 ":
            width, height = struct.unpack_from("<HH", body, 6)
            return width & 0x3FFF, height & 0x3FFF
    return None


def png_core(content: bytes) -> tuple[bytes, bool]:
    """A PNG reduced to what its first picture needs, and whether it is animated.

    Texts, animation frames and private chunks are left out: they can expand without bound, and Pillow warns
    about broken ones. Raises BadInput ``corrupt`` where the end is missing or a checksum is wrong; Pillow
    checks neither.
    """
    view = memoryview(content)
    pieces, animated, position = [view[:8]], False, 8
    while position + 12 <= len(content):
        (length,) = struct.unpack_from(">I", content, position)
        name = content[position + 4 : position + 8]
        end = position + 12 + length
        if end > len(content):
            break
        if name in PNG_KEPT:
            (checksum,) = struct.unpack_from(">I", content, end - 4)
            if zlib.crc32(view[position + 4 : end - 4]) != checksum:
                raise BadInput(Status.CORRUPT, "IMG_CHECKSUM", f"wrong checksum of the chunk {name.decode()}")
            pieces.append(view[position:end])
        elif name == b"acTL" and length >= 4:
            animated = struct.unpack_from(">I", content, position + 8)[0] > 1
        if name == b"IEND":
            return b"".join(pieces), animated
        position = end
    raise BadInput(
        Status.CORRUPT, "IMG_TRUNCATED", f"the PNG ends after {len(content)} bytes without its last chunk"
    )


@dataclass(frozen=True)
class Entry:
    """One field of a TIFF directory; its value is ``size`` bytes at ``where``, which may lie outside."""

    tag: int
    kind: int
    count: int
    where: int
    size: int


def check_jpeg(content: bytes) -> bool:
    """Refuse a JPEG that is arithmetic-coded, lossless, hierarchical or deeper than 8 bits, as ``unsupported``.

    Decoders differ in what they take of these, and read one coding as another without complaint. Returns whether
    more than one scan can follow: where the first holds all components and is not progressive, decoders refuse a
    second.
    """
    position, components = 2, 0
    while position + 5 <= len(content) and content[position] == 0xFF:
        marker = content[position + 1]
        if marker in JPEG_FRAMES:
            bits = content[position + 4]
            if marker not in JPEG_READ or bits != 8:
                message = f"a JPEG of {bits} bits with the coding {marker:#x}; it may be Huffman-coded, 8 bits"
                raise BadInput(Status.UNSUPPORTED, "IMG_FORMAT", message)
            if marker == JPEG_PROGRESSIVE or position + 10 > len(content):
                return True
            components = content[position + 9]
        if marker == JPEG_SCAN:
            return content[position + 4] != components
        if marker == 0xFF:
            position += 1  # a fill byte
        elif marker in JPEG_BARE:
            position += 2
        else:
            position += 2 + int.from_bytes(content[position + 2 : position + 4], "big")
    return True


def check_tiff(content: bytes) -> None:
    """Refuse a TIFF whose first directory or its values lie outside the file, as ``corrupt/IMG_TRUNCATED``.

    Pillow skips such fields with a warning and goes on without them.
    """
    total = 0
    try:
        for entry in _directory(content):
            if entry.size > 4:
                total += entry.size
                if entry.where + entry.size > len(content) or total > len(content):
                    raise BadInput(Status.CORRUPT, "IMG_TRUNCATED", f"TIFF field {entry.tag} lies outside the file")
            if entry.tag in TIFF_SINGLE and entry.count != 1:
                message = f"TIFF field {entry.tag} has {entry.count} values; it must have one"
                raise BadInput(Status.CORRUPT, "IMG_HEADER", message)
    except struct.error as error:
        raise BadInput(Status.CORRUPT, "IMG_TRUNCATED", "the TIFF directory lies outside the file") from error


def orientation(exif: bytes) -> int:
    """The EXIF orientation, 1 to 8; 1, which is upright, where there is none or the block is broken."""
    block = exif
    while block.startswith(b"Exif\0\0"):
        block = block[6:]
    if block[:4] not in (b"II*\0", b"MM\0*"):
        return 1
    try:
        for entry in _directory(block):
            if entry.tag == ORIENTATION and entry.count == 1 and entry.kind in (1, 3, 4):
                order: Literal["little", "big"] = "little" if block[:1] == b"I" else "big"
                value = int.from_bytes(block[entry.where : entry.where + entry.size], order)
                return value if 1 <= value <= 8 else 1
    except struct.error:
        pass
    return 1


def _directory(content: bytes) -> Iterator[Entry]:
    """Fields of the first directory; raises struct.error where it leaves the content."""
    order = "<" if content[:1] == b"I" else ">"
    (start,) = struct.unpack_from(order + "I", content, 4)
    (count,) = struct.unpack_from(order + "H", content, start)
    for position in range(start + 2, start + 2 + 12 * count, 12):
        tag, kind, values = struct.unpack_from(order + "HHI", content, position)
        size = values * TIFF_SIZES.get(kind, 0)
        where = position + 8
        if size > 4:
            (where,) = struct.unpack_from(order + "I", content, where)
        yield Entry(tag, kind, values, where, size)
    struct.unpack_from(order + "I", content, start + 2 + 12 * count)  # where the next directory would be named

"""Pictures with known pixels, as bytes of any format, and PNG and TIFF structures written by hand."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF")

LETTER_F = np.array([[1, 1, 1], [1, 0, 0], [1, 1, 0], [1, 0, 0]], np.uint8)
"""No two of its eight orientations are equal."""


def colours(height: int = 6, width: int = 8) -> npt.NDArray[np.uint8]:
    """RGB pixels, all different, with nothing symmetric about them."""
    number = np.arange(height * width).reshape(height, width)
    return np.stack([number, 255 - 2 * number, 37 * number % 256], axis=2).astype(np.uint8)


def encode(pixels: Image.Image | npt.NDArray[Any], form: str = "PNG", **options: Any) -> bytes:
    """A file by Pillow; lossless where the format can be."""
    picture = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    if form == "WEBP":
        options = {"lossless": True, "exact": True, **options}
    file = io.BytesIO()
    picture.save(file, form, **options)
    return file.getvalue()


def chunk(name: bytes, body: bytes) -> bytes:
    """One PNG chunk."""
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png(
    rows: npt.NDArray[Any], *, depth: int, kind: int, width: int | None = None, extra: bytes = b"", end: bytes = b""
) -> bytes:
    """A PNG of packed rows, ``(height, bytes)`` or 16-bit values; ``kind`` 0 grey, 2 colour, 3 palette, 6 RGBA."""
    height = len(rows)
    packed = rows.astype(">u2").reshape(height, -1).view(np.uint8) if depth == 16 else rows.reshape(height, -1)
    lines = b"".join(b"\0" + bytes(row) for row in packed)
    header = struct.pack(">IIBBBBB", width or rows.shape[1], height, depth, kind, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + extra
        + chunk(b"IDAT", zlib.compress(lines))
        + end
        + chunk(b"IEND", b"")
    )


def png_of_size(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds ten bytes."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = chunk(b"IDAT", zlib.compress(bytes(10)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + body + chunk(b"IEND", b"")


def tiff(pixels: npt.NDArray[Any], *, order: str, fields: dict[int, int]) -> bytes:
    """An uncompressed TIFF in one strip; ``fields`` are further SHORT fields, which win over the usual ones."""
    height, width = pixels.shape[:2]
    bits = pixels.dtype.itemsize * 8
    body = pixels.astype(pixels.dtype.newbyteorder("<" if order == "II" else ">")).tobytes()
    usual = {256: width, 257: height, 258: bits, 259: 1, 262: 1, 273: 8, 277: 1, 278: height, 279: len(body)}
    pack = "<" if order == "II" else ">"
    entries = {**usual, **fields}
    directory = struct.pack(pack + "H", len(entries))
    for tag, value in sorted(entries.items()):
        directory += struct.pack(pack + "HHIHH", tag, 3, 1, value, 0)
    head = order.encode() + struct.pack(pack + "HI", 42, 8 + len(body) + len(body) % 2)
    return head + body + bytes(len(body) % 2) + directory + bytes(4)


def oriented(orientation: int) -> bytes:
    """An EXIF block with nothing but an orientation."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif.tobytes()

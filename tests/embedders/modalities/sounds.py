"""Sounds with known samples, as bytes of any container."""

from __future__ import annotations

import io
import struct
from typing import Any

import numpy as np
import numpy.typing as npt

RATE = 16_000


def tone(length: int, rate: int = RATE) -> npt.NDArray[np.float32]:
    """Half a full scale of 440 Hz."""
    return (0.5 * np.sin(2 * np.pi * 440 * np.arange(length) / rate)).astype(np.float32)


def encode(x: npt.ArrayLike, form: str, subtype: str | None = None, rate: int = RATE) -> bytes:
    """The samples, shape ``(n,)`` or ``(n, channels)``, in a container of libsndfile's."""
    import soundfile

    file = io.BytesIO()
    soundfile.write(file, np.asarray(x), rate, format=form, subtype=subtype)
    return file.getvalue()


def wav(x: npt.ArrayLike, rate: int = RATE) -> bytes:
    """The samples in 32-bit float, by hand: a format chunk of 16 bytes at 20, the samples at 44."""
    values = np.atleast_2d(np.asarray(x, np.float32).T).T
    channels = values.shape[1]
    body = values.tobytes()
    described = struct.pack("<HHIIHH", 3, channels, rate, rate * channels * 4, channels * 4, 32)
    chunks = b"fmt " + struct.pack("<I", 16) + described + b"data" + struct.pack("<I", len(body)) + body
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WAVE" + chunks


def patched(content: bytes, at: int, form: str, *values: Any) -> bytes:
    """The bytes with a field overwritten, as ``struct`` packs it."""
    field = struct.pack(form, *values)
    return content[:at] + field + content[at + len(field) :]

"""MP3 without a decoder: ID3v2 tags skipped, frames walked, the encoder's own count compared.

Structures are those of MPEG-1 and MPEG-2 layer III (ISO 11172-3, 13818-3), ID3v2, and the Xing and VBRI headers
that encoders put into the first frame.
"""

from __future__ import annotations

import functools

from embedders.errors import BadInput, Status

__all__ = ["after_id3", "mismatch", "starts_mp3", "walk_mp3"]

# kbit/s by the header's index; 0 is free format, whose frames tell no length
MPEG_1_KBIT = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
MPEG_2_KBIT = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}
# sync, version, layer and rate: what all frames of one stream share
SAME = 0xFFFE_0C00
TAILS = (b"TAG", b"APETAGEX", b"LYRICSBEGIN")


def mismatch(message: str) -> BadInput:
    """The error of a sound file that is not whole."""
    return BadInput(Status.CORRUPT, "AUD_LENGTH_MISMATCH", message)


def after_id3(content: bytes, position: int = 0) -> int:
    """Where the sound begins behind ID3v2 tags, which may stand before any container and hold megabytes."""
    while content[position : position + 3] == b"ID3":
        if len(content) < position + 10:
            raise mismatch("the file ends within its ID3 tag")
        size = 0
        for byte in content[position + 6 : position + 10]:
            size = size << 7 | byte & 0x7F
        footer = 10 if content[position + 5] & 0x10 else 0
        position += 10 + size + footer
        if position > len(content):
            raise mismatch("the file ends within its ID3 tag")
    return position


def starts_mp3(content: bytes) -> bool:
    """Two frames in a row, or one where the file ends."""
    length = _length(content[:4])
    rest = content[length : length + 4]
    return length > 0 and (len(rest) < 4 or _follows(content[:4], rest))


def _follows(first: bytes, header: bytes) -> bool:
    same = int.from_bytes(first, "big") ^ int.from_bytes(header, "big")
    return same & SAME == 0 and _length(header) > 0


@functools.lru_cache(maxsize=1024)
def _length(header: bytes) -> int:
    """Bytes of the layer III frame with this header; 0 where it is none."""
    bits = int.from_bytes(header, "big")
    version, layer, bitrate, rate = bits >> 19 & 3, bits >> 17 & 3, bits >> 12 & 15, bits >> 10 & 3
    if len(header) < 4 or bits >> 21 != 0x7FF or layer != 1 or version == 1 or rate == 3 or not 0 < bitrate < 15:
        return 0
    # half of the samples per frame (1152 or 576) over 8 bits a byte
    factor, table = (144, MPEG_1_KBIT) if version == 3 else (72, MPEG_2_KBIT)
    return factor * table[bitrate] * 1000 // RATES[version][rate] + (bits >> 9 & 1)


def walk_mp3(content: bytes) -> None:
    """Walk the frames: the last one complete, and as many as the encoder's own count says."""
    first, position, frames = content[:4], 0, 0
    while position < len(content):
        header = content[position : position + 4]
        if header.startswith(b"ID3"):
            position = after_id3(content, position)
            continue
        if not _follows(first, header):
            tail = content[position:].lstrip(b"\0")
            if not tail or tail.startswith(TAILS):
                break
            if len(tail) < 4:
                raise mismatch(f"the MP3 ends within the header of frame {frames}")
            message = f"no MP3 frame at byte {position}, behind frame {frames - 1}"
            raise BadInput(Status.CORRUPT, "AUD_SYNC", message)
        length = _length(header)
        if position + length > len(content):
            raise mismatch(f"frame {frames} of the MP3 has {len(content) - position} of {length} bytes")
        position, frames = position + length, frames + 1
    declared = _declared(content)
    if declared is not None and declared > frames - 1:
        raise mismatch(f"the MP3 declares {declared} frames and holds {frames - 1}")


def _declared(content: bytes) -> int | None:
    """Frames behind the first by its Xing, Info or VBRI header; None where it has none."""
    mono, mpeg_1 = content[3] >> 6 == 3, content[1] >> 3 & 3 == 3
    side = (17 if mono else 32) if mpeg_1 else (9 if mono else 17)
    at = 4 + side
    if content[at : at + 4] in (b"Xing", b"Info") and content[at + 7] & 1:
        return int.from_bytes(content[at + 8 : at + 12], "big")
    if content[36:40] == b"VBRI":
        return int.from_bytes(content[50:54], "big")
    return None

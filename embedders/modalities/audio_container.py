"""What the bytes of a sound file say before a decoder sees them: container, codec, and whether it is whole.

Decoders return what they find: half a WAV, MP3 or Ogg file comes back as shorter sound without an error. So the
structure is walked here first, without touching samples. Structures are those of RIFF/WAVE and RF64 (EBU Tech
3306), FLAC (RFC 9639) and Ogg (RFC 3533).
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

from embedders.errors import BadInput, Status
from embedders.modalities.mp3_frames import after_id3, mismatch, starts_mp3, walk_mp3

__all__ = ["Stream", "check_channels", "check_rate", "open_container"]

MAX_CHANNELS = 64
RATES = range(4_000, 384_001)

PCM, FLOAT, A_LAW, MU_LAW, EXTENSIBLE = 1, 3, 6, 7, 0xFFFE
WAV_CODECS = {PCM, FLOAT, A_LAW, MU_LAW}
# the fixed rest of the identifier that holds the codec tag in an extensible format chunk
WAV_SUBFORMAT = bytes.fromhex("000000001000800000aa00389b71")
WAV_CHUNKS = 10_000
UNKNOWN_32, UNKNOWN_64 = 0xFFFF_FFFF, 0xFFFF_FFFF_FFFF_FFFF

FLAC_TOTAL = (1 << 36) - 1

_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))

OTHERS = {
    b"FORM": "AIFF",
    b"caff": "CAF",
    b"riff": "Wave64",
    b"RIFX": "big-endian RIFF",
    b".snd": "AU",
    b"Creative": "VOC",
    b"#EXTM3U": "a playlist",
    b"ffconcat": "a playlist",
    b"\xff\xf1": "AAC",
    b"\xff\xf9": "AAC",
    b"\x1aE\xdf\xa3": "Matroska or WebM",
    b"0&\xb2u": "WMA",
}


@dataclass(frozen=True)
class Stream:
    """A file found whole, ready for the decoder.

    ``content`` is what to decode; ``frames`` how many samples per channel must come out, where the container
    says so; ``streamed`` marks a file whose writer did not know its length, and whose loss would not show.
    """

    content: bytes
    frames: int | None = None
    streamed: bool = False


def open_container(content: bytes) -> Stream:
    """Recognise and walk a file by content alone.

    Raises BadInput: ``unsupported/AUD_FORMAT`` or ``AUD_CODEC`` for what is not on the list,
    ``corrupt/AUD_LENGTH_MISMATCH`` for a file that is not whole, ``AUD_CHECKSUM``, ``AUD_HEADER`` and
    ``AUD_SYNC`` for other damage.
    """
    start = after_id3(content)
    body = content[start:] if start else content
    if body[:4] in (b"RIFF", b"RF64") and body[8:12] == b"WAVE":
        return _wav(body)
    if body[:4] == b"fLaC":
        return _flac(body)
    if body[:4] == b"OggS":
        return _ogg(body)
    body = body.lstrip(b"\0") if start else body
    if starts_mp3(body):
        walk_mp3(body)
        return Stream(body)
    found = next((name for signature, name in OTHERS.items() if body.startswith(signature)), "")
    if body[4:8] == b"ftyp":
        found = "MP4 or M4A"
    if body.lstrip()[:1] == b"<":
        found = "HTML or XML"
    message = f"the content is {found or 'of no known sound format'}; sound is WAV, FLAC, Ogg (Vorbis, Opus) or MP3"
    raise BadInput(Status.UNSUPPORTED, "AUD_FORMAT", message)


def check_channels(channels: int) -> None:
    """Raise ``limit/AUD_CHANNELS`` for more than 64 channels."""
    if channels > MAX_CHANNELS:
        raise BadInput(Status.LIMIT, "AUD_CHANNELS", f"{channels} channels; the limit is {MAX_CHANNELS}")


def check_rate(rate: int) -> None:
    """Raise ``invalid/AUD_RATE`` for a sampling rate that no recording has."""
    if rate not in RATES:
        raise BadInput(Status.INVALID, "AUD_RATE", f"{rate} Hz; rates are {RATES[0]} to {RATES[-1]} Hz")


# ---- WAV ---------------------------------------------------------------------------------------------------------


def _wav(content: bytes) -> Stream:
    align, length_64, position = 0, None, 12
    for _ in range(WAV_CHUNKS):
        if position + 8 > len(content):
            raise mismatch("the WAV ends before its samples")
        name, length = struct.unpack_from("<4sI", content, position)
        body = position + 8
        if name == b"data":
            break
        if body + length > len(content):
            raise mismatch("the WAV ends before its samples")
        if name == b"fmt ":
            align = _wav_format(content[body : body + length])
        elif name == b"ds64" and length >= 16:
            (length_64,) = struct.unpack_from("<Q", content, body + 8)
        position = body + length + (length & 1)
    else:
        raise BadInput(Status.CORRUPT, "AUD_HEADER", f"no samples within the first {WAV_CHUNKS} chunks of the WAV")
    if not align:
        raise BadInput(Status.CORRUPT, "AUD_HEADER", "the WAV has no usable format chunk before its samples")
    if content[:4] == b"RF64" and length == UNKNOWN_32 and length_64 is not None:
        length = length_64
    follows = len(content) - body
    if length in (UNKNOWN_32, UNKNOWN_64) or (length == 0 and not _only_chunks(content, body)):
        # a writer that cannot seek back leaves the length open; libsndfile takes 0 at its word
        patched = b"RIFF" + content[4 : position + 4] + struct.pack("<I", UNKNOWN_32) + content[body:]
        return Stream(patched, follows // align, streamed=True)
    if length > follows:
        raise mismatch(f"the WAV declares {length} bytes of samples and holds {follows}")
    if length % align:
        raise mismatch(f"the WAV's {length} bytes of samples are no whole number of {align}-byte frames")
    if not _only_chunks(content, body + length + (length & 1)):
        raise mismatch(f"the WAV declares {length} bytes of samples and is followed by {follows - length} others")
    return Stream(content, length // align)


def _wav_format(chunk: bytes) -> int:
    """Bytes per frame; refuses codecs that are not on the list before a decoder is called."""
    if len(chunk) < 16:
        raise BadInput(Status.CORRUPT, "AUD_HEADER", f"the WAV's format chunk has {len(chunk)} bytes; it needs 16")
    tag, channels, rate, _, align, _ = struct.unpack_from("<HHIIHH", chunk)
    if tag == EXTENSIBLE:
        tag = int.from_bytes(chunk[24:26], "little") if chunk[26:40] == WAV_SUBFORMAT else EXTENSIBLE
    if tag not in WAV_CODECS:
        message = f"WAV codec {tag:#06x}; it may be PCM, float, A-law or mu-law"
        raise BadInput(Status.UNSUPPORTED, "AUD_CODEC", message)
    check_channels(channels)
    check_rate(rate)
    return int(align)


def _only_chunks(content: bytes, position: int) -> bool:
    """Whether nothing but well-formed chunks without samples follows, as players and editors append them."""
    for _ in range(WAV_CHUNKS):
        if position + 8 > len(content):
            return abs(position - len(content)) <= 1  # a padding byte may be missing or left over
        name, length = struct.unpack_from("<4sI", content, position)
        if name == b"data" or not all(0x20 <= char < 0x7F for char in name):
            return False
        position += 8 + length + (length & 1)
    return False


# ---- FLAC --------------------------------------------------------------------------------------------------------


def _flac(content: bytes) -> Stream:
    if len(content) < 42 or content[4] & 0x7F != 0:
        raise BadInput(Status.CORRUPT, "AUD_HEADER", "the FLAC does not begin with its stream description")
    field = int.from_bytes(content[18:26], "big")
    total = field & FLAC_TOTAL
    # libFLAC stops at the declared length: with the length open it decodes, and checks, everything there is
    opened = content[:18] + (field - total).to_bytes(8, "big") + content[26:]
    return Stream(opened, total or None, streamed=not total)


# ---- Ogg ---------------------------------------------------------------------------------------------------------


def _ogg(content: bytes) -> Stream:
    """Walk the pages: one logical stream, every checksum right, none missing, and the last marked as last."""
    view, position, expected, serial, ended = memoryview(content), 0, None, b"", False
    while position < len(content):
        segments = content[position + 26] if position + 27 <= len(content) else 0
        head = position + 27 + segments
        end = head + sum(view[position + 27 : head])
        if content[position : position + 4] != b"OggS":
            raise BadInput(Status.CORRUPT, "AUD_SYNC", f"no Ogg page at byte {position}")
        if position + 27 > len(content) or end > len(content):
            raise mismatch("the last page of the Ogg is not complete")
        page = content[position:end]
        if _ogg_checksum(page) != page[22:26]:
            raise BadInput(Status.CORRUPT, "AUD_CHECKSUM", f"wrong checksum of the Ogg page at byte {position}")
        (number,) = struct.unpack_from("<I", page, 18)
        if expected is None:
            serial = page[14:18]
            _check_ogg_codec(page[27 + segments :])
        elif page[14:18] != serial:
            message = "several streams in one Ogg, multiplexed or chained; it may hold one"
            raise BadInput(Status.UNSUPPORTED, "AUD_CODEC", message)
        elif number != expected:
            raise mismatch(f"Ogg page {number} follows page {expected - 1}")
        expected, ended, position = number + 1, bool(page[5] & 4), end
    if not ended:
        raise mismatch("the last page of the Ogg is not marked as the end")
    return Stream(content)


def _ogg_checksum(page: bytes) -> bytes:
    """Ogg's CRC-32, whose bits run the other way round than zlib's and which is not inverted."""
    blank = page[:22] + bytes(4) + page[26:]
    mirrored = zlib.crc32(blank.translate(_REVERSED), UNKNOWN_32) ^ UNKNOWN_32
    return mirrored.to_bytes(4, "big").translate(_REVERSED)


def _check_ogg_codec(packet: bytes) -> None:
    if not packet.startswith((b"\x01vorbis", b"OpusHead")):
        message = f"Ogg with {bytes(packet[:8])!r}; it may hold Vorbis or Opus"
        raise BadInput(Status.UNSUPPORTED, "AUD_CODEC", message)

"""Inputs of the benchmark, from a seed, made once: equal arguments give equal files.

=========  ==========================================================================================
pictures   JPEGs of 500x375, 0.3 to 0.6 bytes per pixel: film grain and shapes and letters on 1/f noise
large      the same at 4000x3000
mixed      sizes, formats and damage as in a folder of photographs (:func:`mixture`)
captions   ``captions.jsonl``: 8 to 40 tokens of CLIP
texts      ``texts.jsonl``: log-normal token counts, median 20, p90 120, at most 512; a tenth are repeated
sounds     1 to 30 s, log-uniform: 70 % WAV 16 kHz, 20 % FLAC 44.1 kHz stereo, 10 % MP3
folder     records of a picture, a caption and a sound with one name
tiny       JPEGs of 32x32, no two alike: for what does not depend on pixels
=========  ==========================================================================================

Bytes per pixel decide what decoding costs; flat pictures would flatter whoever decodes. ImageNet has 0.58.
"""

from __future__ import annotations

import functools
import io
import json
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from tests.benchmarks.media import sound
from tests.benchmarks.speed.words import captions, texts, wordpiece

__all__ = ["MAKERS", "amount", "made", "mixture", "quota"]

SMALL, LARGE = (500, 375), (4000, 3000)
BYTES_PER_PIXEL = (0.34, 0.56)
"""Aimed at on a tile; the whole picture then lies between 0.3 and 0.6."""

TILE = (512, 384)
CONTRAST = 35.0
"""Standard deviation of the noise in grey levels."""

SIZES = {"small": 0.60, "medium": 0.20, "camera": 0.15, "large": 0.05}
QUIRKS = {
    "progressive": 0.05,
    "grey": 0.01,
    "cmyk": 0.005,
    "rotated": 0.01,
    "truncated": 0.005,
    "png": 0.015,
    "webp": 0.015,
    "duplicate": 0.05,
}
"""Shares of a mixed folder; the rest are baseline JPEGs, upright, in colour, whole and unique."""

SOUND_FORMATS = {"wav": 0.7, "flac": 0.2, "mp3": 0.1}
ORIENTATION, TURNED = 0x0112, 6
"""The EXIF tag, and its value for a picture to be turned by 90 degrees."""


@functools.lru_cache(maxsize=2)
def _noise(side: int) -> np.ndarray:
    """``(side, side, 3)`` float32 with amplitudes falling as 1/f, as in photographs; endless in both directions."""
    rng = np.random.default_rng(side)
    frequency = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None, :])
    frequency[0, 0] = 1.0
    planes = []
    for strength in (1.0, 0.35, 0.35):  # brightness, then two differences of colour
        phases = rng.random(frequency.shape, np.float32) * np.float32(2 * np.pi)
        spectrum = (np.exp(1j * phases) / frequency).astype(np.complex64)
        spectrum[0, 0] = 0
        plane = np.fft.irfft2(spectrum, (side, side)).astype(np.float32)
        planes.append(strength * plane / plane.std())
    light, red, blue = planes
    return np.stack([light + red, light - 0.5 * (red + blue), light + blue], axis=-1)


def _canvas(rng: np.random.Generator, width: int, height: int) -> np.ndarray:
    """Noise, shapes and letters, ``(height, width, 3)`` float32, without grain."""
    side = 1024 if max(width, height) <= 1024 else 4096
    rows = (rng.integers(side) + np.arange(height)) % side
    columns = (rng.integers(side) + np.arange(width)) % side
    cut = _noise(side)[rows][:, columns]
    cut = (cut - cut.mean()) * (CONTRAST / cut.std()) + rng.uniform(90, 160, 3)
    picture = Image.fromarray(np.clip(cut, 0, 255).astype(np.uint8))
    draw = ImageDraw.Draw(picture)
    for _ in range(rng.integers(3, 9)):
        x, y = rng.uniform(0, width), rng.uniform(0, height)
        across, down = rng.uniform(0.05, 0.3, 2) * min(width, height)
        colour = tuple(int(c) for c in rng.integers(0, 256, 3))
        shape = (draw.ellipse, draw.rectangle, draw.line)[rng.integers(3)]
        if shape == draw.line:
            draw.line((x, y, x + across, y + down), fill=colour, width=max(width // 200, 1))
        else:
            shape((x, y, x + across, y + down), fill=colour if rng.random() < 0.5 else None, outline=colour)
    for _ in range(rng.integers(1, 4)):
        letters = "".join(chr(97 + c) for c in rng.integers(0, 26, 12))
        place = (rng.uniform(0, 0.7 * width), rng.uniform(0, 0.9 * height))
        draw.text(place, letters, fill=(255, 255, 255), font_size=max(height // 15, 10))
    return np.asarray(picture, np.float32)


def _grained(canvas: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    grain = rng.standard_normal((256, 256, 1), np.float32) * strength
    height, width = canvas.shape[:2]
    tiled = np.tile(grain, (height // 256 + 1, width // 256 + 1, 1))[:height, :width]
    return np.clip(canvas + tiled, 0, 255).astype(np.uint8)


def _jpeg(pixels: np.ndarray, **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", subsampling="4:2:0", **options)
    return buffer.getvalue()


def photograph(rng: np.random.Generator, width: int, height: int) -> tuple[np.ndarray, int]:
    """Pixels, and the JPEG quality at which they have the wanted bytes per pixel."""
    canvas = _canvas(rng, width, height)
    quality, target, seed = int(rng.integers(75, 93)), rng.uniform(*BYTES_PER_PIXEL), rng.integers(1 << 31)
    tile = canvas[: TILE[1], : TILE[0]]

    def weight(strength: float) -> float:
        grained = _grained(tile, strength, np.random.default_rng(seed))
        return len(_jpeg(grained, quality=quality)) / (tile.shape[0] * tile.shape[1])

    while weight(0.0) > target and quality > 60:
        quality -= 3
    low, high = 0.0, 60.0
    for _ in range(6):
        middle = (low + high) / 2
        low, high = (middle, high) if weight(middle) < target else (low, middle)
    return _grained(canvas, low, np.random.default_rng(seed)), quality


def quota(rng: np.random.Generator, count: int, shares: Mapping[str, float], rest: str = "") -> list[str]:
    """``count`` labels in random order, each label as often as its share says; ``rest`` fills up."""
    labels = [label for label, share in shares.items() for _ in range(round(count * share))][:count]
    labels += [rest or next(iter(shares))] * (count - len(labels))
    return [labels[place] for place in rng.permutation(count)]


def mixture(count: int, seed: int) -> list[tuple[str, str]]:
    """Size and quirk of every file of a mixed folder."""
    rng = np.random.default_rng([seed, count])
    return list(zip(quota(rng, count, SIZES), quota(rng, count, QUIRKS, "plain"), strict=True))


def _side_lengths(rng: np.random.Generator, size: str) -> tuple[int, int]:
    if size == "small":
        near = int(rng.integers(-40, 41))
        return (500 + near, 375 + near // 2)
    if size == "camera":
        width = int(rng.integers(1633, 2310))  # 2 to 4 megapixels at 4:3
        return (width, width * 3 // 4)
    return {"medium": (1024, 768), "large": LARGE}[size]


def _quirky(rng: np.random.Generator, width: int, height: int, quirk: str) -> tuple[str, bytes]:
    """Suffix and content of one file."""
    pixels, quality = photograph(rng, width, height)
    picture, buffer = Image.fromarray(pixels), io.BytesIO()
    if quirk == "png":
        picture.save(buffer, "PNG", compress_level=1)
        return ".png", buffer.getvalue()
    if quirk == "webp":
        picture.save(buffer, "WEBP", quality=quality, method=0)
        return ".webp", buffer.getvalue()
    if quirk in ("grey", "cmyk"):
        picture.convert({"grey": "L", "cmyk": "CMYK"}[quirk]).save(buffer, "JPEG", quality=quality)
        return ".jpg", buffer.getvalue()
    exif = Image.Exif()
    if quirk == "rotated":
        exif[ORIENTATION] = TURNED
    content = _jpeg(pixels, quality=quality, progressive=quirk == "progressive", exif=exif)
    return ".jpg", content[: len(content) // 2] if quirk == "truncated" else content


def _pictures(folder: Path, count: int, seed: int, size: tuple[int, int] = SMALL) -> None:
    for number in range(count):
        pixels, quality = photograph(np.random.default_rng([seed, number]), *size)
        (folder / f"p{number:06d}.jpg").write_bytes(_jpeg(pixels, quality=quality))


def _large(folder: Path, count: int, seed: int) -> None:
    _pictures(folder, count, seed + 1, LARGE)


def _mixed(folder: Path, count: int, seed: int) -> None:
    unique: list[Path] = []
    for number, (size, quirk) in enumerate(mixture(count, seed)):
        rng = np.random.default_rng([seed + 2, number])
        if quirk == "duplicate" and unique:
            original = unique[rng.integers(len(unique))]
            shutil.copyfile(original, folder / f"m{number:06d}{original.suffix}")
            continue
        suffix, content = _quirky(rng, *_side_lengths(rng, size), quirk)
        path = folder / f"m{number:06d}{suffix}"
        path.write_bytes(content)
        unique.append(path)


def _sounds(folder: Path, count: int, seed: int) -> None:
    import soundfile

    rng = np.random.default_rng([seed, count])
    formats = quota(rng, count, SOUND_FORMATS)
    spread = rng.permutation((np.arange(count) + 0.5) / count)  # every part of the range, whatever the count
    for number, (suffix, place) in enumerate(zip(formats, spread, strict=True)):
        rate, channels = (44_100, 2) if suffix == "flac" else (16_000, 1)
        samples = sound(np.random.default_rng([seed + 3, number]), float(30**place), rate, channels)
        soundfile.write(folder / f"s{number:06d}.{suffix}", samples, rate, format=suffix.upper())


def _lines(folder: Path, name: str, lines: list[str]) -> None:
    with (folder / f"{name}.jsonl").open("w") as file:
        for number, line in enumerate(lines):
            file.write(json.dumps({"id": f"t{number:06d}", "text": line}) + "\n")


def _folder(folder: Path, count: int, seed: int) -> None:
    _pictures(folder, count, seed + 5)
    _sounds(folder, count, seed + 5)
    for number, line in enumerate(captions(count, seed + 5)):
        (folder / f"r{number:06d}.txt").write_text(line)
    for path in list(folder.iterdir()):
        path.rename(folder / f"r{path.name[1:]}")


def _tiny(folder: Path, count: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    for number in range(count):
        coarse = Image.fromarray(rng.integers(0, 256, (4, 4, 3), np.uint8))
        within = folder / f"{number // 1000:03d}"
        within.mkdir(exist_ok=True)
        (within / f"{number:06d}.jpg").write_bytes(_jpeg(np.asarray(coarse.resize((32, 32))), quality=80))


def amount(kind: str, source: Path) -> dict[str, float]:
    """How much of what costs time is in a set, by unit: seconds of sound, or tokens; nothing for pictures."""
    if kind == "sounds":
        import soundfile

        return {"seconds of sound": sum(soundfile.info(path).duration for path in source.iterdir())}
    if kind == "texts":
        lines = [json.loads(line)["text"] for line in source.read_text().splitlines()]
        return {"tokens": sum(len(encoded.ids) for encoded in wordpiece().encode_batch(lines))}
    return {}


MAKERS: dict[str, Callable[[Path, int, int], None]] = {
    "pictures": _pictures,
    "large": _large,
    "mixed": _mixed,
    "captions": lambda folder, count, seed: _lines(folder, "captions", captions(count, seed)),
    "texts": lambda folder, count, seed: _lines(folder, "texts", texts(count, seed)),
    "sounds": _sounds,
    "folder": _folder,
    "tiny": _tiny,
}


def made(kind: str, count: int, cache: Path, seed: int = 0) -> Path:
    """The set of this kind and size: a folder, or a JSONL file for captions and texts; made where it is not there.

    Raises KeyError for a kind that is none.
    """
    maker = MAKERS[kind]
    folder = cache / "sets" / f"{kind}-{count}-{seed}"
    if not folder.is_dir():
        half = folder.with_name(f"{folder.name}.{os.getpid()}")
        half.mkdir(parents=True)
        maker(half, count, seed)
        half.rename(folder)
    table = folder / f"{kind}.jsonl"
    return table if table.is_file() else folder

"""A folder of mixed media of realistic sizes, some of it damaged, from a seed.

::

    uv run python -m tests.benchmarks.media /tmp/media --records 3000 --audio 300

Record ``r00042`` has a picture (JPEG, PNG or WebP, from 500x375 to 4000x3000), a caption, and every tenth one a
sound (WAV, FLAC, OGG or MP3, 1 to 30 s, 8 to 48 kHz, mono or stereo). Every hundredth picture and every fiftieth
sound is damaged; ``damaged.json`` beside the folder lists them as ``{"image": [ids], "audio": [ids]}``.
"""

from __future__ import annotations

import argparse
import io
import json
from pathlib import Path

import numpy as np
import soundfile
from PIL import Image

SIZES = [(500, 375)] * 6 + [(375, 500)] * 4 + [(1024, 768)] * 5 + [(1600, 1200)] * 3 + [(4000, 3000)] * 2
PICTURES = ["jpg"] * 14 + ["png"] * 3 + ["webp"] * 3
SOUNDS = [("wav", "WAV", "PCM_16"), ("flac", "FLAC", "PCM_16"), ("ogg", "OGG", "VORBIS"), ("mp3", "MP3", None)]
RATES = [8_000, 16_000, 22_050, 44_100, 48_000]
CAPTION = (
    "a small red bell rings beside the wide blue drum while two striped sirens wait above an old engine "
    "and the yellow star turns slowly over water near some quiet children playing with balls in morning light"
)


def picture(rng: np.random.Generator, width: int, height: int) -> Image.Image:
    """Smooth shapes under film grain: about as hard to compress as a photograph."""
    coarse = rng.integers(0, 256, (max(height // 40, 2), max(width // 40, 2), 3), np.uint8)
    smooth = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
    grain = rng.integers(-12, 13, (256, 256, 3), np.int16)
    tiled = np.tile(grain, (height // 256 + 1, width // 256 + 1, 1))[:height, :width]
    return Image.fromarray(np.clip(np.asarray(smooth, np.int16) + tiled, 0, 255).astype(np.uint8))


def sound(rng: np.random.Generator, seconds: float, rate: int, channels: int) -> np.ndarray:
    """A gliding tone with overtones over noise, shape ``(n, channels)``."""
    time = np.arange(int(seconds * rate)) / rate
    glide = rng.uniform(80, 900) * time + rng.uniform(-20, 20) * time**2
    tone = sum(np.sin(2 * np.pi * k * glide) / k for k in (1, 2, 3))
    noise = rng.normal(0, 0.05, (len(time), channels))
    return (0.2 * np.asarray(tone)[:, None] + noise).astype(np.float32)


def main() -> None:
    """Make the folder; equal arguments make equal files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--records", type=int, default=3000)
    parser.add_argument("--audio", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    given.out.mkdir(parents=True)
    damaged: dict[str, list[str]] = {"image": [], "audio": []}
    for number in range(given.records):
        rng = np.random.default_rng([given.seed, number])
        name = f"r{number:05d}"
        suffix = PICTURES[rng.integers(len(PICTURES))]
        size = SIZES[rng.integers(len(SIZES))] if suffix == "jpg" else SIZES[rng.integers(15)]
        buffer = io.BytesIO()
        options = {"jpg": {"quality": 88}, "png": {"compress_level": 1}, "webp": {"quality": 80, "method": 0}}[
            suffix
        ]
        picture(rng, *size).save(buffer, {"jpg": "JPEG"}.get(suffix, suffix.upper()), **options)
        content = buffer.getvalue()
        if number % 100 == 50:
            damaged["image"].append(name)
            content = content[: len(content) // 2]
        (given.out / f"{name}.{suffix}").write_bytes(content)
        (given.out / f"{name}.txt").write_text(" ".join(rng.choice(CAPTION.split(), rng.integers(5, 30))) + "\n")
        if number % max(given.records // max(given.audio, 1), 1) == 0 and given.audio:
            place = number * given.audio // given.records
            ending, kind, subtype = SOUNDS[place % len(SOUNDS)]
            rate, channels = RATES[place % len(RATES)], 1 + place % 2
            buffer = io.BytesIO()
            samples = sound(rng, rng.uniform(1, 30), rate, channels)
            soundfile.write(buffer, samples, rate, format=kind, subtype=subtype)
            content = buffer.getvalue()
            if place % 50 == 25:
                damaged["audio"].append(name)
                content = content[: len(content) // 2]
            (given.out / f"{name}.{ending}").write_bytes(content)
    (given.out.parent / "damaged.json").write_text(json.dumps(damaged))


if __name__ == "__main__":
    main()

"""What one JPEG costs from the file to the pixels that a model reads, stage by stage, three ways.

::

    uv run python -m tests.benchmarks.pictures
    uv run python -m tests.benchmarks.pictures --rounds 15 --shorter 232 --interpolation bilinear --quality 95

*pillow* opens and resizes as the usual script does; *exact* gives the same pixels as this package reads them;
*fast* is what it does where the last bit is not asked for. Milliseconds are medians over rounds in which the three
take turns, on one thread; ratios are to *pillow* of the same round, with the smallest and the largest. Grey levels
are compared after resizing and cropping to 224 x 224.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from PIL import Image as Pillow

from embedders.modalities.image import Image
from embedders.modality import Limits, read_file
from embedders.models.pixels import Preprocess
from tests.benchmarks.media import picture

SIZES = ((500, 375), (1600, 1200), (4000, 3000))
STAGES = ("read", "checksum", "decode", "frame")
IMAGE = Image()


def by_pillow(content: bytes) -> Any:
    """Pixels as an array, which is what a script that keeps no Pillow image has."""
    return np.array(Pillow.open(io.BytesIO(content)).convert("RGB"))


def ways(preprocess: Preprocess) -> dict[str, tuple[Callable[[bytes], Any], Callable[[Any], Any]]]:
    """By name: from content to pixels, and from pixels to a sample."""
    kept = IMAGE.kept(preprocess.side)
    return {
        "pillow": (by_pillow, preprocess.frame),
        "exact": (lambda content: IMAGE.decode(content).media, preprocess.frame),
        "fast": (
            lambda content: IMAGE.decode(content, at_least=kept).media,
            lambda media: preprocess.frame(media, fast=True),
        ),
    }


def timed(path: Path, decode: Callable[[bytes], Any], frame: Callable[[Any], Any]) -> tuple[list[float], Any]:
    """Milliseconds per stage, and the sample."""
    marks = [time.perf_counter()]
    content = read_file(path, Limits(), path.parent)
    marks.append(time.perf_counter())
    hashlib.sha256(content).hexdigest()
    marks.append(time.perf_counter())
    media = decode(content)
    marks.append(time.perf_counter())
    sample = frame(media)
    marks.append(time.perf_counter())
    return [1e3 * float(span) for span in np.diff(marks)], sample


def measure(path: Path, preprocess: Preprocess, rounds: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Per way: ``(rounds, stages)`` milliseconds, and the sample."""
    chosen = ways(preprocess)
    samples = {name: timed(path, *steps)[1] for name, steps in chosen.items()}  # warm
    taken: dict[str, list[list[float]]] = {name: [] for name in chosen}
    for turn in range(rounds):
        names = list(chosen)
        for name in names[turn % 3 :] + names[: turn % 3]:
            taken[name].append(timed(path, *chosen[name])[0])
    return {name: np.array(rows) for name, rows in taken.items()}, samples


def show(title: str, taken: dict[str, Any], samples: dict[str, Any]) -> None:
    """One block of the table."""
    print(f"\n{title:<24}" + "".join(f"{name:>18}" for name in taken))
    for number, stage in enumerate(STAGES):
        print(f"  {stage:<22}" + "".join(f"{np.median(rows[:, number]):>18.3f}" for rows in taken.values()))
    sums = {name: rows.sum(axis=1) for name, rows in taken.items()}
    print(f"  {'all, ms':<22}" + "".join(f"{np.median(found):>18.3f}" for found in sums.values()))
    ratios = [sums["pillow"] / found for found in sums.values()]
    spans = [f"{np.median(r):.2f} ({r.min():.2f}-{r.max():.2f})" for r in ratios]
    print(f"  {'times as fast':<22}" + "".join(f"{span:>18}" for span in spans))
    levels = [np.abs(sample.astype(int) - samples["pillow"]) for sample in samples.values()]
    spans = [f"{found.mean():.4f}, {found.max()}" for found in levels]
    print(f"  {'grey levels off, most':<22}" + "".join(f"{span:>18}" for span in spans))


def main() -> None:
    """Make the pictures, take turns, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--shorter", type=int, default=224)
    parser.add_argument("--interpolation", choices=["bilinear", "bicubic"], default="bicubic")
    parser.add_argument("--quality", type=int, default=88)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    preprocess = Preprocess((224, 224), (0.5,) * 3, (0.5,) * 3, given.interpolation, shorter=given.shorter)
    for width, height in SIZES:
        rng = np.random.default_rng([given.seed, width])
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "picture.jpg"
            picture(rng, width, height).save(path, quality=given.quality)
            bits = path.stat().st_size * 8 / width / height
            show(f"{width} x {height}, {bits:.1f} bits/px", *measure(path, preprocess, given.rounds))


if __name__ == "__main__":
    main()

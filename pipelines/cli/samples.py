"""``embed samples``: records to try everything on, made on the spot instead of downloaded."""

from __future__ import annotations

import io
import json
from dataclasses import asdict
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import typer

from embedders.errors import StorageError, UsageError
from pipelines.training.scenes import RATE, VERSION, Example, examples
from pipelines.vectors import Storage

__all__ = ["LABELS", "write_scenes"]

LABELS = "scenes.jsonl"
"""The table beside the files: what each record shows, by id."""

MOST = 1_000_000


def write_scenes(count: int, out: Path, *, split: str = "iid", seed: int = 0) -> None:
    """Write the first ``count`` scenes of a split as ordinary files, and a table of what they show.

    Each scene is three files of one stem: a picture (PNG and JPEG in turns), a caption and a sound (WAV and FLAC
    in turns, by pairs, so that all four combinations occur). :data:`LABELS` has a line per id: ``graph`` and
    ``audible``, the keys of what is a right answer, and every attribute; ``second_...`` is null for one group.

    Raises UsageError for a count out of range or an unknown split, RefusedError for a folder that is not empty,
    StorageError for what the disk refuses.
    """
    if not 1 <= count <= MOST:
        raise UsageError(f"The count of scenes is {count}; it must be from 1 to {MOST:,}")
    made = examples(split, count, seed)
    first = next(made)  # refuses an unknown split before a folder is made
    Storage(out).create_empty()
    try:
        with open(out / LABELS, "x", encoding="utf-8") as table:
            for number, example in enumerate(chain([first], made)):
                for suffix, content in _files(example, number).items():
                    (out / f"{example.id}{suffix}").write_bytes(content)
                table.write(json.dumps(_labels(example)) + "\n")
    except OSError as error:
        raise StorageError(
            f"{error.filename or str(out)!r}: {error.strerror}", "The folder is incomplete"
        ) from error
    typer.echo(f"{count:,} {'scene' if count == 1 else 'scenes'} of {split!r}, seed {seed}: {out}", err=True)


def _files(example: Example, number: int) -> dict[str, bytes]:
    return dict(
        (
            _picture(example, ".jpg" if number % 2 else ".png"),
            (".txt", f"{example.caption}\n".encode()),
            _sound(example, ".flac" if number // 2 % 2 else ".wav"),
        )
    )


def _picture(example: Example, suffix: str) -> tuple[str, bytes]:
    from PIL import Image

    file = io.BytesIO()
    # full colour resolution: small objects would lose theirs
    options: dict[str, Any] = {"quality": 95, "subsampling": 0} if suffix == ".jpg" else {}
    Image.fromarray(example.picture).save(file, Image.registered_extensions()[suffix], **options)
    return suffix, file.getvalue()


def _sound(example: Example, suffix: str) -> tuple[str, bytes]:
    import soundfile

    file = io.BytesIO()
    # whole numbers, since converting floats would scale by 32767 and read back by 32768
    steps = (example.sound * 32768).astype(np.int16)
    soundfile.write(file, steps, RATE, subtype="PCM_16", format=suffix[1:].upper())
    return suffix, file.getvalue()


def _labels(example: Example) -> dict[str, Any]:
    scene = example.scene
    first, *others = (asdict(group) for group in scene.groups)
    second = others[0] if others else dict.fromkeys(first)
    return {
        "id": example.id,
        "graph": scene.graph(),
        "audible": scene.audible(),
        "caption": example.caption,
        "relation": scene.relation,
        "background": scene.background,
        **first,
        **{f"second_{name}": value for name, value in second.items()},
        "version": VERSION,
    }

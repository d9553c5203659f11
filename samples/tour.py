"""The Python use, from one input to a finished set: run it with ``uv run python samples/tour.py``.

It uses random weights, so that it needs no network: shapes, statuses and spaces are real, similarities carry no
meaning.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

import embedders
from pipelines import Pipeline

RECORDS = Path(__file__).parent / "records"


def one_embedder() -> None:
    """An embedder by itself: raw inputs in, a numpy array out, in the order of the inputs."""
    clip = embedders.create("text.clip", weights="random:0")
    vectors = clip.embed(["two red bells", "a blue drum", "two red bells"])
    print(f"text.clip: {vectors.shape} {vectors.dtype}, space {clip.spec.space}")
    print(f"  equal texts, equal vectors: {np.array_equal(vectors[0], vectors[2])}")


def bad_input() -> None:
    """An embedder raises at the first bad input; a pipeline gives it a row (below)."""
    clip = embedders.create("image.clip", weights="random:0")
    try:
        clip.embed([b"<html>not a picture</html>"])
    except embedders.BadInput as bad:
        print(f"image.clip refused an input: {bad.status} ({bad.code}): {bad}")


def a_folder(out: Path) -> None:
    """A folder of mixed files becomes one aligned set."""
    vs = Pipeline(weights="random:0").run(RECORDS, out)
    print(vs)
    for failure in vs.failures().to_pylist():
        print(f"  {failure['id']}: {failure['column']}: {failure['error']}")
    pictures, texts = vs["image_clip"], vs["text_clip"]
    assert pictures.space == texts.space  # so they may be compared
    both = pictures.ok & texts.ok
    similarity = pictures.vectors[both] @ texts.vectors[both].T
    print(f"similarity of {both.sum()} pictures and captions: {similarity.shape}")


def python_objects(out: Path) -> None:
    """Records made in Python: any mix of text, bytes, paths and arrays."""
    records = [
        {"id": "red", "picture": np.full((40, 60, 3), (255, 0, 0), np.uint8), "caption": "red"},
        {"id": "bells", "picture": RECORDS / "bells.jpg", "caption": "two red bells"},
        {"id": "nothing", "caption": ""},
    ]
    choice = {"picture": "image.clip", "caption": ["text.clip", "text.bert"]}
    vs = Pipeline(choice, weights="random:0").run(records, out)
    for name, column in vs.columns.items():
        print(f"{name}: {column.status.tolist()}")


def main() -> None:
    """Walk through all of it."""
    with tempfile.TemporaryDirectory() as folder:
        one_embedder()
        bad_input()
        a_folder(Path(folder) / "samples")
        python_objects(Path(folder) / "objects")


if __name__ == "__main__":
    main()

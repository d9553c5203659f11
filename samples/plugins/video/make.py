"""Makes the sample records beside this file from made-up scenes: each clip nears its picture for two seconds."""

from __future__ import annotations

import io
from pathlib import Path

import av
from PIL import Image

HERE = Path(__file__).parent
SCENES = HERE.parent.parent / "scenes"
SECONDS, RATE = 2, 10
SUFFIXES = {".mp4": "libx264", ".mkv": "libx264", ".webm": "libvpx-vp9", ".avi": "mpeg4"}


def clip(picture: Image.Image, suffix: str, codec: str) -> bytes:
    """The picture, seen from nearer and nearer."""
    file = io.BytesIO()
    with av.open(file, "w", format={".mkv": "matroska"}.get(suffix, suffix[1:])) as container:
        stream = container.add_stream(codec, rate=RATE)
        stream.width, stream.height, stream.pix_fmt, stream.bit_rate = 128, 128, "yuv420p", 200_000
        for at in range(SECONDS * RATE):
            edge = picture.width * at / 200
            near = (edge, edge, picture.width - edge, picture.height - edge)
            seen = picture.resize((128, 128), Image.Resampling.BICUBIC, box=near)
            container.mux(stream.encode(av.VideoFrame.from_image(seen)))
        container.mux(stream.encode(None))
    return file.getvalue()


def main() -> None:
    """Write eight clips with their captions, and one that was cut in half."""
    pictures = sorted(file for file in SCENES.iterdir() if file.suffix in (".png", ".jpg"))[8:16]
    for at, file in enumerate(pictures):
        suffix, codec = list(SUFFIXES.items())[at % len(SUFFIXES)]
        content = clip(Image.open(file).convert("RGB"), suffix, codec)
        (HERE / "records" / (file.stem + suffix)).write_bytes(content)
        (HERE / "records" / (file.stem + ".txt")).write_bytes(file.with_suffix(".txt").read_bytes())
        if not at:
            (HERE / "records" / "broken.mp4").write_bytes(content[: len(content) // 2])


if __name__ == "__main__":
    main()

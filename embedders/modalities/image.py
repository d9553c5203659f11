"""Images: from encoded files of seven formats, or pixels in memory, to upright RGB."""

from __future__ import annotations

import contextlib
import functools
import io
import os
from collections.abc import Iterator, Mapping
from importlib import metadata
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from embedders.errors import BadInput, Status
from embedders.modalities.image_colour import rgb, upright
from embedders.modalities.image_header import ORIENTATION, check_jpeg, check_tiff, declared_size, png_core, sniff
from embedders.modalities.image_jpeg import jpeg_pixels
from embedders.modality import Decoded, Limits, Modality

if TYPE_CHECKING:
    import PIL.Image
    from PIL.ImageFile import ImageFile

__all__ = ["Image"]

TIFF_COMPRESSIONS = frozenset(
    {"raw", "packbits", "tiff_lzw", "tiff_deflate", "tiff_adobe_deflate", "tiff_ccitt", "group3", "group4", "jpeg"}
)
MAX_SCANS = 500
"""Scans of a progressive JPEG: encoders write about ten, and each costs one pass over the whole picture."""


class Image(Modality):
    """Pictures: JPEG, PNG, WebP, GIF, BMP and TIFF, and AVIF where asked for.

    Media is RGB ``uint8`` of shape ``(height, width, 3)``, C-contiguous. Taken besides files: an array of exactly
    that kind, and any ``PIL.Image.Image``, which goes through the same conversion. What decides the pixels:

    * The content decides the format, never the name. One decoder is called, the one of that format. JPEG is taken
      Huffman-coded with 8 bits, baseline or progressive; other codings are ``unsupported`` (``IMG_FORMAT``).
    * Always the whole file, and in full resolution; only a JPEG whose shorter side is that much larger than
      ``at_least``, where that is given, is read at a half, a quarter or an eighth. One that ends early is
      ``corrupt`` (``IMG_TRUNCATED``), even where most of it could be shown; so is a PNG with a wrong checksum
      (``IMG_CHECKSUM``).
    * The first frame or page of several (flag ``first_frame``).
    * Turned upright by EXIF; a broken EXIF block counts as none.
    * Alpha, palette transparency and colour keys are composited over white, rounded to the nearest level.
    * CMYK, as Adobe writes it in JPEG, becomes RGB by ``(255 - C) * (255 - K) / 255`` without profiles.
    * ICC profiles are not applied (flag ``icc_ignored`` where one is there and is not sRGB).
    * More than 8 bits are scaled, not clipped: 16-bit grey by 255/65535, 12-bit by 255/4095, float within 0..1
      by 255, each rounded; 16-bit colour keeps its upper byte. 32-bit integers and other floats are stretched
      from their smallest to their largest value, a constant picture becoming black. NaN or infinite pixels are
      ``invalid`` (``IMG_NONFINITE``).

    Bounds, from the header before pixels are decoded: ``limits.pixels`` (``limit/IMG_PIXELS``), ``limits.aspect``
    (``IMG_ASPECT``), 500 scans of a JPEG that may have several (``IMG_SCANS``). Pillow's own bound, 89 478 485
    pixels for the whole process, is left as it is: where ``limits.pixels`` is raised, Pillow still refuses TIFF and
    WebP beyond twice that, as ``limit`` too, and warns about TIFF beyond once that.

    AVIF is found in folders and refused as ``unsupported`` (``IMG_FORMAT``), since its decoder is large and young;
    ``Image(avif=True)``, or the environment variable ``EMBED_AVIF=1`` for every instance, takes it.
    """

    name: ClassVar[str] = "image"
    suffixes: ClassVar[frozenset[str]] = frozenset(
        {".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif"}
    )
    defaults: ClassVar[tuple[str, ...]] = ("image.resnet50", "image.clip")
    margin: ClassVar[int | None] = 2
    """Measured over 96 JPEGs of 0.5 to 12 megapixels (enlarged crops and mosaics of two photographs, dead leaves,
    smooth shapes under grain), as the first percentile of the cosine between centred vectors of reduced and full
    decoding, for ResNet-50, CLIP (both with seeded weights) and the starter: at a margin of 1, 0.961, 0.993 and
    0.994; at 2, 0.9996, 0.99997 and 0.9992; at 4, 0.9998, 0.99999 and 0.9993."""

    def __init__(self, *, avif: bool = False) -> None:
        self.avif = avif or os.environ.get("EMBED_AVIF") == "1"

    @property
    def policy(self) -> Mapping[str, Any]:
        """The decisions above with the versions of the decoders; needs Pillow."""
        from PIL import features

        return {
            "colour": "RGB, 8 bit",
            "orientation": "EXIF",
            "alpha": "over white, rounded",
            "depth": "grey scaled by depth and rounded, 16-bit colour by its upper byte",
            "int32": "stretched from minimum to maximum",
            "float": "0..1 scaled by 255, else stretched from minimum to maximum",
            "cmyk": "(255 - C) * (255 - K) / 255",
            "icc": "ignored",
            "frames": "first",
            "resolution": "full",
            "truncated": "refused",
            "avif": self.avif,
            "pillow": metadata.version("pillow"),
            "simplejpeg": metadata.version("simplejpeg"),
            "libjpeg": features.version("libjpeg_turbo") or features.version("jpg"),
            "libwebp": features.version("webp"),
            "libtiff": features.version("libtiff"),
        }

    def policy_at(self, at_least: int | None) -> Mapping[str, Any]:
        """The policy, with the resolution that a JPEG is read at."""
        if at_least is None:
            return self.policy
        reduced = f"JPEG at 1/2, 1/4 or 1/8 where the shorter side keeps {at_least} pixels, else full"
        return {**self.policy, "resolution": reduced}

    def decode_content(self, content: bytes, limits: Limits) -> Decoded:
        """Decode a picture file; raises BadInput as the class says, and ``empty/IMG_EMPTY`` for no bytes."""
        return self._decode(content, limits, None)

    def decode_reduced(self, content: bytes, limits: Limits, at_least: int) -> Decoded:
        """The same, with a JPEG at a half, a quarter or an eighth where that keeps ``at_least`` pixels."""
        return self._decode(content, limits, at_least)

    def _decode(self, content: bytes, limits: Limits, at_least: int | None) -> Decoded:
        if not content:
            raise BadInput(Status.EMPTY, "IMG_EMPTY", "the file has no bytes")
        form = sniff(content)
        if form == "AVIF" and not self.avif:
            message = "AVIF is not taken unless asked for; set EMBED_AVIF=1, or convert the picture to PNG"
            raise BadInput(Status.UNSUPPORTED, "IMG_FORMAT", message)
        size = declared_size(form, content)
        if size:
            _check_size(size, limits)
        reader = _readers()[form]
        several, core = False, content
        if form == "PNG":
            core, several = png_core(content)
        elif form == "TIFF":
            check_tiff(content)
        elif form == "WEBP" and int.from_bytes(content[4:8], "little") + 8 > len(content):
            raise BadInput(Status.CORRUPT, "IMG_TRUNCATED", f"the WebP ends early, after {len(content)} bytes")
        elif form == "JPEG" and check_jpeg(content) and content.count(b"\xff\xda") > MAX_SCANS:
            raise BadInput(Status.LIMIT, "IMG_SCANS", f"the JPEG has more than {MAX_SCANS} scans")
        with _decoding():
            picture = reader(io.BytesIO(core), "")
            _check_size(picture.size, limits)
            if form == "TIFF" and picture.info["compression"] not in TIFF_COMPRESSIONS:
                message = f"TIFF compressed with {picture.info['compression']}; save it with LZW or deflate"
                raise BadInput(Status.UNSUPPORTED, "IMG_FORMAT", message)
            if form == "PNG":
                _scale_key(picture, bits=content[24])
            pixels = jpeg_pixels(content, picture.size, picture.mode, at_least) if form == "JPEG" else None
            if pixels is None:
                picture.load()
                pixels = rgb(picture)
            flags = ["first_frame"] if several or _several(form, picture, content) else []
            profile = picture.info.get("icc_profile")
            if isinstance(profile, bytes) and not (b"sRGB" in profile or "sRGB".encode("utf-16-be") in profile):
                flags.append("icc_ignored")
            return Decoded(upright(pixels, picture.info.get("exif")), tuple(flags))

    def accept(self, media: Any, limits: Limits) -> Decoded:
        """Check an array, or convert a Pillow image; raises BadInput, ``invalid/IMG_TYPE`` for anything else."""
        if isinstance(media, np.ndarray):
            if media.ndim != 3 or media.shape[2] != 3 or media.dtype != np.uint8 or 0 in media.shape:
                found = f"an array of {media.dtype} with shape {media.shape}"
                raise _wrong_type(f"{found}; pixels are uint8 with shape (height, width, 3)")
            _check_size((media.shape[1], media.shape[0]), limits)
            return Decoded(np.ascontiguousarray(media))
        import PIL.Image

        if isinstance(media, PIL.Image.Image):
            _check_size(media.size, limits)
            with _decoding():
                media.load()
                return Decoded(upright(rgb(media), media.info.get("exif")))
        if isinstance(media, str):
            raise _wrong_type(f"the str {media[:80]!r}; a file is given as pathlib.Path({media[:80]!r})")
        raise _wrong_type(f"{type(media).__name__}; give a Path, bytes, a uint8 RGB array or a PIL image")


@contextlib.contextmanager
def _decoding() -> Iterator[None]:
    """Everything that Pillow raises becomes a BadInput: on damaged files that can be any exception."""
    import PIL.Image

    try:
        yield
    except (BadInput, MemoryError):
        raise
    except (PIL.Image.DecompressionBombError, PIL.Image.DecompressionBombWarning) as error:
        raise BadInput(Status.LIMIT, "IMG_PIXELS", f"Pillow's own bound: {error}") from error
    except Exception as error:
        code = "IMG_TRUNCATED" if "truncated" in str(error).lower() else "IMG_DECODE"
        raise BadInput(Status.CORRUPT, code, f"{type(error).__name__}: {error}") from error


@functools.cache
def _readers() -> dict[str, type[ImageFile]]:
    """One decoder class per format.

    The classes are called directly and not through ``Image.open``, which first compares the size with Pillow's
    process-wide bound and warns, before ours could refuse quietly.
    """
    import PIL.Image
    from PIL.AvifImagePlugin import AvifImageFile
    from PIL.BmpImagePlugin import BmpImageFile
    from PIL.GifImagePlugin import GifImageFile
    from PIL.JpegImagePlugin import JpegImageFile
    from PIL.PngImagePlugin import PngImageFile
    from PIL.TiffImagePlugin import TiffImageFile
    from PIL.WebPImagePlugin import WebPImageFile

    class Jpeg(JpegImageFile):
        # asked for the resolution, and would warn about a broken block
        def getexif(self) -> PIL.Image.Exif:
            return PIL.Image.Exif()

    class Tiff(TiffImageFile):
        # read whole by Pillow to turn the picture, which warns about broken blocks that do not matter here
        def getexif(self) -> PIL.Image.Exif:
            exif = PIL.Image.Exif()
            exif[ORIENTATION] = self.tag_v2.get(ORIENTATION, 1)
            return exif

    return {
        "AVIF": AvifImageFile,
        "BMP": BmpImageFile,
        "GIF": GifImageFile,
        "JPEG": Jpeg,
        "PNG": PngImageFile,
        "TIFF": Tiff,
        "WEBP": WebPImageFile,
    }


def _several(form: str, picture: PIL.Image.Image, content: bytes) -> bool:
    """Whether there is more than the first frame, found without decoding or counting the others."""
    if form == "JPEG":
        return "mp" in picture.info
    if form == "GIF":
        try:
            # a reader of its own: looking for the next frame moves it away from the first
            return bool(_readers()["GIF"](io.BytesIO(content), "").is_animated)  # type: ignore[attr-defined]
        except Exception:  # damaged bytes make the reader raise whatever they like
            return True  # there is something after the first frame, though broken
    return bool(getattr(picture, "is_animated", False))


def _scale_key(picture: PIL.Image.Image, bits: int) -> None:
    """Bring a PNG's transparent colour to the 8 bits that Pillow brought its pixels to."""
    key = picture.info.get("transparency")
    if picture.mode == "L" and isinstance(key, int):
        picture.info["transparency"] = (key & (1 << bits) - 1) * 255 // ((1 << bits) - 1)
    elif picture.mode == "RGB" and isinstance(key, tuple):
        picture.info["transparency"] = tuple(level >> 8 if bits == 16 else level & 255 for level in key)


def _check_size(size: tuple[int, int], limits: Limits) -> None:
    width, height = size
    if width < 1 or height < 1:
        raise BadInput(Status.CORRUPT, "IMG_SIZE", f"the size is {width} x {height} pixels")
    if width * height > limits.pixels:
        message = f"{width} x {height} pixels; the limit is {limits.pixels}"
        raise BadInput(Status.LIMIT, "IMG_PIXELS", message)
    if max(size) > limits.aspect * min(size):
        message = f"{width} x {height} pixels; the longer side may be {limits.aspect} times the shorter"
        raise BadInput(Status.LIMIT, "IMG_ASPECT", message)


def _wrong_type(found: str) -> BadInput:
    return BadInput(Status.INVALID, "IMG_TYPE", f"not a picture: {found}")

"""Audio: from encoded files of four containers, or samples in memory, to mono float32 at their own rate."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator, Mapping
from importlib import metadata
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from embedders.errors import BadInput, Status
from embedders.modalities.audio_container import check_channels, check_rate, open_container
from embedders.modality import Decoded, Limits, Modality, Samples, Waveform

__all__ = ["Audio"]

BLOCK = 1 << 16
"""Frames decoded at once: all channels are held for one block only."""

LOUDEST = 1e4
"""Times full scale; beyond it a float file is not sound but wrongly read or scaled numbers."""


class Audio(Modality):
    """Sound: WAV (PCM, float, A-law, mu-law; also RF64), FLAC, Ogg with Vorbis or Opus, and MP3.

    Media is a :class:`~embedders.modality.Waveform`: mono float32 with full scale at 1.0, at the rate that the
    file declares (what libsndfile declares for Opus); embedders resample by ``Waveform.at``. Taken besides files:
    a ``Waveform``. What decides the samples:

    * The content decides the format, never the name; other containers and codecs are ``unsupported``
      (``AUD_FORMAT``, ``AUD_CODEC``) before a decoder is called. ID3 tags are skipped.
    * Several channels become one by their mean (flag ``downmixed_N`` for N channels).
    * A file that is not whole is ``corrupt``, never shorter: ``AUD_LENGTH_MISMATCH`` where lengths disagree or an
      end is missing, ``AUD_CHECKSUM``, ``AUD_SYNC``, ``AUD_HEADER`` and ``AUD_DECODE`` for other damage. It shows
      in WAV by the declared length, in FLAC by length and frame checksums, in Ogg by page checksums and the end
      mark, in MP3 by an incomplete last frame or the encoder's frame count. It cannot show in an MP3 without
      such a count that was cut between two frames, nor in a WAV or FLAC whose writer left the length open (flag
      ``streamed_length``).

    No samples are ``empty`` (``AUD_EMPTY``); more than 64 channels or ``limits.seconds`` are ``limit``
    (``AUD_CHANNELS``, ``AUD_SECONDS``, checked while decoding whatever the header says); rates outside 4 to
    384 kHz, NaN or infinite samples, and samples beyond 10 000 times full scale are ``invalid`` (``AUD_RATE``,
    ``AUD_NONFINITE``, ``AUD_AMPLITUDE``). What is too short is for the embedder to say.
    """

    name: ClassVar[str] = "audio"
    suffixes: ClassVar[frozenset[str]] = frozenset({".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3"})
    defaults: ClassVar[tuple[str, ...]] = ("audio.wav2vec2",)

    @property
    def policy(self) -> Mapping[str, Any]:
        """The decisions above with the versions of the decoder and the resampler; needs soundfile and soxr."""
        import soundfile
        import soxr

        return {
            "channels": "mean",
            "samples": "float32, full scale 1.0",
            "resampler": "soxr HQ",
            "truncated": "refused",
            "loudness": "as recorded",
            "soxr": soxr.__version__,
            "libsoxr": soxr.__libsoxr_version__,
            "soundfile": metadata.version("soundfile"),
            "libsndfile": soundfile.__libsndfile_version__,
        }

    def decode_content(self, content: bytes, limits: Limits) -> Decoded:
        """Decode a sound file; raises BadInput as the class says."""
        if not content:
            raise BadInput(Status.EMPTY, "AUD_EMPTY", "the file has no bytes")
        stream = open_container(content)
        with _decoding():
            waveform, channels = _read(stream.content, stream.frames, limits)
        if stream.frames is not None and len(waveform.samples) != stream.frames:
            message = f"{stream.frames} samples declared and {len(waveform.samples)} decoded"
            raise BadInput(Status.CORRUPT, "AUD_LENGTH_MISMATCH", message)
        if not len(waveform.samples):
            raise BadInput(Status.EMPTY, "AUD_EMPTY", "the file has no samples")
        downmixed = (f"downmixed_{channels}",) if channels > 1 else ()
        return Decoded(waveform, (*downmixed, *(("streamed_length",) if stream.streamed else ())))

    def accept(self, media: Any, limits: Limits) -> Decoded:
        """Check a Waveform; raises BadInput as the class says, ``invalid/AUD_TYPE`` for anything else."""
        if not isinstance(media, Waveform):
            found = type(media).__name__
            cure = (
                "a file is given as pathlib.Path" if isinstance(media, str) else "give a Waveform, a Path or bytes"
            )
            if isinstance(media, np.ndarray):
                cure = "samples need their rate: Waveform(samples, rate)"
            raise BadInput(Status.INVALID, "AUD_TYPE", f"{found} is not sound; {cure}")
        samples, rate = media.samples, media.rate
        if not isinstance(samples, np.ndarray) or samples.ndim != 1 or samples.dtype != np.float32:
            shape, dtype = getattr(samples, "shape", None), getattr(samples, "dtype", type(samples).__name__)
            message = f"samples of {dtype} with shape {shape}; they are float32 with shape (n,), mono"
            raise BadInput(Status.INVALID, "AUD_TYPE", message)
        if isinstance(rate, bool) or not isinstance(rate, int | np.integer):
            raise BadInput(Status.INVALID, "AUD_TYPE", f"the rate {rate!r} is not a whole number of Hz")
        check_rate(rate)
        if not len(samples):
            raise BadInput(Status.EMPTY, "AUD_EMPTY", "there are no samples")
        _check_seconds(len(samples), rate, limits)
        _check_values(samples)
        return Decoded(Waveform(np.ascontiguousarray(samples), int(rate)))


def _read(content: bytes, declared: int | None, limits: Limits) -> tuple[Waveform, int]:
    """The mono waveform and how many channels it came from."""
    import soundfile

    class Sequential(soundfile.SoundFile):  # type: ignore[misc]  # soundfile has no types
        # where it can seek, soundfile does so after each read, which fails at the end of a FLAC of open length
        def seekable(self) -> bool:
            return False

    with Sequential(io.BytesIO(content)) as file:
        channels, rate = int(file.channels), int(file.samplerate)
        check_channels(channels)
        check_rate(rate)
        _check_seconds(declared or 0, rate, limits)
        pieces: list[Samples] = []
        frames = 0
        while True:
            block = file.read(BLOCK, dtype="float32", always_2d=True)
            if not len(block):
                break
            frames += len(block)
            _check_seconds(frames, rate, limits)
            _check_values(block)
            pieces.append(block[:, 0] if channels == 1 else _mean(block))
    samples = np.concatenate(pieces) if pieces else np.empty(0, np.float32)
    return Waveform(samples, rate), channels


def _mean(block: npt.NDArray[np.float32]) -> Samples:
    """Mean over channels in float64; channel by channel, since numpy is slow along a short last axis."""
    total = block[:, 0].astype(np.float64)
    for channel in range(1, block.shape[1]):
        total += block[:, channel]
    return np.asarray(total / block.shape[1], np.float32)


@contextlib.contextmanager
def _decoding() -> Iterator[None]:
    """Everything that the decoder raises becomes a BadInput: on damaged files that can be any exception."""
    try:
        yield
    except (BadInput, MemoryError, ImportError):
        raise
    except Exception as error:
        # soundfile's own text holds the address of the buffer, which differs from run to run
        reason = getattr(error, "error_string", None) or f"{type(error).__name__}: {error}"
        raise BadInput(Status.CORRUPT, "AUD_DECODE", f"libsndfile: {reason}") from error


def _check_seconds(frames: int, rate: int, limits: Limits) -> None:
    if frames > limits.seconds * rate:
        message = f"longer than {limits.seconds:g} seconds, which is the limit"
        raise BadInput(Status.LIMIT, "AUD_SECONDS", message)


def _check_values(samples: npt.NDArray[np.float32]) -> None:
    low, high = samples.min(), samples.max()  # NaN passes through both
    if not (np.isfinite(low) and np.isfinite(high)):
        raise BadInput(Status.INVALID, "AUD_NONFINITE", "the sound has NaN or infinite samples")
    if max(-low, high) > LOUDEST:
        message = f"a sample of {max(-low, high):.3g} times full scale; at most {LOUDEST:g} is sound"
        raise BadInput(Status.INVALID, "AUD_AMPLITUDE", message)

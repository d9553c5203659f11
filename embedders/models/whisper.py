"""``audio.whisper``: the encoder of a Whisper model of transformers, averaged over the frames that hold sound.

The encoder always reads 30 seconds, and gives 1500 frames of which a short clip fills a few; the mean over all of
them, which upstream's users often take, is mostly the vector of silence.

Paper: Whisper (arXiv 2212.04356).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from embedders.base import EmbedderSpec, Forward
from embedders.errors import SetupError
from embedders.models.fixed_windows import FixedWindows
from embedders.models.log_mel import WhisperEar
from embedders.models.pooling import masked_mean
from embedders.models.pretrained import Family, Pretrained
from embedders.models.settings import read_settings
from embedders.runtime import Network

if TYPE_CHECKING:
    import torch

    from embedders.runtime import Runtime

__all__ = ["Whisper"]

STRIDE = 2
"""Of the second convolution: frames of the spectrogram for one of the encoder."""


@dataclass(frozen=True)
class Facts:
    """What must be known of a model before its parameters are there."""

    dim: int
    ear: WhisperEar


PUBLISHED: dict[str, tuple[str, Facts]] = {
    f"openai/whisper-{name}": (revision, Facts(dim, WhisperEar(mels)))
    for name, revision, dim, mels in (
        ("tiny", "169d4a4341b33bc18d8881c4b69c2e104e1cc0af", 384, 80),
        ("base", "e37978b90ca9030d5170a5c07aadb050351a65bb", 512, 80),
        ("small", "973afd24965f72e36ca33b3055d56a652f456b4d", 768, 80),
        ("medium", "abdf7c39ab9d0397620ccaea8974cc764cd0953e", 1024, 80),
        ("large-v3", "06f233fe06e710322aca913c1bc4249a0d71fce1", 1280, 128),
        ("large-v3-turbo", "41f01f3fe87f28c78e2fbf8b568835947dd65ed9", 1280, 128),
    )
}
"""Revisions as mteb 2.26 pins them; dimensions and mels of the models' own configurations."""

SHAPE = {
    "d_model": 512,
    "encoder_layers": 6,
    "encoder_attention_heads": 8,
    "encoder_ffn_dim": 2048,
    # of what is not used, as little as there can be
    "decoder_layers": 0,
    "decoder_attention_heads": 8,
    "decoder_ffn_dim": 8,
    "vocab_size": 8,
    "pad_token_id": 0,
}
"""Of whisper-base, whose encoder takes seeded parameters."""


class Whisper(Pretrained[Facts], FixedWindows):
    """Sound to the last states of Whisper's encoder, averaged over the frames that hold sound.

    ``weights`` is a hub id (``org/name`` or ``org/name@revision``), a folder written by ``save_pretrained``, or
    ``random:SEED`` (whisper-base with seeded parameters). A clip longer than 30 seconds is cut into consecutive
    windows, each followed by silence up to that length, and its vector is the mean over the valid frames of all.
    The vector says who speaks how and what, and is a poor account of other sounds.
    """

    libraries: ClassVar[tuple[str, ...]] = ("transformers", "torch", "soxr")
    accelerators: ClassVar[tuple[str, ...]] = ("openvino", "compile")
    family = Family("Whisper", PUBLISHED, "openai/whisper-base", SHAPE, kinds=("whisper",))

    def __init__(self, *, weights: str | Path = "openai/whisper-base", normalize: bool = True) -> None:
        self._option = str(weights)
        self._normalize = bool(normalize)

    @property
    def _ear(self) -> WhisperEar:
        return self._facts.ear

    def _held(self, samples: int) -> int:
        """Frames of the encoder that hold sound: one for every 320 samples begun."""
        return -(-samples // (STRIDE * self._ear.hop))

    @property
    def spec(self) -> EmbedderSpec:
        """The space is the model; a branch of the hub, its commit."""
        details = {
            "log_mel": self._ear.details,
            "resampler": "soxr HQ",
            "windows": "consecutive, followed by silence",
            "pooling": "mean over the valid frames of all windows",
        }
        space = f"transformers:whisper/{self._label}"
        return EmbedderSpec("audio", space, self._facts.dim, self._normalize, details)

    def load(self, runtime: Runtime) -> Forward:
        """Load the encoder; raises SetupError where files are missing or are of another model."""
        import torch

        ear = self._ear

        def build() -> torch.nn.Module:
            from embedders.models.encoder_networks import WhisperEncoder

            return WhisperEncoder(self._model().encoder)

        def example() -> tuple[torch.Tensor]:
            return (torch.zeros(2, ear.mels, ear.frames),)

        trunk = runtime.network(Network("trunk", self.identity, build, example))

        def pooled(features: torch.Tensor, held: torch.Tensor) -> torch.Tensor:
            states = trunk(features)[0]
            steps = torch.arange(states.shape[1], device=states.device)
            return masked_mean(states, steps < held.to(states.device)[:, None])

        return self._averaged(pooled, self._normalize, runtime.budget(self.batch_cost))

    def _read_facts(self, folder: Path) -> Facts:
        config = self._config(folder)
        ear = WhisperEar.of(read_settings(folder, "feature_extractor"), config.num_mel_bins)
        if ear.frames != STRIDE * config.max_source_positions:
            raise SetupError(
                f"The preprocessing in {folder} gives {ear.frames} frames, and the model reads "
                f"{STRIDE * config.max_source_positions}",
                "The folder mixes the files of two models",
            )
        return Facts(config.d_model, ear)

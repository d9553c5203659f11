"""``audio.wav2vec2``: speech models of transformers (wav2vec 2.0, HuBERT, WavLM, data2vec), exact in any batch.

A clip's vector is the mean over time of one hidden state, or of all of them. Padding changes the vectors that
upstream gives for the models with a group norm in their convolutions; here every vector equals upstream's for the
clip alone, whatever it is batched with (see :mod:`~embedders.models.wav2vec2_networks`).

Papers: wav2vec 2.0 (arXiv 2006.11477), HuBERT (2106.07447), WavLM (2110.13900), data2vec (2202.03555).
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from embedders.base import EmbedderSpec, Forward
from embedders.errors import SetupError, UsageError
from embedders.models.pretrained import Family, Pretrained, folder_of
from embedders.models.settings import PREPROCESSING, read_settings
from embedders.models.windows import Stem, WindowedAudio

if TYPE_CHECKING:
    import torch

    from embedders.runtime import Runtime

__all__ = ["Wav2Vec2"]

# the extractor of transformers adds 1e-7 to the variance
EPSILON = 1e-7
KERNELS, STRIDES = (10, 3, 3, 3, 3, 2, 2), (5, 2, 2, 2, 2, 2, 2)


@dataclass(frozen=True)
class Facts:
    """What must be known of a model before its parameters are there."""

    kind: str
    dim: int
    layers: int
    stem: Stem


def _base(kind: str, standardise: bool = True) -> Facts:
    return Facts(kind, 768, 12, Stem(KERNELS, STRIDES, 16_000, standardise, EPSILON))


PUBLISHED: dict[str, tuple[str, Facts]] = {
    "facebook/wav2vec2-base": ("0b5b8e868dd84f03fd87d01f9c4ff0f080fecfe8", _base("wav2vec2")),
    "facebook/wav2vec2-base-960h": ("22aad52d435eb6dbaf354bdad9b0da84ce7d6156", _base("wav2vec2")),
    "facebook/hubert-base-ls960": ("dba3bb02fda4248b6e082697eee756de8fe8aa8a", _base("hubert")),
    # trained on samples as they are
    "microsoft/wavlm-base-plus": ("4c66d4806a428f2e922ccfa1a962776e232d487b", _base("wavlm", False)),
}


class Wav2Vec2(Pretrained[Facts], WindowedAudio):
    """Sound to the hidden states of a speech model, averaged over time.

    ``weights`` is a hub id (``org/name`` or ``org/name@revision``), a folder written by ``save_pretrained``, or
    ``random:SEED`` (wav2vec2-base with seeded parameters). ``layer`` is ``"mean"`` (of all hidden states, the
    encoder's input included), ``"last"`` (the model's output), or the number of a hidden state, 0 being the
    encoder's input. The last layer of a large model is often the worst choice for sounds other than speech.
    """

    libraries: ClassVar[tuple[str, ...]] = ("transformers", "torch", "soxr")
    accelerators: ClassVar[tuple[str, ...]] = ("openvino",)
    family = Family(
        "Wav2Vec2",
        PUBLISHED,
        "facebook/wav2vec2-base",
        kinds=("wav2vec2", "hubert", "wavlm", "data2vec-audio"),
        unused=("masked_spec_embed",),  # only training replaces frames by it; some checkpoints lack it
    )

    def __init__(
        self,
        *,
        weights: str = "facebook/wav2vec2-base",
        layer: str | int = "mean",
        normalize: bool = True,
        window_seconds: float | None = 30.0,
    ) -> None:
        super().__init__(layer=layer, normalize=normalize, window_seconds=window_seconds)
        self._option = weights

    @functools.cached_property
    def _facts(self) -> Facts:
        facts = self._expected()
        if isinstance(self._layer, int) and not 0 <= self._layer <= facts.layers:
            raise UsageError(
                f"There is no layer {self._layer} in {self._option!r}",
                f"Its hidden states are 0 (the encoder's input) to {facts.layers}",
            )
        return facts

    @property
    def _stem(self) -> Stem:
        return self._facts.stem

    @property
    def spec(self) -> EmbedderSpec:
        """The space is the model and the layer; a branch of the hub, its commit."""
        facts = self._facts
        space = f"transformers:{self._label}/layer={self._layer}"
        details = {"kind": facts.kind, **self._details()}
        return EmbedderSpec("audio", space, facts.dim, self._normalize, details)

    def load(self, runtime: Runtime) -> Forward:
        """Load the bare model; the heads of fine-tuned checkpoints are dropped.

        Raises SetupError where files are missing, or where a known id is not what it is known to be.
        """
        wanted = _wanted(self._layer, self._facts.layers)

        def build() -> torch.nn.Module:
            from embedders.models.wav2vec2_networks import of_transformers

            model = self._model()
            if getattr(model.config, "add_adapter", False):
                raise SetupError(f"{self._option!r} has an adapter behind its encoder, which changes the frames")
            return of_transformers(model, wanted)

        return self._pooled(runtime.network(self._network(build)), runtime)

    def _read_facts(self, folder: Path) -> Facts:
        """Of a local folder without preprocessing it is upstream's default; a repository must have some."""
        config = self._config(folder)
        settings = read_settings(folder_of(self._weights, one_of=PREPROCESSING), "feature_extractor")
        stem = Stem(
            tuple(config.conv_kernel),
            tuple(config.conv_stride),
            int(settings.get("sampling_rate", 16_000)),
            bool(settings.get("do_normalize", True)),
            EPSILON,
        )
        return Facts(config.model_type, config.hidden_size, config.num_hidden_layers, stem)


def _wanted(layer: str | int, layers: int) -> tuple[int, ...]:
    """Which states of the trunk a choice of layer means: all hidden states, the model's output, or one state."""
    if layer == "mean":
        return tuple(range(layers + 1))
    return (layers + 1,) if layer == "last" else (int(layer),)

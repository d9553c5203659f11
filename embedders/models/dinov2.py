"""``image.dinov2``: DINOv2 by transformers, what a picture shows without a word of supervision.

The class token says what the picture is of, the mean over its patches what it is made of; upstream's own linear
classifiers read both.

Papers: DINOv2 (arXiv 2304.07193), registers (2309.16588).
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from embedders.base import BaseEmbedder, EmbedderSpec, Forward
from embedders.errors import SetupError, UsageError, nearest
from embedders.modality import Pixels
from embedders.models.framing import Framing, of_transformers
from embedders.models.pixels import example_pictures
from embedders.models.pooling import unit
from embedders.models.pretrained import folder_of, identity_of, load_config, load_model, quiet
from embedders.models.settings import PREPROCESSING, read_settings
from embedders.runtime import Network
from embedders.weights import Hub, Seeded, Weights, resolve

if TYPE_CHECKING:
    import torch

    from embedders.runtime import Runtime

__all__ = ["DinoV2"]

KINDS = ("dinov2", "dinov2_with_registers")
POOLINGS = ("cls", "mean", "cls+mean")


@dataclass(frozen=True)
class Facts:
    """What must be known of a model before its parameters are there."""

    width: int
    registers: int
    preprocess: Framing


PUBLISHED = Framing(
    (224, 224), (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), "bicubic", scaled=(256, 256), rounds_down=True
)
"""The preprocessing of all four models that facebook published, whatever picture size their positions are for."""

TABLE: dict[str, tuple[Hub, Facts]] = {
    f"facebook/dinov2-{name}": (Hub(f"facebook/dinov2-{name}", revision), Facts(width, 0, PUBLISHED))
    for name, revision, width in (
        ("small", "ed25f3a31f01632728cabb09d1542f84ab7b0056", 384),
        ("base", "f9e44c814b77203eaa57a6bdbbd535f21ede1415", 768),
        ("large", "47b73eefe95e8d44ec3623f8890bd894b6ea2d6c", 1024),
        ("giant", "611a9d42f2335e0f921f1e313ad3c1b7178d206d", 1536),
    )
}
"""Revisions as mteb 2.26 pins them; widths and preprocessing of the models' own configurations."""
KNOWN: dict[str, Weights] = {name: hub for name, (hub, _) in TABLE.items()}

SEEDED = TABLE["facebook/dinov2-base"][1]
SHAPE: dict[str, Any] = {"image_size": 518, "patch_size": 14}
"""Of dinov2-base, which takes seeded parameters, where upstream's defaults are others."""


class DinoV2(BaseEmbedder):
    """One vector per picture from DINOv2's last states; unit length unless ``normalize`` is false.

    ``weights`` is a hub id (``org/name`` or ``org/name@revision``), a folder written by ``save_pretrained`` with
    its ``preprocessor_config.json``, or ``random:SEED`` (dinov2-base with seeded parameters). ``pooling`` is
    ``"cls"`` (the class token), ``"mean"`` (over the patches) or ``"cls+mean"`` (one behind the other, twice as
    many dimensions). Pictures are resized by Pillow, as upstream's ``backend="pil"`` does; its default resizes by
    torch, up to two grey levels apart.
    """

    libraries: ClassVar[tuple[str, ...]] = ("transformers", "torch", "pillow")
    batch_cost: ClassVar[int] = 32
    accelerators: ClassVar[tuple[str, ...]] = ("openvino", "compile")

    def __init__(
        self, *, weights: str | Path = "facebook/dinov2-base", pooling: str = "cls", normalize: bool = True
    ) -> None:
        if pooling not in POOLINGS:
            raise UsageError(f"There is no pooling {pooling!r}", nearest(str(pooling), POOLINGS))
        self._option = str(weights)
        self._pooling = pooling
        self._normalize = bool(normalize)

    @functools.cached_property
    def _weights(self) -> Weights:
        return resolve(self._option, KNOWN)

    @functools.cached_property
    def _facts(self) -> Facts:
        known = next((facts for hub, facts in TABLE.values() if hub == self._weights), None)
        return SEEDED if isinstance(self._weights, Seeded) else known or self._read_facts()

    @property
    def spec(self) -> EmbedderSpec:
        """The space is the model and the pooling; a branch of the hub, its commit."""
        facts = self._facts
        space = f"transformers:dinov2/{identity_of(self._weights, KNOWN)}/pooling={self._pooling}"
        dim = facts.width * (1 + self._pooling.count("+"))
        details = {"preprocess": facts.preprocess.details, "resize_backend": "pillow", "pooling": self._pooling}
        return EmbedderSpec("image", space, dim, self._normalize, details)

    @property
    def weights_identity(self) -> dict[str, Any]:
        """The hub's commit, the folder's SHA-256, or the seed."""
        return self._weights.identity

    @property
    def media_side(self) -> int:
        """What the shorter side is resized to: 256 of the published models."""
        return self._facts.preprocess.side

    def prepare(self, media: Pixels) -> Pixels:
        """Resize and crop to the model's input, ``(height, width, 3)`` uint8."""
        return self._facts.preprocess.frame(media)

    def prepare_fast(self, media: Pixels) -> Pixels:
        """The same by torch's resizing."""
        return self._facts.preprocess.frame(media, fast=True)

    def collate(self, samples: Sequence[Pixels]) -> torch.Tensor:
        """Stack to ``(n, height, width, 3)`` uint8."""
        return self._facts.preprocess.collate(samples)

    def load(self, runtime: Runtime) -> Forward:
        """Load the model; raises SetupError where files are missing or are of another model."""
        import torch

        facts, pooling, normalize = self._facts, self._pooling, self._normalize

        def build() -> torch.nn.Module:
            from embedders.models.encoder_networks import Dino

            return Dino(self._model(), facts.preprocess)

        def example() -> tuple[torch.Tensor]:
            return (torch.zeros(2, *facts.preprocess.size, 3, dtype=torch.uint8),)

        trunk = runtime.network(Network("trunk", self.identity, build, example))

        @torch.inference_mode()
        def forward(batch: torch.Tensor) -> torch.Tensor:
            states = trunk(batch)[0].float()
            parts = {"cls": states[:, 0], "mean": states[:, 1 + facts.registers :].mean(1)}
            vectors = torch.cat([parts[name] for name in pooling.split("+")], dim=1)
            return unit(vectors) if normalize else vectors

        return forward

    def examples(self) -> list[Pixels]:
        """Three small pictures of different size."""
        return example_pictures()

    def _model(self) -> Any:
        if isinstance(self._weights, Seeded):
            from transformers import Dinov2Config, Dinov2Model

            with quiet(), self._weights.generator():
                return Dinov2Model(Dinov2Config(**SHAPE))
        folder = folder_of(self._weights, also=("config.json", *PREPROCESSING))
        found = self._read_facts()
        if found != self._facts:
            raise SetupError(f"{folder} holds {found}; {self._option!r} is known as {self._facts}")
        # only training replaces patches by this token
        return load_model(folder, unused=("embeddings.mask_token",))

    def _read_facts(self) -> Facts:
        folder = folder_of(self._weights, one_of=("config.json",), also=PREPROCESSING)
        config = load_config(folder)
        if config.model_type not in KINDS:
            raise SetupError(f"{self._option!r} is of kind {config.model_type!r}", f"Known: {', '.join(KINDS)}")
        settings = read_settings(folder, "image_processor")
        if not settings:
            raise SetupError(
                f"{folder} does not say how pictures are prepared",
                f"Put the model's {PREPROCESSING[0]} beside its config.json",
            )
        registers = getattr(config, "num_register_tokens", 0)
        return Facts(config.hidden_size, registers, of_transformers(settings))

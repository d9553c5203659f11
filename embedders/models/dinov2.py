"""``image.dinov2``: DINOv2 by transformers, what a picture shows without a word of supervision.

The class token says what the picture is of, the mean over its patches what it is made of; upstream's own linear
classifiers read both.

Papers: DINOv2 (arXiv 2304.07193), registers (2309.16588).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from embedders.base import EmbedderSpec, Forward
from embedders.errors import SetupError, UsageError, nearest
from embedders.modality import Pixels
from embedders.models.framing import Framing, of_transformers
from embedders.models.pixels import example_pictures
from embedders.models.pooling import unit
from embedders.models.pretrained import Family, Pretrained
from embedders.models.settings import PREPROCESSING, read_settings
from embedders.runtime import Network

if TYPE_CHECKING:
    import torch

    from embedders.runtime import Runtime

__all__ = ["DinoV2"]

POOLINGS = ("cls", "mean", "cls+mean")


@dataclass(frozen=True)
class Facts:
    """What must be known of a model before its parameters are there."""

    width: int
    registers: int
    preprocess: Framing


FRAMING = Framing(
    (224, 224), (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), "bicubic", scaled=(256, 256), rounds_down=True
)
"""The preprocessing of all four models that facebook published, whatever picture size their positions are for."""

PUBLISHED: dict[str, tuple[str, Facts]] = {
    f"facebook/dinov2-{name}": (revision, Facts(width, 0, FRAMING))
    for name, revision, width in (
        ("small", "ed25f3a31f01632728cabb09d1542f84ab7b0056", 384),
        ("base", "f9e44c814b77203eaa57a6bdbbd535f21ede1415", 768),
        ("large", "47b73eefe95e8d44ec3623f8890bd894b6ea2d6c", 1024),
        ("giant", "611a9d42f2335e0f921f1e313ad3c1b7178d206d", 1536),
    )
}
"""Revisions as mteb 2.26 pins them; widths and preprocessing of the models' own configurations."""


class DinoV2(Pretrained[Facts]):
    """One vector per picture from DINOv2's last states; unit length unless ``normalize`` is false.

    ``weights`` is a hub id (``org/name`` or ``org/name@revision``), a folder written by ``save_pretrained`` with
    its ``preprocessor_config.json``, or ``random:SEED`` (dinov2-base with seeded parameters). ``pooling`` is
    ``"cls"`` (the class token), ``"mean"`` (over the patches) or ``"cls+mean"`` (one behind the other, twice as
    many dimensions). Pictures are resized by Pillow, as upstream's ``backend="pil"`` does; its default resizes by
    torch, up to two grey levels apart.
    """

    libraries: ClassVar[tuple[str, ...]] = ("transformers", "torch", "pillow")
    batch_cost: ClassVar[int] = 16
    accelerators: ClassVar[tuple[str, ...]] = ("openvino", "compile")
    family = Family(
        "Dinov2",
        PUBLISHED,
        "facebook/dinov2-base",
        {"image_size": 518, "patch_size": 14},
        kinds=("dinov2", "dinov2_with_registers"),
        unused=("embeddings.mask_token",),  # only training replaces patches by it
    )

    def __init__(
        self, *, weights: str | Path = "facebook/dinov2-base", pooling: str = "cls", normalize: bool = True
    ) -> None:
        if pooling not in POOLINGS:
            raise UsageError(f"There is no pooling {pooling!r}", nearest(str(pooling), POOLINGS))
        self._option = str(weights)
        self._pooling = pooling
        self._normalize = bool(normalize)

    @property
    def spec(self) -> EmbedderSpec:
        """The space is the model and the pooling; a branch of the hub, its commit."""
        facts = self._facts
        space = f"transformers:dinov2/{self._label}/pooling={self._pooling}"
        dim = facts.width * (1 + self._pooling.count("+"))
        details = {"preprocess": facts.preprocess.details, "resize_backend": "pillow", "pooling": self._pooling}
        return EmbedderSpec("image", space, dim, self._normalize, details)

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

    def _read_facts(self, folder: Path) -> Facts:
        config = self._config(folder)
        settings = read_settings(folder, "image_processor")
        if not settings:
            raise SetupError(
                f"{folder} does not say how pictures are prepared",
                f"Put the model's {PREPROCESSING[0]} beside its config.json",
            )
        registers = getattr(config, "num_register_tokens", 0)
        return Facts(config.hidden_size, registers, of_transformers(settings))

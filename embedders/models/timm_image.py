"""``image.timm``: the pooled features of any image model that timm knows by name.

timm: github.com/huggingface/pytorch-image-models. Pictures are prepared as each model was judged (its test size and
crop), which for many is larger than what it was trained on.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from embedders.base import BaseEmbedder, EmbedderSpec, Forward
from embedders.modality import Pixels
from embedders.models.pixels import example_pictures
from embedders.models.pooling import unit
from embedders.models.timm_source import DEFAULT, Source
from embedders.runtime import Network

if TYPE_CHECKING:
    import torch

    from embedders.runtime import Runtime

__all__ = ["TimmImage"]


class TimmImage(BaseEmbedder):
    """What a timm model's classifier would see of a picture; unit length unless ``normalize`` is false.

    ``model`` is an architecture, with or without a tag behind a dot (``resnet50``, ``resnet50.a1_in1k``).
    ``weights`` is one of its tags; a checkpoint file (``.safetensors``, ``.pth``), whatever classes it tells
    apart; a folder or hub id with timm's ``config.json``, which then decides the architecture and the
    preprocessing, while ``model`` is not used; or ``random:SEED``. Left out, it is the model's tag, or timm's first
    for it. Files and seeds are given the preprocessing of that tag.
    """

    libraries: ClassVar[tuple[str, ...]] = ("timm", "torch", "torchvision", "pillow")
    batch_cost: ClassVar[int] = 16
    accelerators: ClassVar[tuple[str, ...]] = ("openvino", "compile")

    def __init__(self, *, model: str = DEFAULT, weights: str | Path | None = None, normalize: bool = True) -> None:
        self._model = model
        self._option = None if weights is None else str(weights)
        self._normalize = bool(normalize)

    @functools.cached_property
    def _source(self) -> Source:
        return Source.of(self._model, self._option)

    @property
    def spec(self) -> EmbedderSpec:
        """The space is the model and its weights; the dimension is measured."""
        source = self._source
        details = {
            "architecture": source.architecture,
            "preprocess": source.facts.preprocess.details,
            "pooling": "the model's own",
            "projection": "none",
        }
        return EmbedderSpec("image", source.space, source.facts.dim, self._normalize, details)

    @property
    def weights_identity(self) -> Mapping[str, Any]:
        """The hub's commit, the address and checksum prefix, the file's or folder's SHA-256, or the seed."""
        return self._source.weights.identity

    @property
    def media_side(self) -> int:
        """What the shorter side of a picture is reduced to at most."""
        return self._source.facts.preprocess.side

    def prepare(self, media: Pixels) -> Pixels:
        """Resize and crop to the model's input, ``(height, width, 3)`` uint8."""
        return self._source.facts.preprocess.frame(media)

    def prepare_fast(self, media: Pixels) -> Pixels:
        """The same by torch's resizing."""
        return self._source.facts.preprocess.frame(media, fast=True)

    def collate(self, samples: Sequence[Pixels]) -> torch.Tensor:
        """Stack to ``(n, height, width, 3)`` uint8."""
        return self._source.facts.preprocess.collate(samples)

    def load(self, runtime: Runtime) -> Forward:
        """The model on the device, its pooling in fp32; raises SetupError where weights are not to be had."""
        import torch

        source, facts, normalize = self._source, self._source.facts, self._normalize

        @functools.cache
        def build() -> tuple[torch.nn.Module, torch.nn.Module]:
            from embedders.models.encoder_networks import TimmHead, TimmTrunk

            model = source.build().eval()
            return TimmTrunk(model, facts.preprocess), TimmHead(model)

        def example() -> tuple[torch.Tensor]:
            return (torch.zeros(2, *facts.preprocess.size, 3, dtype=torch.uint8),)

        @torch.inference_mode()
        def maps() -> tuple[torch.Tensor, ...]:
            found: tuple[torch.Tensor, ...] = build()[0](*example())
            return found

        key, each = self.identity, ((0,),)
        trunk = runtime.network(Network("trunk", key, lambda: build()[0], example))
        head = runtime.network(Network("head", key, lambda: build()[1], maps, each * facts.maps, exact=True))

        @torch.inference_mode()
        def forward(batch: torch.Tensor) -> torch.Tensor:
            vectors = head(*(found.float() for found in trunk(batch)))[0].float()
            return unit(vectors) if normalize else vectors

        return forward

    def examples(self) -> list[Pixels]:
        """Three small pictures of different size."""
        return example_pictures()

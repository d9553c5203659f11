"""ResNet-50 by torchvision: what a picture shows, as 2048 features.

Source of weights and preprocessing: ``torchvision.models.ResNet50_Weights``. The two sets are different models
(acc@1 76.130 and 80.858) with different preprocessing, and their vectors are not comparable.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from embedders.base import BaseEmbedder, EmbedderSpec, Forward
from embedders.errors import SetupError, UsageError, nearest
from embedders.modality import Pixels
from embedders.models.pixels import Preprocess, example_pictures
from embedders.models.pooling import unit
from embedders.runtime import Network
from embedders.weights import Download, Local, Seeded, Weights, read_state, resolve

if TYPE_CHECKING:
    import torch

    from embedders.runtime import Runtime

__all__ = ["ResNet50"]

ADDRESS = "https://download.pytorch.org/models/resnet50-{}.pth"
KNOWN: dict[str, Weights] = {
    "IMAGENET1K_V1": Download(ADDRESS.format("0676ba61"), "0676ba61"),
    "IMAGENET1K_V2": Download(ADDRESS.format("11ad3fa6"), "11ad3fa6"),
}

V1 = Preprocess((224, 224), (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), "bilinear", shorter=256)
TRANSFORMS = {"IMAGENET1K_V1": V1, "IMAGENET1K_V2": replace(V1, shorter=232)}
"""What ``ResNet50_Weights.<tag>.transforms()`` does; written down so that no torch is needed to read a spec."""


class ResNet50(BaseEmbedder):
    """2048 average-pool features of a picture, before the classifier; unit length unless ``normalize`` is false.

    ``weights`` is ``IMAGENET1K_V1``, ``IMAGENET1K_V2``, a file with a torchvision state dict of resnet50
    (``.pth`` or ``.safetensors``; the classifier in it is not read, so any number of classes will do), or
    ``random:SEED``. Each set of weights has its own preprocessing; for a file or a seed it is V2's, unless
    ``transform`` names the other.

    The features come after a ReLU and are never negative, so all cosines are high: centre the vectors where
    the spread matters. Raises SetupError for a state dict of another architecture.
    """

    libraries: ClassVar[tuple[str, ...]] = ("torch", "torchvision", "pillow")
    batch_cost: ClassVar[int] = 8
    """Pictures. torch on a CPU takes twice as long for each in batches of 32, OpenVINO a little longer."""
    accelerators: ClassVar[tuple[str, ...]] = ("openvino", "compile")

    def __init__(
        self, *, weights: str | Path = "IMAGENET1K_V2", normalize: bool = True, transform: str | None = None
    ) -> None:
        if transform is not None and transform not in TRANSFORMS:
            raise UsageError(f"There is no transform {transform!r}", nearest(transform, TRANSFORMS))
        self.weights = str(weights)
        self.normalize = normalize
        self.transform = transform or (self.weights if self.weights in TRANSFORMS else "IMAGENET1K_V2")

    @property
    def spec(self) -> EmbedderSpec:
        """2048 dimensions; one space per set of weights."""
        details = {
            "preprocess": self._preprocess.details,
            "transform": self.transform,
            "pooling": "average over the last feature map",
            "projection": "none",
        }
        return EmbedderSpec("image", f"torchvision:resnet50/{self._label}", 2048, self.normalize, details)

    @property
    def weights_identity(self) -> Mapping[str, Any]:
        """The address and checksum prefix, the file's SHA-256, or the seed."""
        return self._source.identity

    @property
    def media_side(self) -> int:
        """What the shorter side is resized to: 232 or 256."""
        return self._preprocess.side

    def prepare(self, media: Pixels) -> Pixels:
        """Resize and crop to ``(224, 224, 3)`` uint8."""
        return self._preprocess.frame(media)

    def prepare_fast(self, media: Pixels) -> Pixels:
        """The same size, resized by torch: within two grey levels."""
        return self._preprocess.frame(media, fast=True)

    def collate(self, samples: Sequence[Pixels]) -> torch.Tensor:
        """Stack to ``(n, 224, 224, 3)`` uint8."""
        return self._preprocess.collate(samples)

    def load(self, runtime: Runtime) -> Forward:
        """The network up to its last feature map on the device, and the average over it in fp32."""
        import torch

        source, preprocess, normalize = self._source, self._preprocess, self.normalize

        def build() -> torch.nn.Module:
            from embedders.models.networks import resnet_trunk

            return resnet_trunk(_build(source), preprocess)

        def example() -> tuple[torch.Tensor]:
            return (torch.zeros(2, *preprocess.size, 3, dtype=torch.uint8),)

        trunk = runtime.network(Network("trunk", self.identity, build, example))

        @torch.inference_mode()
        def forward(batch: torch.Tensor) -> torch.Tensor:
            features = trunk(batch)[0].float().mean((2, 3))
            return unit(features) if normalize else features

        return forward

    def examples(self) -> list[Pixels]:
        """Three small pictures of different size."""
        return example_pictures()

    @property
    def _preprocess(self) -> Preprocess:
        return TRANSFORMS[self.transform]

    @cached_property
    def _source(self) -> Weights:
        source = resolve(self.weights, KNOWN)
        if not isinstance(source, Download | Seeded) and not (isinstance(source, Local) and source.path.is_file()):
            raise UsageError(
                f"ResNet50 cannot take its weights from {self.weights!r}",
                f"It takes {', '.join(KNOWN)}, a file with a torchvision state dict, or random:SEED",
            )
        return source

    @property
    def _label(self) -> str:
        return str(self._source.identity["sha256"]) if isinstance(self._source, Local) else self.weights


def _build(source: Weights) -> torch.nn.Module:
    """The network with ``fc`` replaced by the identity; raises SetupError where the state dict does not fit it."""
    import torch
    from torchvision.models import resnet50

    if isinstance(source, Seeded):
        with source.generator():
            network = resnet50(weights=None)
        network.fc = torch.nn.Identity()
        return network  # type: ignore[no-any-return]  # torchvision has no types
    assert isinstance(source, Local | Download)
    path = source.path if isinstance(source, Local) else source.fetch()
    state = read_state(path)
    with torch.device("meta"):  # values that would be overwritten are never drawn
        network = resnet50(weights=None)
    network.fc = torch.nn.Identity()
    network = network.to_empty(device="cpu")
    wanted = network.state_dict()
    found = {name: value for name, value in state.items() if name not in ("fc.weight", "fc.bias")}
    # files of torch before 0.4.1 do not count batches, and the counter is not used
    counters = {name for name in wanted if name.endswith("num_batches_tracked")}
    shapes = {name: tuple(getattr(value, "shape", ())) for name, value in found.items()}
    differing = [
        f"{name} has shape {shapes[name]} instead of {tuple(value.shape)}"
        for name, value in wanted.items()
        if name in shapes and shapes[name] != tuple(value.shape)
    ]
    differing += [f"{name} is unknown" for name in found if name not in wanted]
    differing += [f"{name} is missing" for name in wanted if name not in found and name not in counters]
    if differing:
        more = f", and {len(differing) - 3} more" if len(differing) > 3 else ""
        raise SetupError(
            f"{path} is no state dict of torchvision's resnet50: {'; '.join(differing[:3])}{more}",
            "Save one with torch.save(model.state_dict(), FILE)",
        )
    network.load_state_dict({**{name: torch.zeros((), dtype=torch.long) for name in counters}, **found})
    return network  # type: ignore[no-any-return]  # torchvision has no types

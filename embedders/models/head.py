"""The small network that carries one embedder's vectors into another's space: its layers, and its file of weights.

Every layer is one of three: ``layernorm``, ``affine`` (``x W' + b``) and ``gelu`` (the exact one, by erf); at the
end stands unit length.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from embedders.errors import SetupError
from embedders.models.pooling import unit
from embedders.weights import read_state

if TYPE_CHECKING:
    import torch

__all__ = ["CONFIG", "EPSILON", "WEIGHTS", "Head", "Layer"]

CONFIG, WEIGHTS = "config.json", "model.safetensors"
"""The files of a head's folder: what it belongs to, and its layers."""
EPSILON = 1e-5
"""Added to the variance by ``layernorm``: torch's default."""
KINDS = ("layernorm", "affine", "gelu")


@dataclass(frozen=True)
class Layer:
    """One step of a head; ``gelu`` has neither weight ``(out, in)`` or ``(in,)`` nor bias."""

    kind: str
    weight: torch.Tensor | None = None
    bias: torch.Tensor | None = None


@dataclass(frozen=True)
class Head:
    """From ``(n, a)`` vectors to ``(n, b)`` vectors of unit length, in fp32, on the device its layers are on."""

    layers: tuple[Layer, ...]

    def __call__(self, vectors: torch.Tensor) -> torch.Tensor:
        """Apply all layers; keeps gradients out and leaves rows that are not finite not finite."""
        import torch
        from torch.nn.functional import gelu, layer_norm, linear

        with torch.inference_mode():
            found = vectors.float()
            for layer in self.layers:
                if layer.kind == "gelu":
                    found = gelu(found)
                elif layer.kind == "affine":
                    assert layer.weight is not None
                    found = linear(found, layer.weight, layer.bias)
                else:
                    found = layer_norm(found, found.shape[1:], layer.weight, layer.bias, EPSILON)
            return unit(found)

    def to(self, device: str) -> Head:
        """The same on another device."""
        return Head(
            tuple(
                Layer(layer.kind, *(None if t is None else t.to(device) for t in (layer.weight, layer.bias)))
                for layer in self.layers
            )
        )

    @property
    def kinds(self) -> list[str]:
        """What each layer is, as ``config.json`` says it."""
        return [layer.kind for layer in self.layers]

    def content(self) -> bytes:
        """The weights as a safetensors file: ``<place>.weight`` and ``<place>.bias`` in fp32."""
        from safetensors.torch import save

        named = {}
        for place, layer in enumerate(self.layers):
            for name, tensor in (("weight", layer.weight), ("bias", layer.bias)):
                if tensor is not None:
                    named[f"{place}.{name}"] = tensor.detach().float().cpu().contiguous().clone()
        content: bytes = save(named, {"format": "pt"})
        return content

    @classmethod
    def read(cls, file: Path, kinds: Sequence[str], dims: tuple[int, int]) -> Head:
        """A head from its file of weights; ``dims`` are the lengths of the vectors it takes and makes.

        Raises SetupError for layers that are missing, left over, unknown, or do not fit one another.
        """
        state = read_state(file)
        layers = []
        width = dims[0]
        for place, kind in enumerate(kinds):
            weight, bias = state.pop(f"{place}.weight", None), state.pop(f"{place}.bias", None)
            layer = Layer(kind, None if weight is None else weight.float(), None if bias is None else bias.float())
            made = _width(layer, width)
            if made is None:
                raise SetupError(
                    f"Layer {place} of {file}, {kind!r}, cannot take vectors of {width} dimensions",
                    "The folder is damaged or was made by a later version: align again",
                )
            layers.append(layer)
            width = made
        if state or width != dims[1]:
            raise SetupError(
                f"{file} holds layers that end in {width} dimensions and {len(state)} tensors that no layer uses; "
                f"{file.with_name(CONFIG)} promises {dims[1]} and none",
                "The two files belong together: align again",
            )
        return cls(tuple(layers))


def _width(layer: Layer, width: int) -> int | None:
    """Dimensions after a layer; None where it does not fit."""
    if layer.kind == "gelu":
        return width if layer.weight is None and layer.bias is None else None
    if layer.kind not in KINDS or layer.weight is None or layer.bias is None:
        return None
    shape = tuple(layer.weight.shape)
    made = shape[0] if shape else 0
    expected = (made, width) if layer.kind == "affine" else (width,)
    return made if shape == expected and tuple(layer.bias.shape) == (made,) else None

"""The costly parts of ResNet-50 and CLIP as modules without state: from a collated batch to what is pooled in fp32.

Imports torch: loaded by the embedders when they load.
"""

from __future__ import annotations

from typing import Any

import torch

from embedders.models.pixels import Preprocess

__all__ = ["Normalise", "Projection", "TextTrunk", "image_trunk", "resnet_trunk"]


class Normalise(torch.nn.Module):
    """``(n, height, width, 3)`` uint8 becomes ``(n, 3, height, width)`` float32, bitwise as torchvision does it."""

    full: torch.Tensor
    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, preprocess: Preprocess) -> None:
        super().__init__()
        # divisors are tensors: CUDA multiplies by the reciprocal of a Python number, one bit off
        for name, values in (("full", (255.0,)), ("mean", preprocess.mean), ("std", preprocess.std)):
            constant = torch.tensor(values, dtype=torch.float32).view(1, -1, 1, 1)
            self.register_buffer(name, constant, persistent=False)

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        """In float32 whatever runs around it."""
        pixels: torch.Tensor = batch.permute(0, 3, 1, 2).contiguous().float()
        return (pixels / self.full - self.mean) / self.std


class Projection(torch.nn.Module):
    """From a tower's pooled state ``(n, width)`` to the joint space ``(n, dim)``; nothing to do without weight."""

    def __init__(self, weight: Any) -> None:
        super().__init__()
        self.weight = weight

    def forward(self, pooled: torch.Tensor) -> torch.Tensor:
        """As open_clip writes it: a linear layer, a bare matrix, or neither."""
        if isinstance(self.weight, torch.nn.Module):
            found: torch.Tensor = self.weight(pooled)
            return found
        return pooled if self.weight is None else pooled @ self.weight


class TextTrunk(torch.nn.Module):
    """CLIP's causal text tower up to the state of the end-of-text token: ``(n, tokens)`` to ``(n, width)``.

    Later tokens cannot reach an earlier one, so that texts may be cut behind their end-of-text token; open_clip's
    own ``encode_text`` takes full length alone.
    """

    mask: torch.Tensor

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.embedding, self.transformer, self.norm = model.token_embedding, model.transformer, model.ln_final
        self.positions = model.positional_embedding
        self.register_buffer("mask", model.attn_mask, persistent=False)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """The end-of-text token has the highest number of all."""
        count = tokens.shape[1]
        states = self.embedding(tokens) + self.positions[:count]
        states = self.norm(self.transformer(states, attn_mask=self.mask[:count, :count]))
        found: torch.Tensor = states[torch.arange(tokens.shape[0], device=tokens.device), tokens.argmax(dim=-1)]
        return found


def resnet_trunk(network: Any, preprocess: Preprocess) -> torch.nn.Module:
    """A ResNet of torchvision from a batch of pictures to the last feature map, ``(n, 2048, 7, 7)``."""
    stem = [network.conv1, network.bn1, network.relu, network.maxpool]
    layers = [network.layer1, network.layer2, network.layer3, network.layer4]
    return torch.nn.Sequential(Normalise(preprocess), *stem, *layers)


def image_trunk(model: Any, preprocess: Preprocess) -> tuple[torch.nn.Module, Projection]:
    """An image tower of open_clip and the projection behind it, which not every architecture has apart."""
    visual = model.visual
    weight = visual.proj if isinstance(getattr(visual, "proj", None), torch.nn.Parameter) else None
    if weight is not None:
        visual.proj = None
    return torch.nn.Sequential(Normalise(preprocess), visual), Projection(weight)

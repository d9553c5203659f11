"""The contrastive loss with several positives, and the small changes that keep a tower from learning by heart."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

__all__ = ["AUGMENTATIONS", "contrastive"]

SHIFT = 2
"""Pixels, or moments of 30 ms, that an example may be moved by."""


def contrastive(first: torch.Tensor, second: torch.Tensor, keys: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    """Symmetric InfoNCE where all rows of an equal key are each other's positives.

    ``first`` and ``second`` are ``(n, dim)`` unit vectors, ``keys (n,)``. In each direction it is the
    cross-entropy between the softmax of the scaled cosines and the even distribution over the positives (Khosla
    et al. 2020, eq. 2); with keys that are all different it is CLIP's loss.
    """
    from torch.nn.functional import cross_entropy

    logits = scale * first @ second.T
    positive = (keys[:, None] == keys[None, :]).to(logits.dtype)
    target = positive / positive.sum(1, keepdim=True)
    loss: torch.Tensor = (cross_entropy(logits, target) + cross_entropy(logits.T, target)) / 2
    return loss


def jitter_pictures(pictures: torch.Tensor, chance: torch.Generator) -> torch.Tensor:
    """Move by up to 2 pixels, brighten or darken by up to a tenth, add noise of up to 6 levels."""
    import torch

    count, side = pictures.shape[:2]
    steps = torch.arange(side)
    moved = (steps + torch.randint(-SHIFT, SHIFT + 1, (2, count, 1), generator=chance)).clamp(0, side - 1)
    rows = torch.arange(count)[:, None, None]
    found = pictures[rows, moved[0][:, :, None], moved[1][:, None, :]].float()
    gain, loud = torch.rand(2, count, 1, 1, 1, generator=chance)
    noise = torch.randn(found.shape, generator=chance)
    changed: torch.Tensor = found * (0.9 + 0.2 * gain) + noise * 6 * loud
    return changed.clamp(0, 255)


def jitter_sounds(levels: torch.Tensor, chance: torch.Generator) -> torch.Tensor:
    """Move by up to 2 moments, lift the silence by up to 18 of its 60 dB, add noise of up to 1.8 dB.

    Levels are relative to the loudest point, so that a gain would change nothing.
    """
    import torch

    count, bands, moments = levels.shape
    moved = (torch.arange(moments) + torch.randint(-SHIFT, SHIFT + 1, (count, 1), generator=chance)).clamp(
        0, moments - 1
    )
    found = levels.float().gather(2, moved[:, None, :].expand(-1, bands, -1))
    lift, loud = torch.rand(2, count, 1, 1, generator=chance)
    noise = torch.randn(found.shape, generator=chance)
    changed: torch.Tensor = torch.maximum(found, 0.3 * lift) + noise * 0.03 * loud
    return changed.clamp(0, 1)


AUGMENTATIONS: Mapping[str, Callable[[torch.Tensor, torch.Generator], torch.Tensor]] = {
    "picture": jitter_pictures,
    "sound": jitter_sounds,
}
"""By field. Captions are left as they are: dropping words would teach that attributes do not matter."""

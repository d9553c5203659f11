"""Group norm over the valid frames of a padded batch, so that padding cannot change a clip's vector.

The convolutions of wav2vec2-base, HuBERT-base and WavLM-base normalise every channel over *time*, right after the
first of them. In a padded batch the zeros behind a short clip are part of that time: they shift the mean and shrink
the variance, and so change every frame of the clip. With statistics over the valid frames alone, a padded clip gets
the values that it has by itself.

Imports torch: loaded with the networks.
"""

from __future__ import annotations

import torch

from embedders.errors import SetupError

__all__ = ["MaskedGroupNorm"]


class MaskedGroupNorm(torch.nn.Module):
    """A group norm with a group per channel, over as many frames of each row as are valid; for inference only."""

    def __init__(self, norm: torch.nn.GroupNorm) -> None:
        super().__init__()
        self.norm = norm

    @classmethod
    def of(cls, stem: torch.nn.Module) -> MaskedGroupNorm:
        """Around the only group norm in ``stem``; raises SetupError if there is not exactly one of that kind."""
        found = [module for module in stem.modules() if isinstance(module, torch.nn.GroupNorm)]
        if len(found) != 1 or found[0].num_groups != found[0].num_channels:
            shapes = [f"{norm.num_groups} groups of {norm.num_channels} channels" for norm in found]
            raise SetupError(
                f"The model's convolutions hold {len(found)} group norms ({', '.join(shapes) or 'none'}); "
                "exact padding needs exactly one, with a group for each channel",
                "This version of the model's library is not supported",
            )
        return cls(found[0])

    def forward(self, hidden: torch.Tensor, frames: torch.Tensor) -> torch.Tensor:
        """Normalise ``hidden (n, channels, steps)`` over the first ``frames (n,)`` steps; float32 out.

        Steps beyond come out finite and without meaning. Overwrites its input, the largest tensor of the whole
        model. Biased variance, and the mean taken off before squaring: sounds with a large offset would cancel
        else.
        """
        valid = frames[:, None, None]
        mask = torch.arange(hidden.shape[-1], device=hidden.device) < valid
        hidden = hidden.float().mul_(mask)
        mean = hidden.sum(-1, keepdim=True) / valid
        hidden = hidden.sub_(mean).mul_(mask)
        # what is left has mean zero over all steps, so that torch's exact variance needs no second copy
        variance = hidden.var(-1, correction=0, keepdim=True) * (hidden.shape[-1] / valid)
        scale, shift = self.norm.weight.float()[:, None], self.norm.bias.float()[:, None]
        return hidden.mul_(torch.rsqrt(variance + self.norm.eps) * scale).add_(shift)

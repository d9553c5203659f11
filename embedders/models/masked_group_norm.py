"""Group norm over the valid frames of a padded batch, so that padding cannot change a clip's vector.

The convolutions of wav2vec2-base, HuBERT-base and WavLM-base normalise every channel over *time*, right after the
first of them. In a padded batch the zeros behind a short clip are part of that time: they shift the mean and shrink
the variance, and so change every frame of the clip. With statistics over the valid frames alone, a padded clip gets
the values that it has by itself.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from embedders.errors import SetupError

if TYPE_CHECKING:
    import torch

__all__ = ["MaskedGroupNorm"]


class MaskedGroupNorm:
    """Takes the place of the forward of a group norm with a group per channel; the parameters stay in the module.

    Inside ``with norm.valid(frames):`` row *i* is normalised over its first ``frames[i]`` frames; outside of it
    the norm is upstream's own. Frames beyond the valid ones come out finite and without meaning. Used by one
    thread at a time, and for inference only: it overwrites its input, the largest tensor of the whole model.
    """

    def __init__(self, norm: torch.nn.GroupNorm) -> None:
        self._norm = norm
        self._plain = norm.forward
        self._frames: Sequence[int] | None = None
        norm.forward = self.forward  # type: ignore[assignment]

    @classmethod
    def of(cls, stem: torch.nn.Module) -> MaskedGroupNorm:
        """Replace the only group norm in ``stem``; raises SetupError if there is not exactly one of that kind."""
        import torch

        found = [module for module in stem.modules() if isinstance(module, torch.nn.GroupNorm)]
        if len(found) != 1 or found[0].num_groups != found[0].num_channels:
            shapes = [f"{norm.num_groups} groups of {norm.num_channels} channels" for norm in found]
            raise SetupError(
                f"The model's convolutions hold {len(found)} group norms ({', '.join(shapes) or 'none'}); "
                "exact padding needs exactly one, with a group for each channel",
                "This version of the model's library is not supported",
            )
        return cls(found[0])

    @contextlib.contextmanager
    def valid(self, frames: Sequence[int]) -> Iterator[None]:
        """Say how many frames of each row of the next batch are valid."""
        self._frames = frames
        try:
            yield
        finally:
            self._frames = None

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """Normalise ``hidden (n, channels, frames)``; float32 out, as torch's own group norm under autocast.

        Biased variance, and the mean taken off before squaring: sounds with a large offset would cancel else.
        """
        if self._frames is None:
            return self._plain(hidden)
        import torch

        valid = torch.tensor(self._frames, device=hidden.device)[:, None, None]
        mask = torch.arange(hidden.shape[-1], device=hidden.device) < valid
        hidden = hidden.float().mul_(mask)
        mean = hidden.sum(-1, keepdim=True) / valid
        hidden.sub_(mean).mul_(mask)
        # what is left has mean zero over all frames, so that torch's exact variance needs no second copy
        variance = hidden.var(-1, correction=0, keepdim=True) * (hidden.shape[-1] / valid)
        scale, shift = self._norm.weight.float()[:, None], self._norm.bias.float()[:, None]
        return hidden.mul_(torch.rsqrt(variance + self._norm.eps) * scale).add_(shift)

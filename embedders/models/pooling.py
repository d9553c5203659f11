"""From many hidden states to one vector per input, in fp32 whatever the model computed in."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

__all__ = ["masked_mean", "unit"]


def masked_mean(hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Mean over the valid steps of each row: ``hidden (n, steps, dim)``, ``mask (n, steps)`` gives ``(n, dim)``.

    A row without a valid step gives NaN, which is reported as such instead of passing for a vector.
    """
    weights = mask.float().unsqueeze(-1)
    return (hidden.float() * weights).sum(1) / weights.sum(1)


def unit(vectors: torch.Tensor) -> torch.Tensor:
    """Rows of length 1, ``(n, dim)`` float32; a zero row stays zero and is reported as without direction."""
    import torch

    return torch.nn.functional.normalize(vectors.float(), dim=-1)

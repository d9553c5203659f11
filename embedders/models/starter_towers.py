"""The three towers of the starter: pictures, words and sounds become vectors of one length, 1.9 million weights.

Imported only where a tower is built, since its classes need torch. No layer here looks at a batch: group norm and
layer norm work within one input, so that a vector cannot depend on its neighbours. No tower ends in a plain mean
over places either, which would forget where in the picture and when in the sound something is; the text tower's
mean comes after attention with positions, among words that say the relation themselves.
"""

from __future__ import annotations

import itertools

import torch
from torch import nn
from torch.nn import functional

from embedders.models.starter_weights import DIM, LENGTH, ROWS

__all__ = ["PictureTower", "SoundTower", "TextTower"]

GROUPS = 8


class Residual(nn.Module):
    """Two 3 x 3 convolutions added to their input, each after group norm and GELU."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.GroupNorm(GROUPS, channels) for _ in range(2))
        self.convolutions = nn.ModuleList(nn.Conv2d(channels, channels, 3, padding=1) for _ in range(2))

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """``(n, channels, height, width)`` in and out."""
        change = hidden
        for norm, convolution in zip(self.norms, self.convolutions, strict=True):
            change = convolution(functional.gelu(norm(change)))
        return hidden + change


class ConvTower(nn.Module):
    """Patches of 4 x 4, three stages that halve the sides, all places side by side, two linear layers.

    ``size`` is the input's ``(height, width)``, ``widths`` the channels of the stages. The last stage's map of a
    few places is squeezed to 32 channels and flattened, so that each place keeps weights of its own.
    """

    def __init__(self, channels: int, size: tuple[int, int], widths: tuple[int, int, int]) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(channels, widths[0], 4, stride=4), Residual(widths[0])]
        for before, after in itertools.pairwise(widths):
            layers += [nn.Conv2d(before, after, 3, stride=2, padding=1), Residual(after)]
        self.stages = nn.Sequential(*layers)
        places = size[0] // 16 * (size[1] // 16)
        self.squeeze = nn.Sequential(
            nn.GroupNorm(GROUPS, widths[2]), nn.GELU(), nn.Conv2d(widths[2], 32, 1), nn.Flatten()
        )
        self.head = nn.Sequential(
            nn.LayerNorm(32 * places), nn.Linear(32 * places, DIM), nn.GELU(), nn.Linear(DIM, DIM)
        )

    def forward(self, planes: torch.Tensor) -> torch.Tensor:
        """``(n, channels, height, width)`` becomes ``(n, DIM)``."""
        found: torch.Tensor = self.head(self.squeeze(self.stages(planes)))
        return found


class PictureTower(ConvTower):
    """RGB pictures of 64 x 64."""

    def __init__(self) -> None:
        super().__init__(3, (64, 64), (48, 96, 128))

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """``(n, 64, 64, 3)`` levels from 0 to 255, of any type, become ``(n, DIM)``."""
        return super().forward(pixels.permute(0, 3, 1, 2).float() / 64 - 2)


class SoundTower(ConvTower):
    """Log-mel pictures of 64 bands and 96 frames."""

    def __init__(self) -> None:
        super().__init__(1, (64, 96), (32, 64, 128))

    def forward(self, levels: torch.Tensor) -> torch.Tensor:
        """``(n, 64, 96)`` levels from 0 to 1, of any float type, become ``(n, DIM)``."""
        return super().forward(levels.float().unsqueeze(1) * 4 - 2)


class Attention(nn.Module):
    """One layer that reads the other words, then one that thinks about each, both normalised before."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.before_reading, self.before_thinking = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.query_key_value, self.out = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.think = nn.Sequential(nn.Linear(dim, 4 * dim), nn.GELU(), nn.Linear(4 * dim, dim))

    def forward(self, hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """``hidden (n, steps, dim)``; ``mask (n, 1, 1, steps)`` is true where there is a word to read."""
        rows, steps, dim = hidden.shape
        joined = self.query_key_value(self.before_reading(hidden)).view(rows, steps, 3, self.heads, -1)
        query, key, value = joined.permute(2, 0, 3, 1, 4)
        # written out: the fast path of nn.TransformerEncoder computes something else when there is padding
        read = functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        hidden = hidden + self.out(read.transpose(1, 2).reshape(rows, steps, dim))
        thought: torch.Tensor = hidden + self.think(self.before_thinking(hidden))
        return thought


class TextTower(nn.Module):
    """Word numbers, where 0 is padding and 1 a word that is not known."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.places = nn.Embedding(ROWS, DIM), nn.Parameter(torch.zeros(LENGTH, DIM))
        # small, so that words which training never shows stay near to saying nothing
        nn.init.normal_(self.words.weight, std=0.02)
        nn.init.normal_(self.places, std=0.02)
        with torch.no_grad():
            self.words.weight[1] = 0
        self.layers = nn.ModuleList(Attention(DIM, 4) for _ in range(2))
        self.head = nn.Sequential(nn.LayerNorm(DIM), nn.Linear(DIM, DIM))

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """``(n, steps)`` whole numbers, steps up to LENGTH, become ``(n, DIM)``: the mean over all but padding."""
        known = ids != 0
        hidden = self.words(ids) + self.places[: ids.shape[1]]
        for layer in self.layers:
            hidden = layer(hidden, known[:, None, None, :])
        weights = known.unsqueeze(-1).float()
        found: torch.Tensor = self.head((hidden * weights).sum(1) / weights.sum(1))
        return found

"""The costly parts of timm, DINOv2, CLAP and Whisper as modules without state: to what is pooled in fp32.

Imports torch: loaded by the embedders when they load.
"""

from __future__ import annotations

from typing import Any

import torch

from embedders.models.networks import Normalise
from embedders.models.pixels import Preprocess

__all__ = [
    "ClapSound",
    "ClapWords",
    "Dino",
    "PooledHead",
    "TimmHead",
    "TimmTrunk",
    "WhisperEncoder",
]


class TimmTrunk(torch.nn.Module):
    """``(n, height, width, 3)`` uint8 to the feature maps of a timm model: one, of some models several."""

    def __init__(self, model: Any, preprocess: Preprocess) -> None:
        super().__init__()
        self.normalise, self.model = Normalise(preprocess), model

    def forward(self, batch: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Unpooled."""
        found = self.model.forward_features(self.normalise(batch))
        return tuple(found) if isinstance(found, tuple | list) else (found,)


class TimmHead(torch.nn.Module):
    """Feature maps to ``(n, dim)``: the model's own pooling and whatever stands between it and the classifier."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, *maps: torch.Tensor) -> torch.Tensor:
        """What the classifier would see."""
        found: torch.Tensor = self.model.forward_head(maps if len(maps) > 1 else maps[0], pre_logits=True)
        return found


class Dino(torch.nn.Module):
    """``(n, height, width, 3)`` uint8 to the normed states of all tokens, ``(n, tokens, dim)``.

    Pictures of one size have one set of positions, which is interpolated here once and not in every forward.
    """

    def __init__(self, model: Any, preprocess: Preprocess) -> None:
        super().__init__()
        self.normalise, self.model = Normalise(preprocess), model
        embeddings, patch = model.embeddings, model.config.patch_size
        height, width = preprocess.size
        patches = (height // patch) * (width // patch)
        with torch.no_grad():
            tokens = torch.zeros(1, 1 + patches, model.config.hidden_size)
            positions = embeddings.interpolate_pos_encoding(tokens, height, width)
        embeddings.position_embeddings = torch.nn.Parameter(positions.clone())
        embeddings.interpolate_pos_encoding = lambda *_: embeddings.position_embeddings

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        """The first token is the class token, then come registers, then the patches."""
        found: torch.Tensor = self.model(self.normalise(batch)).last_hidden_state
        return found


class ClapSound(torch.nn.Module):
    """``(n, frames, mels)`` float32 to the mean over the audio tower's last states, ``(n, width)``.

    A checkpoint for fusion is run as upstream runs it for a clip that is not longer than its window: the branch
    that would add crops of a longer one is left out.
    """

    def __init__(self, tower: Any) -> None:
        super().__init__()
        self.encoder = tower.audio_encoder
        self.encoder.enable_fusion = self.encoder.patch_embed.enable_fusion = False
        for stage, sides in zip(self.encoder.layers, self.encoder.input_resolutions, strict=True):
            for layer in stage.blocks:
                # upstream does so in its first forward, and by tensors while it is traced
                layer.set_shift_and_window_size(sides)
                layer.shift_size, layer.window_size = int(layer.shift_size), int(layer.window_size)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Pooled over time and frequency."""
        found: torch.Tensor = self.encoder(features[:, None], always_partition=True).pooler_output
        return found


class ClapWords(torch.nn.Module):
    """Ids and attended tokens ``(n, tokens)``, int64, to the last state of the first token, ``(n, width)``."""

    def __init__(self, tower: Any) -> None:
        super().__init__()
        self.tower = tower
        self.tower.pooler = None

    def forward(self, ids: torch.Tensor, attended: torch.Tensor) -> torch.Tensor:
        """Before the pooler."""
        found: torch.Tensor = self.tower(input_ids=ids, attention_mask=attended).last_hidden_state[:, 0]
        return found


class PooledHead(torch.nn.Module):
    """CLAP's way from ``(n, width)`` to the joint space ``(n, dim)``: of texts, through the pooler first."""

    def __init__(self, projection: torch.nn.Module, pooler: torch.nn.Module | None = None) -> None:
        super().__init__()
        self.projection, self.pooler = projection, pooler

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """Not of unit length."""
        found: torch.Tensor = self.projection(states if self.pooler is None else self.pooler(states[:, None]))
        return found


class WhisperEncoder(torch.nn.Module):
    """``(n, mels, frames)`` float32 to the encoder's last states, ``(n, frames / 2, dim)``."""

    def __init__(self, encoder: Any) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Silence included, as the model was trained."""
        found: torch.Tensor = self.encoder(features).last_hidden_state
        return found

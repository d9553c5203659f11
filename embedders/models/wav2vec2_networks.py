"""The wav2vec2 family as modules without state: from padded waves to the hidden states that are averaged.

transformers and torchaudio write the same architecture in two ways; both are taken apart here and run by one
forward, which knows how many samples of each row are valid and keeps everything behind them out. Upstream does so
in part only: not in its group norm, and not where several positional convolutions follow one another (data2vec) or
a batch norm stands before them (some HuBERT).

Imports torch: loaded by the embedders when they load.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import torch
from torch.nn.utils import parametrize

from embedders.models.masked_group_norm import MaskedGroupNorm

__all__ = ["SpeechTrunk", "of_torchaudio", "of_transformers"]

Step: TypeAlias = Callable[[Any, torch.Tensor, torch.Tensor, Any], tuple[torch.Tensor, Any]]
"""Runs a layer on ``hidden (n, frames, dim)`` with ``valid (n, frames)`` and what the layer before handed on."""

MASKED = -10_000.0
"""Added by torchaudio to the scores of padded frames."""


class SpeechTrunk(torch.nn.Module):
    """``waves (n, samples)`` float32 and ``lengths (n,)`` int64 to a tuple of states ``(n, frames, dim)``.

    ``wanted`` are the states to return: 0 is the encoder's input, *i* what layer *i* makes of it, and one more the
    model's output, with the final norm where it has one. Frames behind a row's end are finite and without meaning.
    """

    def __init__(
        self,
        stem: torch.nn.ModuleList,
        norm: MaskedGroupNorm | None,
        project: torch.nn.Module,
        positions: Positions,
        before: torch.nn.Module,
        layers: torch.nn.ModuleList,
        after: torch.nn.Module,
        step: Step,
        wanted: Sequence[int],
    ) -> None:
        super().__init__()
        self.stem, self.norm, self.project, self.positions = stem, norm, project, positions
        self.before, self.layers, self.after = before, layers, after
        self.step, self.wanted = step, tuple(wanted)

    def forward(self, waves: torch.Tensor, lengths: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """States in the order of ``wanted``."""
        hidden, frames = waves[:, None], lengths
        layer: Any
        for place, layer in enumerate(self.stem):
            frames = _frames(frames, layer.conv)
            if place == 0 and self.norm is not None:
                activate = getattr(layer, "activation", torch.nn.functional.gelu)
                hidden = activate(self.norm(layer.conv(hidden), frames))
            else:
                hidden = _first(layer(hidden))
        hidden = _first(self.project(hidden.transpose(1, 2)))
        valid = torch.arange(hidden.shape[1], device=hidden.device) < frames[:, None]
        hidden = hidden * valid[:, :, None]
        hidden = self.before(hidden + self.positions(hidden, valid))
        states, handed = [hidden], None
        for layer in self.layers[: min(max(self.wanted), len(self.layers))]:
            hidden, handed = self.step(layer, hidden, valid, handed)
            states.append(hidden)
        if max(self.wanted) > len(self.layers):
            states.append(self.after(hidden))
        return tuple(states[number] for number in self.wanted)


class Positions(torch.nn.Module):
    """Positional convolutions, each of which finds silence behind a row's end."""

    def __init__(self, norm: torch.nn.Module, steps: Sequence[torch.nn.Module]) -> None:
        super().__init__()
        self.norm, self.steps = norm, torch.nn.ModuleList(steps)

    def forward(self, hidden: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
        """``(n, frames, dim)`` to the same shape."""
        hidden = self.norm(hidden.transpose(1, 2))
        for step in self.steps:
            hidden = step(hidden * valid[:, None])
        return hidden.transpose(1, 2)


class Shorter(torch.nn.Module):
    """Takes steps off the end, which an even kernel makes too many."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.count = count

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """``(n, dim, steps)`` to ``(n, dim, steps - count)``."""
        return hidden[..., : hidden.shape[-1] - self.count]


class Alone(torch.nn.Module):
    """A convolution of torchaudio without its count of frames."""

    def __init__(self, layer: Any) -> None:
        super().__init__()
        self.layer, self.conv = layer, layer.conv

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """``(n, channels, steps)`` to fewer steps."""
        found: torch.Tensor = self.layer(hidden, None)[0]
        return found


class Biased(torch.nn.Module):
    """WavLM's attention, whose scores get a bias by distance that each query weighs for itself.

    Takes the place of upstream's, which asks for all weights of the attention and drops them. The bias
    ``(heads, frames, frames)`` is made by the first layer and handed on.
    """

    def __init__(self, attention: Any) -> None:
        super().__init__()
        self.inner = attention

    def forward(
        self, hidden: torch.Tensor, attention_mask: torch.Tensor, position_bias: torch.Tensor | None, **_: Any
    ) -> tuple[torch.Tensor, None, torch.Tensor]:
        """``hidden (n, frames, dim)`` and the mask of valid frames ``(n, frames)`` to the same shape."""
        inner, (rows, frames, _dim) = self.inner, hidden.shape
        if position_bias is None:
            position_bias = inner.compute_bias(frames, frames)

        def split(states: torch.Tensor) -> torch.Tensor:
            return states.view(rows, frames, inner.num_heads, -1).transpose(1, 2)

        gates = inner.gru_rel_pos_linear(split(hidden)).view(rows, inner.num_heads, frames, 2, 4).sum(-1)
        first, second = torch.sigmoid(gates).chunk(2, dim=-1)
        bias = (first * (second * inner.gru_rel_pos_const - 1) + 2) * position_bias
        bias = bias.masked_fill(~attention_mask[:, None, None], -torch.inf)
        query, key, value = (split(project(hidden)) for project in (inner.q_proj, inner.k_proj, inner.v_proj))
        found = torch.nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=bias)
        return inner.out_proj(found.transpose(1, 2).reshape(rows, frames, -1)), None, position_bias


def of_transformers(model: Any, wanted: Sequence[int]) -> SpeechTrunk:
    """The trunk of a wav2vec 2.0, HuBERT, WavLM or data2vec; raises SetupError for a stem that cannot be masked."""
    from transformers.masking_utils import create_bidirectional_mask

    config, encoder, embed = model.config, model.encoder, model.encoder.pos_conv_embed
    grouped = getattr(config, "feat_extract_norm", "layer") == "group"
    stable = type(encoder).__name__.endswith("StableLayerNorm")
    nothing = torch.nn.Identity()
    if hasattr(embed, "layers"):
        steps = list(embed.layers)
    else:
        steps = [torch.nn.Sequential(_baked(embed.conv), embed.padding, embed.activation)]

    def masked(layer: Any, hidden: torch.Tensor, valid: torch.Tensor, mask: Any) -> tuple[torch.Tensor, Any]:
        if mask is None:
            mask = (create_bidirectional_mask(config=config, inputs_embeds=hidden, attention_mask=valid),)
        return _first(layer(hidden, attention_mask=mask[0])), mask

    def biased(layer: Any, hidden: torch.Tensor, valid: torch.Tensor, bias: Any) -> tuple[torch.Tensor, Any]:
        found: tuple[torch.Tensor, Any] = layer(hidden, attention_mask=valid, position_bias=bias)
        return found

    wavlm = config.model_type == "wavlm"
    if wavlm:
        for layer in encoder.layers:
            layer.attention = Biased(layer.attention)

    return SpeechTrunk(
        model.feature_extractor.conv_layers,
        MaskedGroupNorm.of(model.feature_extractor) if grouped else None,
        model.feature_projection,
        Positions(getattr(embed, "batch_norm", None) or nothing, steps),
        nothing if stable else encoder.layer_norm,
        encoder.layers,
        encoder.layer_norm if stable else nothing,
        biased if wavlm else masked,
        wanted,
    )


def of_torchaudio(model: Any, wavlm: bool, wanted: Sequence[int]) -> SpeechTrunk:
    """The trunk of a bundle, whose final norm is left out; raises SetupError for a stem that cannot be masked."""
    stem, transformer = model.feature_extractor, model.encoder.transformer
    grouped = any(isinstance(module, torch.nn.GroupNorm) for module in stem.modules())
    embed, nothing = transformer.pos_conv_embed, torch.nn.Identity()

    def masked(layer: Any, hidden: torch.Tensor, valid: torch.Tensor, mask: Any) -> tuple[torch.Tensor, Any]:
        if mask is None:
            mask = (MASKED * ~valid[:, None, None]).expand(-1, -1, valid.shape[1], -1)
        return layer(hidden, mask)[0], mask

    def biased(layer: Any, hidden: torch.Tensor, valid: torch.Tensor, bias: Any) -> tuple[torch.Tensor, Any]:
        # upstream's encoder hands over no mask of keys, which is what its layers would take
        padding = MASKED * ~valid
        found: tuple[torch.Tensor, Any] = layer(hidden, None, position_bias=bias, key_padding_mask=padding)
        return found

    return SpeechTrunk(
        torch.nn.ModuleList(Alone(layer) for layer in stem.conv_layers),
        MaskedGroupNorm.of(stem) if grouped else None,
        model.encoder.feature_projection,
        Positions(nothing, [torch.nn.Sequential(_baked(embed.conv), Shorter(embed.num_remove), torch.nn.GELU())]),
        transformer.layer_norm if transformer.layer_norm_first else nothing,
        transformer.layers,
        nothing,
        biased if wavlm else masked,
        wanted,
    )


def _frames(samples: torch.Tensor, conv: torch.nn.Conv1d) -> torch.Tensor:
    """Steps behind a convolution that does not pad."""
    return torch.div(samples - conv.kernel_size[0], conv.stride[0], rounding_mode="floor") + 1


def _first(found: Any) -> torch.Tensor:
    """Of what a module returns, the tensor to go on with."""
    tensor: torch.Tensor = found[0] if isinstance(found, tuple) else found
    return tensor


def _baked(conv: torch.nn.Module) -> torch.nn.Module:
    """The convolution with the weight that its norm makes: it would be made again in every forward."""
    if parametrize.is_parametrized(conv, "weight"):
        parametrize.remove_parametrizations(conv, "weight")
    return conv

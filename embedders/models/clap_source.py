"""What both CLAP embedders stand on: a checkpoint with two towers, and what is known of it before."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from embedders.errors import SetupError
from embedders.models.log_mel import ClapEar
from embedders.models.pretrained import Family, Pretrained, token_limit
from embedders.models.settings import PREPROCESSING, read_settings

__all__ = ["DEFAULT", "WORDS", "Clap", "Facts"]

DEFAULT = "laion/clap-htsat-unfused"
WORDS = ("tokenizer.json", "tokenizer_config.json", "vocab.json", "merges.txt", "special_tokens_map.json")
POSITIONS = ("text_model.embeddings.position_ids", "text_model.embeddings.token_type_ids")
"""Constants that older checkpoints do not hold."""


@dataclass(frozen=True)
class Facts:
    """What must be known of a model before its parameters are there."""

    dim: int
    tokens: int
    """The longest sequence that the text tower reads."""
    ear: ClapEar


PUBLISHED: dict[str, tuple[str, Facts | None]] = {
    DEFAULT: ("8fa0f1c6d0433df6e97c127f64b2a1d6c0dcda8a", Facts(512, 512, ClapEar())),
    "laion/clap-htsat-fused": ("cca9e288ab447cee67d9ada1f85ddb46500f1401", None),
    "laion/larger_clap_general": ("ada0c23a36c4e8582805bb38fec3905903f18b41", None),
    "laion/larger_clap_music": ("a0b4534a14f58e20944452dff00a22a06ce629d1", None),
    "laion/larger_clap_music_and_speech": ("195c3a3e68faebb3e2088b9a79e79b43ddbda76b", None),
}
"""Revisions as mteb 2.26 pins them."""


class Clap(Pretrained[Facts]):
    """An embedder on one of the two towers, whose spaces are one."""

    family = Family(
        "Clap",
        PUBLISHED,
        DEFAULT,
        {"text_config": {"pad_token_id": 0}},  # that of the tokenizer of characters
        kinds=("clap",),
        beside=(*PREPROCESSING, *WORDS),
        unused=POSITIONS,
    )

    @property
    def _space(self) -> str:
        return f"transformers:clap/{self._label}"

    def _read_facts(self, folder: Path) -> Facts:
        config = self._config(folder)
        if config.audio_config.enable_fusion and config.audio_config.fusion_type == "channel_map":
            raise SetupError(f"{self._option!r} fuses by channel_map, which has no way for a single window")
        settings = read_settings(folder, "feature_extractor")
        if not settings:
            raise SetupError(
                f"{folder} does not say how sound is prepared",
                f"Put the model's {PREPROCESSING[0]} beside its config.json",
            )
        text = config.text_config
        positions = text.max_position_embeddings - text.pad_token_id - 1
        tokens = min(token_limit(folder) or positions, positions)
        return Facts(config.projection_dim, tokens, ClapEar.of(settings))

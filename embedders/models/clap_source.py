"""What the option of both CLAP embedders leads to: a checkpoint with two towers, and what is known of it before."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

from embedders.errors import SetupError
from embedders.models.log_mel import ClapEar
from embedders.models.pretrained import folder_of, identity_of, load_config, load_model, quiet, token_limit
from embedders.models.settings import PREPROCESSING, read_settings
from embedders.models.tokens import Tokenizer
from embedders.weights import Hub, Seeded, Weights, resolve

__all__ = ["DEFAULT", "Facts", "Source"]

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


SEEDED = Facts(512, 512, ClapEar())
TEXT: dict[str, Any] = {"pad_token_id": 0}
SOUND: dict[str, Any] = {}
"""Of clap-htsat-unfused with seeded parameters, where upstream's defaults are others: its padding is that of the
tokenizer of characters."""
PINNED = {
    DEFAULT: Hub(DEFAULT, "8fa0f1c6d0433df6e97c127f64b2a1d6c0dcda8a"),
    "laion/clap-htsat-fused": Hub("laion/clap-htsat-fused", "cca9e288ab447cee67d9ada1f85ddb46500f1401"),
    "laion/larger_clap_general": Hub("laion/larger_clap_general", "ada0c23a36c4e8582805bb38fec3905903f18b41"),
    "laion/larger_clap_music": Hub("laion/larger_clap_music", "a0b4534a14f58e20944452dff00a22a06ce629d1"),
    "laion/larger_clap_music_and_speech": Hub(
        "laion/larger_clap_music_and_speech", "195c3a3e68faebb3e2088b9a79e79b43ddbda76b"
    ),
}
"""Revisions as mteb 2.26 pins them."""
KNOWN: dict[str, Weights] = dict(PINNED)


class Source:
    """One checkpoint with both towers, as yet unloaded."""

    def __init__(self, option: str) -> None:
        self.option = option

    @functools.cached_property
    def weights(self) -> Weights:
        """Where the parameters come from."""
        return resolve(self.option, KNOWN)

    @property
    def space(self) -> str:
        """The model; of a branch of the hub, its commit."""
        return f"transformers:clap/{identity_of(self.weights, KNOWN)}"

    @functools.cached_property
    def facts(self) -> Facts:
        """Read from the folder, but for the default and seeds."""
        return SEEDED if isinstance(self.weights, Seeded) or self.weights == PINNED[DEFAULT] else self._read()

    def tokenizer(self) -> Tokenizer:
        """Upstream's, cutting what the text tower cannot read."""
        if isinstance(self.weights, Seeded):
            return Tokenizer.of_characters(self.facts.tokens)
        folder = folder_of(self.weights, ("tokenizer.json", "vocab.json", "tokenizer_config.json"), WORDS)
        return Tokenizer.of(folder, self.facts.tokens, lower=False)

    def model(self) -> Any:
        """Both towers on the CPU; raises SetupError where a known id is not what it is known to be."""
        if isinstance(self.weights, Seeded):
            from transformers import ClapConfig, ClapModel

            with quiet(), self.weights.generator():
                return ClapModel(ClapConfig(text_config=TEXT, audio_config=SOUND))
        folder = folder_of(self.weights, also=("config.json", *PREPROCESSING, *WORDS))
        found = self._read()
        if found != self.facts:
            raise SetupError(f"{folder} holds {found}; {self.option!r} is known as {self.facts}")
        return load_model(folder, unused=POSITIONS)

    def _read(self) -> Facts:
        folder = folder_of(self.weights, one_of=("config.json",), also=(*PREPROCESSING, *WORDS))
        config = load_config(folder)
        if config.model_type != "clap":
            raise SetupError(f"{self.option!r} is of kind {config.model_type!r} and not 'clap'")
        if config.audio_config.enable_fusion and config.audio_config.fusion_type == "channel_map":
            raise SetupError(f"{self.option!r} fuses by channel_map, which has no way for a single window")
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

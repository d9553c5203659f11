"""The starter's weights: where they lie, what belongs to them, and the way from a tower to a forward."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from embedders.base import BaseEmbedder, EmbedderSpec, Forward
from embedders.errors import SetupError, UsageError
from embedders.models.pooling import unit
from embedders.weights import Local, Seeded, Weights, read_state, resolve, sha256_file

if TYPE_CHECKING:
    import torch

    from embedders.runtime import Runtime

__all__ = ["ARCHITECTURE", "DIM", "LENGTH", "ROWS", "Starter"]

PACKAGE = Path(__file__).parent.parent
HOMES = (PACKAGE / "starter", PACKAGE.parent / "samples" / "starter")
"""Where the shipped weights lie: in an installed package, in a checkout."""

ARCHITECTURE = "starter-1"
"""Names the layers and sizes of the towers; weights trained for other ones are refused."""
DIM = 128
"""Length of a vector."""
LENGTH = 24
"""Words that the text tower reads."""
ROWS = 512
"""Rows of its word table: padding, unknown words, and up to 510 known ones."""


class Starter(BaseEmbedder):
    """What the three embedders share; ``_modality`` names the tower in the weights' file."""

    libraries: ClassVar[tuple[str, ...]] = ("torch",)
    batch_cost: ClassVar[int] = 64
    _modality: ClassVar[str]

    def __init__(self, *, weights: str | Path = "starter") -> None:
        self.weights = str(weights)

    @property
    def weights_identity(self) -> Mapping[str, Any]:
        """The SHA-256 of the weights' file, or the seed."""
        if isinstance(self.source, Seeded):
            return self.source.identity
        return {"file": self.file.name, "sha256": sha256_file(self.file)}

    def config(self) -> dict[str, Any]:
        """What a folder of weights says besides the weights, as plain JSON: training writes it, loading reads it.

        The three towers' values, joined, are the whole ``config.json``.
        """
        return {"architecture": ARCHITECTURE, "dim": DIM}

    def network(self) -> torch.nn.Module:
        """The tower itself, in fp32 on the CPU, for training: it takes :meth:`inputs` and is not normalised yet.

        Raises SetupError for weights that are missing or belong to something else.
        """
        from embedders.models.starter_towers import PictureTower, SoundTower, TextTower

        tower = {"image": PictureTower, "text": TextTower, "audio": SoundTower}[self._modality]
        if isinstance(self.source, Seeded):
            with self.source.generator():
                return tower()
        self.check()  # a folder of another architecture explains itself better by name than by its shapes
        prefix = self._modality + "."
        state = {
            name.removeprefix(prefix): value.float()
            for name, value in read_state(self.file).items()
            if name.startswith(prefix)
        }
        with Seeded(0).generator():  # of values that are overwritten at once: the caller's random state stays
            network = tower()
        try:
            network.load_state_dict(state)
        except RuntimeError as error:
            raise SetupError(
                f"{self.file} holds no weights of the starter's {self._modality} tower: "
                f"{str(error).splitlines()[-1].strip()}",
                "Train with this version: embed train scenes",
            ) from error
        return network

    def inputs(self, batch: Any) -> torch.Tensor:
        """What the tower takes of a collated batch."""
        found: torch.Tensor = batch
        return found

    def load(self, runtime: Runtime) -> Forward:
        """The tower on the device."""
        tower = runtime.place(self.network())

        def forward(batch: Any) -> torch.Tensor:
            with runtime.inference():
                found = tower(self.inputs(batch).to(runtime.device))
            return unit(found)

        return forward

    def _spec(self, details: Mapping[str, Any]) -> EmbedderSpec:
        if isinstance(self.source, Seeded):
            space = f"starter/random:{self.source.seed}"
        else:
            space = f"starter:{sha256_file(self.file)[:16]}"
        return EmbedderSpec(self._modality, space, DIM, True, {"architecture": ARCHITECTURE, **details})

    @cached_property
    def source(self) -> Weights:
        """A folder or file, or a seed; raises SetupError where the shipped weights are missing."""
        home = next((home for home in HOMES if (home / "model.safetensors").is_file()), None)
        if self.weights == "starter" and home is None:
            raise SetupError(
                "The starter's weights are missing from this installation",
                "Make them with embed train scenes --out FOLDER and pass weights=FOLDER, or take random:0",
            )
        found = resolve(self.weights, {"starter": Local(home)} if home else {})
        if not isinstance(found, Local | Seeded):
            raise UsageError(f"There are no starter weights {self.weights!r}", "Take starter, a folder or random:0")
        return found

    @cached_property
    def file(self) -> Path:
        """The weights' file; only for weights that are not random."""
        assert isinstance(self.source, Local)
        path = self.source.path
        file = path / "model.safetensors" if path.is_dir() else path
        if not file.is_file():
            raise SetupError(f"{path} holds no model.safetensors", "Name a folder that embed train scenes wrote")
        return file

    def check(self) -> Mapping[str, Any]:
        """The ``config.json`` beside the weights; raises SetupError where it is none of this architecture."""
        path = self.file.with_name("config.json")
        try:
            found = json.loads(path.read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise SetupError(f"{path} cannot be read ({error})", "It belongs to the weights beside it") from error
        if not isinstance(found, dict) or found.get("architecture") != ARCHITECTURE:
            raise SetupError(
                f"{path} does not describe the architecture {ARCHITECTURE!r}",
                "Train with this version: embed train scenes",
            )
        return found

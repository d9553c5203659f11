"""Any embedder carried into another embedder's space by a small head that ``embed align`` learned.

A head is a folder: ``model.safetensors`` with its layers, ``config.json`` with what it belongs to. It changes
vectors and nothing else, so that it fits whatever embedder it was learned for, of any modality::

    sound = embedders.create("audio.aligned", head="heads/sounds")    # 512 dimensions, comparable with image.clip
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from embedders.base import HEAD, BaseEmbedder, EmbedderSpec, Forward
from embedders.errors import EmbedError, SetupError, UsageError
from embedders.models.head import CONFIG, EPSILON, WEIGHTS, Head, Layer
from embedders.models.on_another import OnAnother
from embedders.weights import sha256_file

if TYPE_CHECKING:
    import torch

    from embedders.runtime import Runtime

__all__ = ["CONFIG", "EPSILON", "FORMAT", "WEIGHTS", "Aligned", "Head", "Layer", "aligned_name"]

FORMAT = 1
"""Version of a head's folder; a later one is refused."""


class Aligned(OnAnother):
    """The embedder that a head was learned for, followed by the head: unit vectors comparable with the anchor's.

    ``head`` is the folder. Everything before the vectors (decoding, windows, flags, batches) is the embedder's own.
    The space is the anchor's with ``+head:`` and sixteen digits of the SHA-256 of the head's weights.

    Raises SetupError for a folder that is no head, and where the embedder no longer is the one it was learned for.
    """

    def __init__(self, *, head: str | Path = "") -> None:
        if not str(head):
            raise UsageError(
                f"{type(self).__name__} needs a head", "Name its folder: NAME(head=FOLDER); embed align makes one"
            )
        self.folder = Path(head).expanduser()

    @property
    def spec(self) -> EmbedderSpec:
        """The anchor's dimensions at unit length; details hold those of the embedder below, and the method."""
        below, anchor = self.below.spec, self.config["anchor"]
        return EmbedderSpec(
            below.modality,
            f"{anchor['space']}{HEAD}{sha256_file(self.folder / WEIGHTS)[:16]}",
            int(anchor["dim"]),
            True,
            {
                "head": self.config["method"],
                "below": {"space": below.space, **below.details},
                "anchor": {key: anchor[key] for key in ("name", "modality", "options", "space")},
            },
        )

    @property
    def weights_identity(self) -> Mapping[str, Any]:
        """The SHA-256 of the head beside the weights below; a ``seed`` where those, or the anchor's, are random."""
        below = dict(self.below.weights_identity)
        seeds = [weights["seed"] for weights in (below, self.config["anchor"]["weights"]) if "seed" in weights]
        return {
            "head_sha256": sha256_file(self.folder / WEIGHTS),
            "below": below,
            **({"seed": seeds[0]} if seeds else {}),
        }

    @property
    def media_side(self) -> int | None:
        """That of the embedder below."""
        return self.below.media_side

    def prepare(self, media: Any) -> Any:
        """What the embedder below makes of it."""
        return self.below.prepare(media)

    def prepare_fast(self, media: Any) -> Any:
        """What the embedder below makes of it where speed is preferred."""
        return self.below.prepare_fast(media)

    def cost(self, sample: Any) -> int:
        """That of the embedder below."""
        return self.below.cost(sample)

    def flags(self, sample: Any) -> tuple[str, ...]:
        """Those of the embedder below."""
        return self.below.flags(sample)

    def collate(self, samples: Sequence[Any]) -> Any:
        """As the embedder below does."""
        return self.below.collate(samples)

    def examples(self) -> Sequence[Any]:
        """Those of the embedder below."""
        return self.below.examples()

    def load(self, runtime: Runtime) -> Forward:
        """The embedder below in the runtime's precision, then the head in fp32.

        Raises SetupError where the weights below are not those the head was learned for.
        """
        import torch

        recorded = self.config["embedder"]
        if _content(self.below.weights_identity) != _content(recorded["weights"]):
            raise SetupError(
                f"The head in {str(self.folder)!r} was learned for {recorded['name']} with the weights "
                f"{recorded['weights']}; today's are {dict(self.below.weights_identity)}",
                "Bring those weights back, or align again",
            )
        below = self.below.forward(runtime)
        dims = (int(recorded["dim"]), int(self.config["anchor"]["dim"]))
        head = Head.read(self.folder / WEIGHTS, self.config["layers"], dims).to(runtime.device)

        def forward(batch: Any) -> torch.Tensor:
            found = torch.as_tensor(below(batch), dtype=torch.float32, device=runtime.device)
            return head(found)

        return forward

    @cached_property
    def config(self) -> Mapping[str, Any]:
        """What the head's folder says of it; raises SetupError where it is none, or of a later version."""
        path = self.folder / CONFIG
        cure = "Name a folder that embed align wrote"
        if not (self.folder / WEIGHTS).is_file():
            raise SetupError(f"{str(self.folder)!r} holds no {WEIGHTS}", cure)
        try:
            found: Mapping[str, Any] = json.loads(path.read_text("utf-8"))
            version = found["head"]
            kinds, _ = found["layers"], found["method"]
            sides = (
                ("embedder", ("name", "class", "space", "dim")),
                ("anchor", ("name", "modality", "space", "dim")),
            )
            _ = [found[side][key] for side, keys in sides for key in keys]
            _ = [{**found[side][key]} for side, _ in sides for key in ("options", "weights")]
        except (OSError, ValueError) as error:
            raise SetupError(f"{path} cannot be read ({error})", cure) from error
        except (KeyError, TypeError) as error:
            raise SetupError(f"{path} does not describe a head ({type(error).__name__}: {error})", cure) from error
        if version != FORMAT:
            raise SetupError(
                f"{path} has version {version!r}; this installation reads {FORMAT}", "Upgrade, or align again"
            )
        if not isinstance(kinds, list):
            raise SetupError(f"{path} does not describe a head: its layers are no list", cure)
        return found

    @cached_property
    def below(self) -> BaseEmbedder:
        """The embedder below, as it was when the head was learned."""
        from embedders.registry import registry

        recorded = self.config["embedder"]
        try:
            found = registry.find(recorded["class"])(**recorded["options"])
            space = found.spec.space
        except EmbedError as error:
            raise SetupError(
                f"The head in {str(self.folder)!r} needs {recorded['name']}, which cannot be made: {error}"
            ) from error
        if (space, found.spec.dim) != (recorded["space"], recorded["dim"]):
            raise SetupError(
                f"The head in {str(self.folder)!r} was learned for vectors of {recorded['space']!r} "
                f"({recorded['dim']} dimensions); {recorded['name']} leads to {space!r} ({found.spec.dim}) today",
                "Bring the weights back that it was learned for, or align again",
            )
        return found


def aligned_name(modality: str) -> str:
    """The name that heads on embedders of a modality go by: ``audio.aligned``; without one, the class's path."""
    from embedders.registry import registry

    name = f"{modality}.aligned"
    return name if name in registry.entries() else f"{Aligned.__module__}:{Aligned.__qualname__}"


def _content(identity: Mapping[str, Any]) -> dict[str, Any]:
    """What decides the weights: a file that was renamed holds the same."""
    return {key: value for key, value in identity.items() if key not in ("file", "folder")}

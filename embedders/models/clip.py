"""CLIP by open_clip: pictures and texts in one space, as two embedders that load one tower each.

Vectors are those of upstream's ``encode_image`` and ``encode_text`` (after the projection), and both towers of the
same options have the same space, so that a caption and its picture can be compared.

The options of both:

``model``
    an architecture of open_clip.
``weights``
    one of its tags for that architecture; a checkpoint file in a format that open_clip reads (``.safetensors``,
    ``.bin``, ``.pt``); a folder or hub id with ``open_clip_config.json``, which then decides the architecture and
    the preprocessing, while ``model`` is not used; or ``random:SEED``. A tag brings its own preprocessing; a lone
    file and a seed get open_clip's defaults.
``normalize``
    unit length; true unless said otherwise.

UsageError is raised where a tag was trained with QuickGELU and the architecture is built without, or the other way
round. Of a lone file nobody can tell: there the right name (``ViT-B-32-quickgelu``) is yours to give.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt

from embedders.base import BaseEmbedder, EmbedderSpec, Forward
from embedders.errors import BadInput, Status, UsageError, nearest
from embedders.modality import Pixels
from embedders.models import clip_words
from embedders.models.clip_towers import DEFAULT_MODEL, DEFAULT_TAG, Source, keep_tower
from embedders.models.pixels import example_pictures
from embedders.models.pooling import unit
from embedders.runtime import Network, Run

if TYPE_CHECKING:
    import torch

    from embedders.runtime import Runtime

__all__ = ["ClipImage", "ClipText", "Tokens"]


class _Clip(BaseEmbedder):
    """What both towers share: the options, and what they lead to."""

    def __init__(
        self, *, model: str = DEFAULT_MODEL, weights: str | Path = DEFAULT_TAG, normalize: bool = True
    ) -> None:
        self.model = model
        self.weights = str(weights)
        self.normalize = normalize

    @property
    def weights_identity(self) -> Mapping[str, Any]:
        """The hub's commit, the file's or folder's SHA-256, or the seed."""
        return self._source.weights.identity

    @cached_property
    def _source(self) -> Source:
        return Source.of(self.model, self.weights)

    def _spec(self, modality: str, details: Mapping[str, Any]) -> EmbedderSpec:
        config = self._source.config
        shared = {"projection": "post", "quick_gelu": bool(config.get("quick_gelu"))}
        dim = int(config["embed_dim"])
        return EmbedderSpec(modality, self._source.space, dim, self.normalize, {**shared, **details})


def _head(runtime: Runtime, key: Mapping[str, Any], build: Callable[[], torch.nn.Module]) -> Run:
    """A tower's projection, in fp32 whatever the tower was run in."""
    import torch

    def example() -> tuple[torch.Tensor]:
        weight: Any = getattr(network.module(), "weight", None)
        linear = isinstance(weight, torch.nn.Linear)
        width = weight.in_features if linear else 2 if weight is None else weight.shape[0]
        return (torch.zeros(2, width),)

    network = Network("head", key, build, example, ((0, 1),), exact=True)
    return runtime.network(network)


class ClipImage(_Clip):
    """The image tower of CLIP: one vector per picture, in the space of ClipText with the same options."""

    libraries: ClassVar[tuple[str, ...]] = ("open_clip_torch", "torch", "torchvision", "pillow")
    batch_cost: ClassVar[int] = 16
    accelerators: ClassVar[tuple[str, ...]] = ("openvino", "compile")

    @property
    def spec(self) -> EmbedderSpec:
        """The dimension is the joint space's; details hold the whole preprocessing."""
        vision = self._source.config["vision_cfg"]
        pooling = (
            vision.get("timm_pool", "avg") if vision.get("timm_model_name") else vision.get("pool_type", "tok")
        )
        return self._spec("image", {"preprocess": self._source.preprocess.details, "pooling": pooling})

    @property
    def media_side(self) -> int:
        """The side of the model's input."""
        return self._source.preprocess.side

    def prepare(self, media: Pixels) -> Pixels:
        """Resize and crop to the model's input, ``(height, width, 3)`` uint8."""
        return self._source.preprocess.frame(media)

    def prepare_fast(self, media: Pixels) -> Pixels:
        """The same size, resized by torch: within two grey levels."""
        return self._source.preprocess.frame(media, fast=True)

    def collate(self, samples: Sequence[Pixels]) -> torch.Tensor:
        """Stack to ``(n, height, width, 3)`` uint8."""
        return self._source.preprocess.collate(samples)

    def load(self, runtime: Runtime) -> Forward:
        """The image tower on the device; raises SetupError where the weights are not to be had."""
        import torch

        source, preprocess, normalize = self._source, self._source.preprocess, self.normalize

        @functools.cache
        def build() -> tuple[torch.nn.Module, torch.nn.Module]:
            from embedders.models.networks import image_trunk

            return image_trunk(keep_tower(source.build(), "image"), preprocess)

        def example() -> tuple[torch.Tensor]:
            return (torch.zeros(2, *preprocess.size, 3, dtype=torch.uint8),)

        trunk = runtime.network(Network("trunk", self.identity, lambda: build()[0], example))
        head = _head(runtime, self.identity, lambda: build()[1])

        @torch.inference_mode()
        def forward(batch: torch.Tensor) -> torch.Tensor:
            vectors = head(trunk(batch)[0].float())[0]
            return unit(vectors) if normalize else vectors

        return forward

    def examples(self) -> list[Pixels]:
        """Three small pictures of different size."""
        return example_pictures()


class Tokens(NamedTuple):
    """A tokenised text: ``ids``, int64 of shape ``(tokens,)``, and whether the text went on after them.

    The tokens end with the end-of-text mark where nothing behind it can matter, else they fill the context.
    """

    ids: npt.NDArray[np.int64]
    truncated: bool


class ClipText(_Clip):
    """The text tower of CLIP: one vector per text, in the space of ClipImage with the same options.

    A model reads a fixed number of tokens (CLIP 77, two of which mark start and end). Longer texts are cut and
    flagged ``truncated_text``, or with ``on_truncate="error"`` refused with status ``limit``.
    """

    libraries: ClassVar[tuple[str, ...]] = ("open_clip_torch", "torch", "ftfy")
    batch_cost: ClassVar[int] = 1024
    """Tokens."""
    accelerators: ClassVar[tuple[str, ...]] = ("openvino",)

    def __init__(
        self,
        *,
        model: str = DEFAULT_MODEL,
        weights: str | Path = DEFAULT_TAG,
        normalize: bool = True,
        on_truncate: str = "flag",
    ) -> None:
        if on_truncate not in ("flag", "error"):
            raise UsageError(f"on_truncate cannot be {on_truncate!r}", nearest(on_truncate, ("flag", "error")))
        super().__init__(model=model, weights=weights, normalize=normalize)
        self.on_truncate = on_truncate
        self._one_at_a_time = threading.Lock()

    @property
    def spec(self) -> EmbedderSpec:
        """The dimension is the joint space's; details hold what the tokenizer is asked for."""
        text = self._source.config["text_cfg"]
        pooling = ("hf_pooler_type", "mean_pooler") if text.get("hf_model_name") else ("pool_type", "argmax")
        tokenizer = {"name": text.get("hf_tokenizer_name") or "open_clip", **(text.get("tokenizer_kwargs") or {})}
        details = {"context_length": self._length, "tokenizer": tokenizer, "pooling": text.get(*pooling)}
        return self._spec("text", details)

    def prepare(self, media: str) -> Tokens:
        """Tokenise as open_clip does; raises BadInput ``limit`` for a cut text where that is asked for."""
        sample, count = self._tokenise(media)
        if sample.truncated and self.on_truncate == "error":
            message = f"{count} tokens with the marks of start and end; the model reads {self._length}"
            raise BadInput(Status.LIMIT, "TXT_TRUNCATED", message)
        return sample

    def cost(self, sample: Tokens) -> int:
        """Tokens."""
        return len(sample.ids)

    def flags(self, sample: Tokens) -> tuple[str, ...]:
        """``truncated_text`` where tokens were left out."""
        return ("truncated_text",) if sample.truncated else ()

    def collate(self, samples: Sequence[Tokens]) -> torch.Tensor:
        """Pad with zeros to the longest, ``(n, tokens)`` int64."""
        import torch

        ids = np.zeros((len(samples), max(len(sample.ids) for sample in samples)), np.int64)
        for row, sample in zip(ids, samples, strict=True):
            row[: len(sample.ids)] = sample.ids
        return torch.from_numpy(ids)

    def load(self, runtime: Runtime) -> Forward:
        """The text tower on the device; raises SetupError where the weights are not to be had."""
        import torch

        source, normalize, cut = self._source, self.normalize, self._cut

        @functools.cache
        def build() -> tuple[torch.nn.Module, torch.nn.Module]:
            from embedders.models.networks import Projection, TextTrunk

            tower: Any = keep_tower(source.build(), "text")
            return TextTrunk(tower), Projection(tower.text_projection)

        if not cut:
            tower: Any = runtime.place(keep_tower(source.build(), "text"))

            def whole(batch: torch.Tensor) -> torch.Tensor:
                with runtime.inference():
                    vectors = tower.encode_text(runtime.moved(batch), normalize=False)
                return unit(vectors) if normalize else vectors.float()

            return whole

        def example() -> tuple[torch.Tensor]:
            return (torch.tensor([[0, 1, 3, 0, 0], [0, 2, 1, 1, 3]]),)

        trunk = runtime.network(Network("trunk", self.identity, lambda: build()[0], example, ((0, 1),)))
        head = _head(runtime, self.identity, lambda: build()[1])

        @torch.inference_mode()
        def forward(batch: torch.Tensor) -> torch.Tensor:
            vectors = head(trunk(batch)[0].float())[0]
            return unit(vectors) if normalize else vectors

        return forward

    def examples(self) -> list[str]:
        """Three texts of different length."""
        return [
            "two red bells",
            "rain",
            "a photograph of an old lighthouse on a rocky coast at dusk, seen from the sea",
        ]

    @property
    def _cut(self) -> bool:
        """Whether the tower is CLIP's own, causal and read at the end-of-text token, with open_clip's words."""
        config = self._source.config
        text = config["text_cfg"]
        other = ("hf_model_name", "hf_tokenizer_name", "no_causal_mask", "embed_cls", "pad_id", "eos_id")
        if config.get("custom_text") or config.get("multimodal_cfg") or any(text.get(name) for name in other):
            return False
        return bool(text.get("pool_type", "argmax") == "argmax")

    @property
    def _length(self) -> int:
        return int(self._source.config["text_cfg"].get("context_length", 77))

    @cached_property
    def _tokenizer(self) -> Any:
        tokenizer = self._source.tokenizer()
        if getattr(tokenizer, "reduction_fn", None) is not None:
            raise UsageError(f"The tokenizer of {self._source.name!r} cuts long texts at random")
        if hasattr(tokenizer, "bpe"):
            clip_words.bound(tokenizer)
        return tokenizer

    def _tokenise(self, text: str) -> tuple[Tokens, int]:
        """The tokens, and how many there were before the cut, marks included."""
        tokenizer, length = self._tokenizer, self._length
        if hasattr(tokenizer, "bpe"):
            pieces = tokenizer.encode(text)
            kept = pieces[: length - 2]
            ids = np.zeros(len(kept) + 2 if self._cut else length, np.int64)
            ids[: len(kept) + 2] = [tokenizer.sot_token_id, *kept, tokenizer.eot_token_id]
            count = len(pieces) + 2
        else:
            # transformers keeps the truncation and padding asked for last in the tokenizer itself
            with self._one_at_a_time:
                ids = tokenizer(text)[0].numpy()
                count = _count(tokenizer, text)
        return Tokens(ids, count > length), count


def _count(tokenizer: Any, text: str) -> int:
    """Tokens of an uncut text under a tokenizer of transformers, marks included."""
    from open_clip.tokenizer import basic_clean, canonicalize_text

    cleaned = tokenizer.clean_fn(text) if hasattr(tokenizer, "clean_fn") else canonicalize_text(basic_clean(text))
    clips = getattr(tokenizer, "tokenizer_mode", "") == "clips"
    # verbose: transformers would log that the text is longer than the model reads, which is why it is counted
    pieces = tokenizer.tokenizer(cleaned, add_special_tokens=not clips, truncation=False, verbose=False).input_ids
    return len(pieces) + (3 if clips else 0)

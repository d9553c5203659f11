"""``text.bert``: text encoders of transformers and sentence-transformers, pooled into one vector per text.

A folder that sentence-transformers wrote gives the vectors of its ``encode``: pooling, projections, prompt, length
and normalisation are read from it. Any other model is pooled by the mean over its tokens.

Papers: BERT (arXiv 1810.04805), Sentence-BERT (1908.10084).
"""

from __future__ import annotations

import dataclasses
import functools
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from embedders.base import EmbedderSpec, Forward
from embedders.errors import BadInput, SetupError, Status, UsageError, nearest
from embedders.models.pooling import unit
from embedders.models.pretrained import Family, Pretrained, folder_of, token_limit
from embedders.models.sentence_folder import FILES, Recipe, load_projection, read_recipe
from embedders.models.token_batch import Batch, collated, of_texts, pool
from embedders.models.tokens import Tokenizer, Tokens
from embedders.runtime import Network
from embedders.weights import Seeded

if TYPE_CHECKING:
    import torch

    from embedders.runtime import Runtime

__all__ = ["Bert"]

POOLINGS = ("mean", "cls", "last")
TRUNCATIONS = ("flag", "error", "chunk")


@dataclass(frozen=True)
class Facts:
    """What must be known of a model before its parameters are there."""

    kind: str
    dim: int
    positions: int | None
    """The longest sequence that the model has positions for."""
    recipe: Recipe


PUBLISHED: dict[str, tuple[str, Facts]] = {
    "google-bert/bert-base-uncased": (
        "86b5e0934494bd15c9632b12f734a8a67f723594",
        Facts("bert", 768, 512, Recipe(max_tokens=512)),
    ),
    "sentence-transformers/all-MiniLM-L6-v2": (
        "c9745ed1d9f207416be6d2e6f8de32d1f16199bf",
        Facts("bert", 384, 512, Recipe(max_tokens=256, normalize=True)),
    ),
}


class Bert(Pretrained[Facts]):
    """Text to the pooled token states of an encoder.

    ``weights`` is a hub id, a folder written by ``save_pretrained`` or by sentence-transformers, or ``random:SEED``
    (bert-base with seeded parameters and a token per character). What the folder says is followed unless an option
    says otherwise: ``pooling`` (``"mean"`` over the tokens, ``"cls"`` the first, ``"last"`` the last),
    ``normalize``, ``prompt`` (put before every text; empty for none) and ``max_tokens``, special tokens included.

    A text with more tokens is cut and flagged ``truncated_text``, or refused with ``on_truncate="error"``. With
    ``on_truncate="chunk"`` it is read in consecutive chunks (flag ``chunks_3``), the prompt before the first: what
    pooling makes of them is averaged, weighted by their pooled tokens where it is a mean itself, and then
    projected; a text of one chunk gets the vector that it gets without.
    """

    libraries: ClassVar[tuple[str, ...]] = ("transformers", "tokenizers", "torch")
    batch_cost: ClassVar[int] = 512
    """Tokens. More make a CPU no faster, plain torch even slower, and more is padded."""
    accelerators: ClassVar[tuple[str, ...]] = ("openvino", "compile")
    family = Family(
        "Bert",
        PUBLISHED,
        "google-bert/bert-base-uncased",
        described=("modules.json", "config.json"),
        beside=FILES,
        unused=("pooler.",),
    )

    def __init__(
        self,
        *,
        weights: str = "google-bert/bert-base-uncased",
        pooling: str | None = None,
        normalize: bool | None = None,
        prompt: str | None = None,
        max_tokens: int | None = None,
        on_truncate: str = "flag",
    ) -> None:
        if pooling is not None and pooling not in POOLINGS:
            raise UsageError(f"There is no pooling {pooling!r}", nearest(str(pooling), POOLINGS))
        if on_truncate not in TRUNCATIONS:
            raise UsageError(f"on_truncate is {on_truncate!r}", nearest(str(on_truncate), TRUNCATIONS))
        whole = isinstance(max_tokens, int) and not isinstance(max_tokens, bool) and max_tokens > 0
        if max_tokens is not None and not whole:
            raise UsageError(f"max_tokens is {max_tokens!r}; it must be a whole number above 0")
        self._option = weights
        chosen: dict[str, Any] = {
            "pooling": pooling,
            "normalize": normalize,
            "prompt": prompt,
            "max_tokens": max_tokens,
        }
        self._chosen = {name: value for name, value in chosen.items() if value is not None}
        self._refuse, self._chunk = on_truncate == "error", on_truncate == "chunk"
        self._lock = threading.Lock()

    @functools.cached_property
    def _recipe(self) -> Recipe:
        """What is done: the folder's recipe, with the options over it."""
        recipe = dataclasses.replace(self._facts.recipe, **self._chosen)
        positions = self._facts.positions
        if positions is not None and "max_tokens" in self._chosen and self._chosen["max_tokens"] > positions:
            raise UsageError(f"max_tokens is {recipe.max_tokens}; {self._option!r} has positions for {positions}")
        return recipe

    @property
    def spec(self) -> EmbedderSpec:
        """The space is the model and the pooling; texts with different prompts may be compared."""
        recipe, facts = self._recipe, self._facts
        space = f"transformers:{self._label}/pooling={recipe.pooling}"
        dim = recipe.projections[-1].dim if recipe.projections else facts.dim
        details = {"kind": facts.kind, **dataclasses.asdict(recipe)}
        details["projections"] = list(details["projections"])
        return EmbedderSpec("text", space, dim, recipe.normalize, details)

    @property
    def _tokenizer(self) -> Tokenizer:
        with self._lock:
            return self._made_tokenizer

    @functools.cached_property
    def _made_tokenizer(self) -> Tokenizer:
        recipe = self._recipe
        if isinstance(self._weights, Seeded):
            return Tokenizer.of_characters(recipe.max_tokens)
        folder = folder_of(self._weights, ("tokenizer.json", "vocab.txt", "tokenizer_config.json"), FILES)
        return Tokenizer.of(folder / recipe.transformer, recipe.max_tokens, recipe.lower)

    @functools.cached_property
    def _unpooled(self) -> int:
        """Tokens at the beginning that are attended to but not pooled."""
        return 0 if self._recipe.include_prompt else self._tokenizer.prompt_length(self._recipe.prompt)

    def prepare(self, media: str) -> Tokens:
        """The tokens of prompt and text; raises BadInput for a text too long, if those are to be refused."""
        tokens = self._tokenizer(self._recipe.prompt + media, chunks=self._chunk)
        if not len(tokens.ids):
            raise BadInput(Status.EMPTY, "TXT_NO_TOKENS", "the tokenizer finds no token in this text")
        if tokens.truncated and self._refuse:
            raise BadInput(Status.LIMIT, "TXT_TRUNCATED", f"more than {self._recipe.max_tokens} tokens")
        return tokens

    def cost(self, sample: Tokens) -> int:
        """Tokens of all chunks."""
        return len(sample.ids) * (1 + len(sample.rest))

    def flags(self, sample: Tokens) -> tuple[str, ...]:
        """``truncated_text`` where the text had more tokens than the model takes, or how many chunks were read."""
        if sample.rest:
            return (f"chunks_{1 + len(sample.rest)}",)
        return ("truncated_text",) if sample.truncated else ()

    def collate(self, samples: Sequence[Tokens]) -> Batch:
        """Pad on the right, on whatever side upstream would: so every token keeps the position it has alone."""
        return collated(samples, self._tokenizer.pad, self._unpooled)

    def load(self, runtime: Runtime) -> Forward:
        """Load the bare encoder and what stands behind it.

        Raises SetupError where files are missing, or where a known id is not what it is known to be.
        """
        import torch

        recipe, budget = self._recipe, runtime.budget(self.batch_cost)

        def build() -> torch.nn.Module:
            from embedders.models.bert_networks import TextEncoder

            return TextEncoder(self._model(), self._tokenizer.takes_types)

        def example() -> tuple[torch.Tensor, ...]:
            attended = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]])
            return torch.ones_like(attended), torch.zeros_like(attended), attended

        trunk = runtime.network(Network("trunk", self.identity, build, example, ((0, 1), (0, 1), (0, 1))))
        projections = [runtime.place(projection) for projection in self._projections()]

        @torch.inference_mode()
        def forward(batch: Batch) -> torch.Tensor:
            pieces = []
            for part in batch.pieces(budget):
                (hidden,) = trunk(batch.ids[part], batch.types[part], batch.attended[part])
                pieces.append(pool(hidden, batch.pooled[part].to(hidden.device), recipe.pooling))
            vectors = of_texts(torch.cat(pieces), batch, recipe.pooling)
            for projection in projections:
                vectors = projection(vectors)
            return unit(vectors) if recipe.normalize else vectors

        return forward

    def examples(self) -> list[str]:
        """A word, a sentence, and a longer one in two scripts."""
        return [
            "bell",
            "A red bell rings.",
            "Зелёный двигатель гудит, while two striped drums wait.",
        ]

    def _inside(self) -> str:
        return self._recipe.transformer

    def _projections(self) -> list[torch.nn.Module]:
        if not self._recipe.projections:
            return []
        folder = folder_of(self._weights, also=FILES)
        return [load_projection(folder, projection) for projection in self._recipe.projections]

    def _read_facts(self, folder: Path) -> Facts:
        recipe = read_recipe(folder)
        config = self._config(folder / recipe.transformer)
        if getattr(config, "is_encoder_decoder", False):
            raise SetupError(f"{self._option!r} is of kind {config.model_type!r}: an encoder with a decoder")
        positions = getattr(config, "max_position_embeddings", None)
        positions = positions if positions and positions > 0 else None
        if recipe.max_tokens is None:
            limit = token_limit(folder / recipe.transformer)
            limits = [number for number in (limit, positions) if number is not None]
            recipe = dataclasses.replace(recipe, max_tokens=min(limits, default=None))
        return Facts(config.model_type, config.hidden_size, positions, recipe)

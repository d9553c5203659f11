"""``audio.clap`` and ``text.clap``: CLAP by transformers, sounds and texts in one space, as two embedders.

Vectors are those of upstream's ``get_audio_features`` and ``get_text_features``. Of a clip longer than 10 seconds
upstream takes pieces at random; here it is cut into consecutive windows, and its vector is the mean over them.

Paper: LAION-CLAP (arXiv 2211.06687).
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from embedders.base import EmbedderSpec, Forward
from embedders.errors import BadInput, Status, UsageError, nearest
from embedders.models.clap_source import DEFAULT, WORDS, Clap
from embedders.models.fixed_windows import FixedWindows
from embedders.models.log_mel import ClapEar
from embedders.models.pooling import unit
from embedders.models.pretrained import folder_of
from embedders.models.token_batch import collated
from embedders.models.tokens import Tokenizer, Tokens
from embedders.runtime import Network, Run
from embedders.weights import Seeded

if TYPE_CHECKING:
    import torch

    from embedders.runtime import Runtime

__all__ = ["ClapAudio", "ClapText"]


class ClapAudio(Clap, FixedWindows):
    """The audio tower of CLAP: one vector per clip, in the space of ClapText with the same weights.

    ``weights`` is a hub id (``org/name`` or ``org/name@revision``), a folder written by ``save_pretrained``, or
    ``random:SEED`` (clap-htsat-unfused with seeded parameters). Each consecutive 10 seconds of a clip are a window,
    the last of which is repeated to fill its 10 seconds, as upstream does; windows are averaged before the vector
    is brought to unit length, weighted by how much of the clip they hold. Checkpoints trained for fusion are run
    as upstream runs them for clips that need none.
    """

    libraries: ClassVar[tuple[str, ...]] = ("transformers", "torch", "soxr")
    accelerators: ClassVar[tuple[str, ...]] = ("openvino", "compile")

    def __init__(self, *, weights: str | Path = DEFAULT, normalize: bool = True) -> None:
        self._option = str(weights)
        self._normalize = bool(normalize)

    @property
    def _ear(self) -> ClapEar:
        return self._facts.ear

    def _held(self, samples: int) -> int:
        return samples

    @property
    def spec(self) -> EmbedderSpec:
        """The dimension is the joint space's; the space is the model, a branch of the hub its commit."""
        details = {
            "log_mel": self._ear.details,
            "resampler": "soxr HQ",
            "windows": "consecutive, averaged by how much of the clip they hold",
            "projection": "post",
        }
        return EmbedderSpec("audio", self._space, self._facts.dim, self._normalize, details)

    def load(self, runtime: Runtime) -> Forward:
        """The audio tower on the device; raises SetupError where files are missing or are of another model."""
        import torch

        ear = self._ear

        @functools.cache
        def build() -> tuple[torch.nn.Module, torch.nn.Module]:
            from embedders.models.encoder_networks import ClapSound, PooledHead

            model = self._model()
            return ClapSound(model.audio_model), PooledHead(model.audio_projection)

        def example() -> tuple[torch.Tensor]:
            return (torch.zeros(2, ear.frames, ear.mels),)

        trunk = runtime.network(Network("trunk", self.identity, lambda: build()[0], example))
        head = _head(runtime, self.identity, lambda: build()[1])

        def pooled(features: torch.Tensor, held: torch.Tensor) -> torch.Tensor:
            return head(trunk(features)[0].float())[0]

        return self._averaged(pooled, self._normalize, runtime.budget(self.batch_cost))


class ClapText(Clap):
    """The text tower of CLAP: one vector per text, in the space of ClapAudio with the same weights.

    ``weights`` as there. A text of more tokens than the model reads (512) is cut and flagged ``truncated_text``, or
    with ``on_truncate="error"`` refused with status ``limit``.
    """

    libraries: ClassVar[tuple[str, ...]] = ("transformers", "tokenizers", "torch")
    batch_cost: ClassVar[int] = 512
    """Tokens."""
    accelerators: ClassVar[tuple[str, ...]] = ("openvino",)

    def __init__(self, *, weights: str | Path = DEFAULT, normalize: bool = True, on_truncate: str = "flag") -> None:
        if on_truncate not in ("flag", "error"):
            raise UsageError(f"on_truncate is {on_truncate!r}", nearest(str(on_truncate), ("flag", "error")))
        self._option = str(weights)
        self._normalize = bool(normalize)
        self._refuse = on_truncate == "error"
        self._lock = threading.Lock()

    @property
    def spec(self) -> EmbedderSpec:
        """The dimension is the joint space's; the space is the model, a branch of the hub its commit."""
        details = {
            "tokens": self._facts.tokens,
            "pooling": "pooler of the first token",
            "projection": "post",
        }
        return EmbedderSpec("text", self._space, self._facts.dim, self._normalize, details)

    @property
    def _tokenizer(self) -> Tokenizer:
        with self._lock:
            return self._made_tokenizer

    @functools.cached_property
    def _made_tokenizer(self) -> Tokenizer:
        if isinstance(self._weights, Seeded):
            return Tokenizer.of_characters(self._facts.tokens)
        folder = folder_of(self._weights, ("tokenizer.json", "vocab.json", "tokenizer_config.json"), WORDS)
        return Tokenizer.of(folder, self._facts.tokens, lower=False)

    def prepare(self, media: str) -> Tokens:
        """The text's tokens; raises BadInput for a text too long, if those are to be refused."""
        tokens = self._tokenizer(media)
        if tokens.truncated and self._refuse:
            raise BadInput(Status.LIMIT, "TXT_TRUNCATED", f"more than {self._facts.tokens} tokens")
        return tokens

    def cost(self, sample: Tokens) -> int:
        """Tokens."""
        return len(sample.ids)

    def flags(self, sample: Tokens) -> tuple[str, ...]:
        """``truncated_text`` where the text had more tokens than the model reads."""
        return ("truncated_text",) if sample.truncated else ()

    def collate(self, samples: Sequence[Tokens]) -> tuple[torch.Tensor, torch.Tensor]:
        """Ids padded on the right, and which of them are tokens: both ``(n, tokens)`` int64."""
        batch = collated(samples, self._tokenizer.pad, unpooled=0)
        return batch.ids, batch.attended

    def load(self, runtime: Runtime) -> Forward:
        """The text tower on the device; raises SetupError where files are missing or are of another model."""
        import torch

        normalize = self._normalize

        @functools.cache
        def build() -> tuple[torch.nn.Module, torch.nn.Module]:
            from embedders.models.encoder_networks import ClapWords, PooledHead

            model = self._model()
            head = PooledHead(model.text_projection, model.text_model.pooler)
            return ClapWords(model.text_model), head

        def example() -> tuple[torch.Tensor, torch.Tensor]:
            # with padding, so that no mask is left out
            return torch.full((2, 5), 3), torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]])

        tokens = ((0, 1), (0, 1))
        trunk = runtime.network(Network("trunk", self.identity, lambda: build()[0], example, tokens))
        head = _head(runtime, self.identity, lambda: build()[1])

        @torch.inference_mode()
        def forward(batch: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
            vectors = head(trunk(*batch)[0].float())[0]
            return unit(vectors) if normalize else vectors

        return forward

    def examples(self) -> list[str]:
        """Three texts of different length."""
        return ["rain", "a dog barks twice", "far away somebody plays the violin, and a door falls shut"]


def _head(runtime: Runtime, key: dict[str, Any], build: Callable[[], Any]) -> Run:
    """A tower's way into the joint space, in fp32 whatever the tower was run in."""
    import torch

    def example() -> tuple[torch.Tensor]:
        return (torch.zeros(2, build().projection.linear1.in_features),)

    return runtime.network(Network("head", key, build, example, exact=True))

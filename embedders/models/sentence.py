"""``text.sentence``, ``image.sentence``, ``audio.sentence``: models of sentence-transformers by the library itself.

``text.bert`` reads the usual text model without the library, and faster; these take whatever else it has: static
embeddings, several poolings, models that see and hear. Vectors are those that ``encode`` gives an input alone.

Papers: Sentence-BERT (arXiv 1908.10084), Matryoshka representations (2205.13147).
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from embedders.base import BaseEmbedder, EmbedderSpec, Forward
from embedders.errors import BadInput, SetupError, Status, UsageError, nearest
from embedders.modality import Pixels, Waveform
from embedders.models.pixels import example_pictures
from embedders.models.pooling import unit
from embedders.models.pretrained import folder_of, identity_of
from embedders.models.sentence_facts import Facts, Sound, complete_folder, read_facts, read_sound
from embedders.models.sentence_folder import FILES
from embedders.models.sentence_library import load_library, pads_harmlessly, run_modules
from embedders.weights import Seeded, Weights, resolve

if TYPE_CHECKING:
    import tokenizers
    import torch

    from embedders.runtime import Runtime

__all__ = ["SentenceAudio", "SentenceImage", "SentenceText"]


@dataclass(frozen=True)
class Sample:
    """One input as the library takes it; inputs of equal ``size`` need no padding against each other."""

    taken: Any
    cost: int
    size: tuple[int, ...]
    flag: str = ""


class _Sentence(BaseEmbedder):
    modality: ClassVar[str]
    libraries: ClassVar[tuple[str, ...]] = ("sentence-transformers", "transformers", "torch")

    def __init__(
        self,
        *,
        weights: str = "",
        prompt: str | None = None,
        prompt_name: str | None = None,
        truncate_dim: int | None = None,
        normalize: bool = False,
    ) -> None:
        if not weights:
            raise UsageError(
                f"{type(self).__name__} needs weights",
                "Name a folder or a hub id: weights=sentence-transformers/all-MiniLM-L6-v2",
            )
        if prompt is not None and prompt_name is not None:
            raise UsageError(f"There is a prompt, {prompt!r}, and the name of one, {prompt_name!r}", "Give one")
        whole = isinstance(truncate_dim, int) and not isinstance(truncate_dim, bool) and truncate_dim > 0
        if truncate_dim is not None and not whole:
            raise UsageError(f"truncate_dim is {truncate_dim!r}; it must be a whole number above 0")
        self._option = weights
        self._wanted = (prompt, prompt_name)
        self._cut = truncate_dim
        self._normalize = normalize
        self._lock = threading.Lock()

    @functools.cached_property
    def _weights(self) -> Weights:
        found = resolve(self._option, {})
        if isinstance(found, Seeded):
            raise UsageError(
                f"{type(self).__name__} has no architecture of its own that {self._option!r} could fill",
                "Name a folder or a hub id",
            )
        return found

    @functools.cached_property
    def _facts(self) -> Facts:
        facts = read_facts(self._weights)
        if self._cut is not None and self._cut > facts.dim:
            raise UsageError(f"truncate_dim is {self._cut}; {self._option!r} has {facts.dim} dimensions")
        return facts

    @functools.cached_property
    def _prompt(self) -> str:
        prompt, name = self._wanted
        if name is None:
            return self._facts.default_prompt if prompt is None else prompt
        if name not in self._facts.prompts:
            raise UsageError(f"{self._option!r} has no prompt {name!r}", nearest(name, self._facts.prompts))
        return self._facts.prompts[name]

    @property
    def _unit(self) -> bool:
        """A cut vector is made as long as the whole one was promised to be."""
        return self._normalize or self._facts.normalized

    @property
    def spec(self) -> EmbedderSpec:
        """The space is the model and, where it is cut, its length: one for all modalities and prompts."""
        facts = self._facts
        cut = f"/dim={self._cut}" if self._cut else ""
        details = {
            "modules": [kind for kind, _ in facts.modules],
            "prompt": self._prompt,
            "max_tokens": facts.max_tokens,
        }
        space = f"sentence-transformers:{identity_of(self._weights, {})}{cut}"
        return EmbedderSpec(self.modality, space, self._cut or facts.dim, self._unit, details)

    @property
    def weights_identity(self) -> dict[str, Any]:
        """The hub's commit or the folder's SHA-256."""
        return self._weights.identity

    def cost(self, sample: Sample) -> int:
        """Tokens, pictures, or samples of sound."""
        return sample.cost

    def flags(self, sample: Sample) -> tuple[str, ...]:
        """What was cut off."""
        return (sample.flag,) if sample.flag else ()

    def collate(self, samples: Sequence[Sample]) -> list[Sample]:
        """The samples as they are: the library pads them when it embeds them."""
        return list(samples)

    def _given(self, taken: Any) -> Any:
        """What the library is handed for a sample."""
        return taken

    def load(self, runtime: Runtime) -> Forward:
        """Load the model by the library.

        Raises SetupError where the package or files are missing, where the model does not take this modality, and
        where its vectors are not as long as its settings say.
        """
        import torch

        facts, prompt = self._facts, self._prompt
        folder = complete_folder(self._weights, facts.modules)
        model = load_library(folder)
        taken = [kind for kind in model.modalities if isinstance(kind, str)]
        if not model.supports(self.modality):  # type: ignore[arg-type]  # one of the library's words
            raise SetupError(f"{folder} takes {' and '.join(taken)}, not {self.modality}")
        if model.get_embedding_dimension() != facts.dim:
            raise SetupError(
                f"{folder} gives vectors of {model.get_embedding_dimension()} dimensions; its settings say "
                f"{facts.dim}"
            )
        together = pads_harmlessly(model) and self.modality != "audio"
        again = self._unit and (self._cut is not None or not facts.normalized)
        run = run_modules(model, runtime, self.modality, prompt)

        def embedded(samples: list[Sample]) -> torch.Tensor:
            vectors = run([self._given(sample.taken) for sample in samples])[:, : self._cut]
            return unit(vectors) if again else vectors

        def forward(samples: list[Sample]) -> torch.Tensor:
            if together:
                return embedded(samples)
            rows: list[Any] = [None] * len(samples)
            for size in dict.fromkeys(sample.size for sample in samples):
                places = [place for place, sample in enumerate(samples) if sample.size == size]
                for place, row in zip(places, embedded([samples[place] for place in places]), strict=True):
                    rows[place] = row
            return torch.stack(rows)

        return forward


class SentenceText(_Sentence):
    """Text to the vector of a model of sentence-transformers.

    ``weights`` is a folder or a hub id. ``prompt`` is put before every text, ``prompt_name`` names one of the
    folder's; without them its default is used, if it has one. ``truncate_dim`` keeps the first numbers of a
    vector, at unit length if the whole one had it; ``normalize`` makes unit length of any.

    A text with more tokens than the model takes is cut and flagged ``truncated_text``.
    """

    modality: ClassVar[str] = "text"
    batch_cost: ClassVar[int] = 4096
    """Tokens."""

    @property
    def _tokenizer(self) -> tuple[tokenizers.Tokenizer, int | None] | None:
        with self._lock:
            return self._made_tokenizer

    @functools.cached_property
    def _made_tokenizer(self) -> tuple[tokenizers.Tokenizer, int | None] | None:
        """Counts tokens from any thread; and after how many the model cuts. None where it cannot be had alone."""
        from tokenizers import Tokenizer

        kind, path = self._facts.first
        file = folder_of(self._weights, ("modules.json", "config.json"), FILES) / path / "tokenizer.json"
        if not file.is_file():
            return None
        found: tokenizers.Tokenizer = Tokenizer.from_file(str(file))
        saved = found.truncation
        found.no_padding()
        found.no_truncation()
        # a static model leaves its tokenizer as it was saved
        limit = int(saved["max_length"]) if saved and kind == "StaticEmbedding" else self._facts.max_tokens
        return found, limit

    def prepare(self, media: str) -> Sample:
        """The text, and how many tokens it has; characters where the folder's tokenizer cannot be read alone.

        Raises BadInput for a text without any token.
        """
        if self._tokenizer is None:
            return Sample(media, max(1, len(media)), (len(media),))
        tokenizer, limit = self._tokenizer
        special = self._facts.first[0] != "StaticEmbedding"
        count = len(tokenizer.encode(self._prompt + media, add_special_tokens=special))
        if not count:
            raise BadInput(Status.EMPTY, "TXT_NO_TOKENS", "the tokenizer finds no token in this text")
        long = limit is not None and count > limit
        kept = min(count, limit or count)
        return Sample(media, kept, (kept,), "truncated_text" if long else "")

    def examples(self) -> list[str]:
        """A word, a sentence, and a longer one."""
        return ["bell", "A red bell rings.", "The green engine hums, while two striped drums wait for the birds."]


class SentenceImage(_Sentence):
    """A picture to the vector of a model of sentence-transformers that sees; options as of ``text.sentence``."""

    modality: ClassVar[str] = "image"
    libraries: ClassVar[tuple[str, ...]] = (*_Sentence.libraries, "torchvision", "pillow")

    def prepare(self, media: Pixels) -> Sample:
        """The picture as it is: the model's own processor does everything."""
        return Sample(media, 1, media.shape[:2])

    def _given(self, taken: Pixels) -> Any:
        from PIL import Image

        return Image.fromarray(taken)

    def examples(self) -> list[Pixels]:
        """Three small pictures of different size."""
        return example_pictures()


class SentenceAudio(_Sentence):
    """A sound to the vector of a model of sentence-transformers that hears; options as of ``text.sentence``.

    Sounds of different length are never padded against each other: some models would hear the silence. What is
    longer than the model's processor takes is cut there and flagged ``truncated_audio``.
    """

    modality: ClassVar[str] = "audio"
    libraries: ClassVar[tuple[str, ...]] = (*_Sentence.libraries, "soxr")
    batch_cost: ClassVar[int] = 60 * 16_000
    """Samples."""

    @functools.cached_property
    def _sound(self) -> Sound:
        folder = folder_of(self._weights, ("modules.json", "config.json"), FILES)
        return read_sound(folder / self._facts.first[1])

    def prepare(self, media: Waveform) -> Sample:
        """The samples at the model's rate."""
        sound = self._sound
        samples = media.at(sound.rate)
        most = len(samples) if sound.seconds is None else int(sound.seconds * sound.rate)
        kept = samples[:most]
        taken = {"array": kept, "sampling_rate": sound.rate}
        return Sample(taken, max(1, len(kept)), kept.shape, "truncated_audio" if len(samples) > most else "")

    def examples(self) -> list[Waveform]:
        """Three tones of different length and pitch."""
        tones = ((0.3, 220.0), (0.5, 440.0), (0.8, 660.0))
        times = [(np.arange(int(seconds * 16_000)) / 16_000, pitch) for seconds, pitch in tones]
        return [Waveform((0.5 * np.sin(2 * np.pi * pitch * t)).astype(np.float32), 16_000) for t, pitch in times]

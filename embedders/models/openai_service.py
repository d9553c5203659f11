"""``text.openai``: texts to vectors by any service that speaks OpenAI's ``/v1/embeddings``.

Such a service computes on another machine: texts leave this one, requests may be billed, and nothing guarantees
that the same text gets the same bits tomorrow. What its vectors are is recorded; the weights behind them cannot be.

Limits per request and vector lengths: OpenAI's API reference, "Create embeddings", and its guide to embeddings.
"""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from embedders.base import BaseEmbedder, EmbedderSpec, Forward, Vectors
from embedders.errors import SetupError, UsageError, nearest
from embedders.remote.embeddings import Embeddings, Meter
from embedders.remote.service import Service

if TYPE_CHECKING:
    from embedders.runtime import Runtime

__all__ = ["OpenAIService"]

OPENAI = "https://api.openai.com/v1"
OPENAI_KEY = "OPENAI_API_KEY"

DIMENSIONS = {"text-embedding-3-small": 1536, "text-embedding-3-large": 3072, "text-embedding-ada-002": 1536}
"""Of OpenAI's own models, which return unit length."""
FIXED = ("text-embedding-ada-002",)
"""Models that cannot be asked for fewer dimensions."""

CHARACTERS_PER_TOKEN = 4
"""OpenAI's rule of thumb for English; other scripts need more tokens, and a request too large is cut in half."""

ENCODINGS = ("base64", "float")
TRANSPORT = ("max_inputs", "max_tokens", "retries", "timeout")
"""Options that change how vectors come, and not what they are: a run may go on with others."""


class OpenAIService(BaseEmbedder):
    """Text to the vectors of a remote model.

    ``model`` is the service's name for it, ``base_url`` where the service is, up to and with ``/v1``. The key is
    read from the environment variable ``api_key_env``; by default that is ``OPENAI_API_KEY`` for OpenAI itself, and
    no key for any other host. ``dimensions`` asks for vectors cut to that many numbers. ``dim`` says how many the
    model gives where it is none of OpenAI's; one of the two must be known before the service is asked.

    A request holds at most ``max_inputs`` texts and ``max_tokens`` tokens, estimated at four characters each.
    ``timeout`` bounds one attempt in seconds; ``retries`` are those after the first. ``encoding_format`` is how
    vectors travel: ``base64``, exact and small, or ``float`` for services that do not know it.

    A text that the service refuses or breaks over gets the status ``remote_error``.
    """

    batch_cost: ClassVar[int] = 100_000
    """Estimated tokens; a smaller ``max_tokens`` cuts a batch into several requests."""

    def __init__(
        self,
        *,
        model: str = "text-embedding-3-small",
        base_url: str = OPENAI,
        dimensions: int | None = None,
        dim: int | None = None,
        encoding_format: str = "base64",
        max_inputs: int = 2048,
        max_tokens: int = 100_000,
        timeout: float = 60.0,
        retries: int = 5,
        api_key_env: str | None = None,
    ) -> None:
        numbers = {"dimensions": dimensions, "dim": dim, "max_inputs": max_inputs, "max_tokens": max_tokens}
        for name, number in numbers.items():
            if number is not None and not _whole(number, 1):
                raise UsageError(f"{name} is {number!r}; it must be a whole number above 0")
        if not _whole(retries, 0):
            raise UsageError(f"retries is {retries!r}; it must be a whole number from 0")
        if isinstance(timeout, bool) or not isinstance(timeout, int | float) or not 0 < timeout < math.inf:
            raise UsageError(f"timeout is {timeout!r}; it must be a number of seconds above 0")
        if encoding_format not in ENCODINGS:
            raise UsageError(f"There is no encoding {encoding_format!r}", nearest(str(encoding_format), ENCODINGS))
        if dimensions is not None and model in FIXED:
            raise UsageError(f"{model} cannot be asked for other dimensions", "Leave dimensions out")
        full = dim or DIMENSIONS.get(model)
        if full is None and dimensions is None:
            raise UsageError(
                f"How many dimensions {model!r} has is not known",
                "Say it: dim=1024; or ask for some, if the model can be cut: dimensions=256",
            )
        if full is not None and dimensions is not None and dimensions > full:
            raise UsageError(f"dimensions is {dimensions}; {model} has {full}")
        self.model = model
        self.dimensions = dimensions
        self.dim = int(dimensions or full or 0)
        self._ours = base_url.rstrip("/") == OPENAI
        self._key_name = OPENAI_KEY if api_key_env is None and self._ours else api_key_env
        self._most = (max_inputs, max_tokens)
        self._host = Service(base_url).host
        self._meter = Meter()

    @property
    def spec(self) -> EmbedderSpec:
        """The space is the model, where it is served and, if it is cut, its length."""
        place = "" if self._ours else f"@{self._host}"
        cut = f"/dimensions={self.dimensions}" if self.dimensions else ""
        known = self._ours and self.model in DIMENSIONS
        details = {"service": self._host, "reproducible": False}
        return EmbedderSpec("text", f"openai:{self.model}{place}{cut}", self.dim, known, details)

    @property
    def weights_identity(self) -> dict[str, Any]:
        """The service and its name for the model: all that can be known from outside."""
        return {"service": self._host, "model": self.model}

    @property
    def usage(self) -> dict[str, int]:
        """``requests`` answered and ``tokens`` counted by the service, for this instance in this process."""
        return {"requests": self._meter.requests, "tokens": self._meter.tokens}

    def fingerprint(self, runtime: Runtime) -> dict[str, Any]:
        """As every embedder's, without the options that only steer requests."""
        found = super().fingerprint(runtime)
        return {**found, "options": {k: v for k, v in found["options"].items() if k not in TRANSPORT}}

    def prepare(self, media: str) -> str:
        """The text as it is."""
        return media

    def cost(self, sample: str) -> int:
        """Tokens, estimated."""
        return max(1, math.ceil(len(sample) / CHARACTERS_PER_TOKEN))

    def collate(self, samples: Sequence[str]) -> list[str]:
        """The texts as they are."""
        return list(samples)

    def load(self, runtime: Runtime) -> Forward:
        """Ask for one vector, so that a wrong key, model or length is known before anything is written.

        Raises SetupError for those, and for a key that is missing from the environment.
        """
        options = self.options
        service = Service(
            options["base_url"],
            key=_key(self._key_name),
            key_name=f"the key in {self._key_name}" if self._key_name else "a request without a key",
            seconds=options["timeout"],
            retries=options["retries"],
        )
        encoding = options["encoding_format"]
        vectors = Embeddings(service, self.model, self.dim, self.dimensions, encoding, self._meter)
        vectors.check()
        return _Forward(vectors, self._requests)

    def examples(self) -> list[str]:
        """A word, a sentence, and a longer one in two scripts."""
        return ["bell", "A red bell rings.", "Зелёный двигатель гудит, while two striped drums wait."]

    def _requests(self, texts: Sequence[str]) -> Iterator[list[str]]:
        """The texts in pieces that each fit into a request."""
        piece: list[str] = []
        tokens = 0
        for text in texts:
            cost = self.cost(text)
            if piece and (len(piece) == self._most[0] or tokens + cost > self._most[1]):
                yield piece
                piece, tokens = [], 0
            piece.append(text)
            tokens += cost
        if piece:
            yield piece


class _Forward:
    """Texts in, vectors out, in as many requests as they need.

    When one of them fails, the caller asks again for halves of the batch. What other requests have brought is kept
    until then, so that no vector is paid for twice.
    """

    def __init__(self, embeddings: Embeddings, requests: Callable[[Sequence[str]], Iterator[list[str]]]) -> None:
        self._embeddings, self._requests = embeddings, requests
        self._kept = threading.local()  # a batch and its halves come from one thread

    def __call__(self, texts: list[str]) -> Vectors:
        kept: dict[str, Vectors] = self._kept.__dict__.setdefault("rows", {})
        if kept.keys().isdisjoint(texts):
            kept.clear()  # the halves of an earlier batch are done, or never came
        for piece in self._requests([text for text in dict.fromkeys(texts) if text not in kept]):
            kept.update(zip(piece, self._embeddings.of(piece), strict=True))
        vectors = np.stack([kept[text] for text in texts])
        for text in set(texts):
            del kept[text]
        return vectors


def _key(name: str | None) -> str:
    if not name:
        return ""
    key = os.environ.get(name, "").strip()
    if not key:
        raise SetupError(f"The environment variable {name} holds no key", f"Set it: export {name}=...")
    if not key.isascii() or not key.isprintable() or " " in key:
        raise SetupError(f"The environment variable {name} holds more than a key", "Leave out blanks and line ends")
    return key


def _whole(number: Any, least: int) -> bool:
    return isinstance(number, int) and not isinstance(number, bool) and number >= least

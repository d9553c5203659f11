"""Source files, and their embedder: the weighted mean of what an embedder of texts says of their parts."""

from __future__ import annotations

import functools
import io
import platform
import tokenize
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt

import embedders
from embed_code.functions import Part, split
from embedders import BadInput, BaseEmbedder, Decoded, EmbedderSpec, Limits, Modality, Runtime, Status, UsageError
from embedders.base import Forward, Vectors, check_rows
from embedders.batching import cut
from embedders.models.on_another import OnAnother
from embedders.registry import parse

__all__ = ["Code", "Functions", "Source"]

LONGEST_LINE = 10_000
"""Characters: longer ones are data, or code that no person wrote."""
MOST_PARTS = 5_000
"""Functions and classes of a file; the standard library's largest has a tenth of them."""


@dataclass(frozen=True)
class Source:
    """A source file that parses, and its parts in order."""

    text: str
    parts: tuple[Part, ...]


class Code(Modality):
    """Python source: a ``str``, or a ``.py`` file in UTF-8 or the encoding it declares; media is a :class:`Source`.

    What does not parse is ``invalid`` (``CODE_SYNTAX``, with line and reason) and what is white space alone is
    ``empty``. Generated and minified files are ``limit``: more than ``limits.characters``, lines beyond 10,000
    characters, more than 5,000 functions and classes, or nesting deeper than Python follows.
    """

    name: ClassVar[str] = "code"
    suffixes: ClassVar[frozenset[str]] = frozenset({".py"})
    inline: ClassVar[bool] = True
    defaults: ClassVar[tuple[str, ...]] = ("code.functions",)

    @property
    def policy(self) -> Mapping[str, Any]:
        """The grammar, which is that of the Python that runs."""
        return {"grammar": "Python " + ".".join(platform.python_version_tuple()[:2])}

    def decode_content(self, content: bytes, limits: Limits) -> Decoded:
        """Decode as Python would, by byte order mark or declaration."""
        if len(content) > 4 * limits.characters:
            raise BadInput(Status.LIMIT, "CODE_CHARACTERS", f"{len(content)} bytes")
        try:
            text = content.decode(tokenize.detect_encoding(io.BytesIO(content).readline)[0])
        except (SyntaxError, UnicodeDecodeError, LookupError) as error:
            raise BadInput(Status.INVALID, "CODE_ENCODING", str(error)) from error
        return self.accept(text, limits)

    def accept(self, media: Any, limits: Limits) -> Decoded:
        """Parse a ``str``."""
        if not isinstance(media, str):
            raise BadInput(Status.INVALID, "CODE_TYPE", f"{type(media).__name__} is no source code")
        if not media.strip():
            raise BadInput(Status.EMPTY, "CODE_EMPTY", "there is no code")
        for what, found, most in (
            ("characters", len(media), limits.characters),
            ("characters in a line", max(map(len, media.splitlines())), LONGEST_LINE),
        ):
            if found > most:
                raise BadInput(Status.LIMIT, "CODE_CHARACTERS", f"{found:,} {what}; the most are {most:,}")
        try:
            parts = split(media)
        except SyntaxError as error:
            raise BadInput(Status.INVALID, "CODE_SYNTAX", f"line {error.lineno}: {error.msg}") from error
        except ValueError as error:  # null bytes, lone surrogates
            raise BadInput(Status.INVALID, "CODE_SYNTAX", str(error)) from error
        except RecursionError as error:
            raise BadInput(Status.LIMIT, "CODE_NESTED", "it is nested too deeply") from error
        if len(parts) > MOST_PARTS:
            raise BadInput(Status.LIMIT, "CODE_PARTS", f"{len(parts):,} parts; the most are {MOST_PARTS:,}")
        return Decoded(Source(media, parts))


class Batch(NamedTuple):
    """The parts of several files, cut into batches for the embedder below."""

    counts: list[int]
    """Parts per file."""
    weights: npt.NDArray[np.float64]
    """Of each part, file after file."""
    pieces: list[tuple[list[int], Any]]
    """Places among the parts, and a batch of them."""


class Functions(OnAnother):
    """The mean vector of a file's functions and classes, each weighted by how much of it the encoder reads.

    ``encoder`` names any embedder of texts (``text.bert``, with options in brackets), ``weights`` are handed to it.
    Vectors lie in its space, so that words find code; where its have unit length, so have they. The weight is the
    encoder's own cost: tokens, for those that count them. Parts in which it finds nothing are left out.
    """

    def __init__(self, *, encoder: str = "text.bert", weights: str = "") -> None:
        self.encoder, self.weights = encoder, weights

    @functools.cached_property
    def below(self) -> BaseEmbedder:
        """The embedder of single parts; raises UsageError where it takes no texts."""
        found = embedders.create(self.encoder, **({"weights": self.weights} if self.weights else {}))
        if found.spec.modality != "text":
            raise UsageError(f"{self.encoder!r} embeds {found.spec.modality}", "Name an embedder of texts")
        return found

    @property
    def spec(self) -> EmbedderSpec:
        """That of the embedder below, for code. A search by words finds its way by ``anchor``."""
        below = self.below.spec
        anchor = {"name": parse(self.encoder)[0], "options": dict(self.below.options)}
        details = {"pooling": "mean by cost", "anchor": anchor, "below": dict(below.details)}
        return EmbedderSpec("code", below.space, below.dim, below.normalized, details)

    def prepare(self, media: Source) -> list[Any]:
        """What the embedder below makes of each part."""
        samples = []
        for part in media.parts:
            try:
                samples.append(self.below.prepare(part.text))
            except BadInput as bad:
                if bad.status != Status.EMPTY:
                    raise
        if not samples:
            raise BadInput(Status.EMPTY, "CODE_NO_WORDS", "the encoder finds nothing in it")
        return samples

    def cost(self, sample: Sequence[Any]) -> int:
        """That of all parts."""
        return sum(map(self.below.cost, sample))

    def flags(self, sample: Sequence[Any]) -> tuple[str, ...]:
        """Those of any part, and how many parts there are."""
        return (f"parts_{len(sample)}", *dict.fromkeys(flag for part in sample for flag in self.below.flags(part)))

    def collate(self, samples: Sequence[Sequence[Any]]) -> Batch:
        """All parts in batches of their own: a long file has more than one."""
        parts = [part for sample in samples for part in sample]
        costs = [self.below.cost(part) for part in parts]
        pieces = [
            (places, self.below.collate([parts[place] for place in places]))
            for places in cut(costs, self.below.batch_cost)
        ]
        return Batch([len(sample) for sample in samples], np.array(costs, np.float64), pieces)

    def load(self, runtime: Runtime) -> Forward:
        """The embedder below, and the mean over a file's parts."""
        forward, below = self.below.load(runtime), self.below.spec

        def mean(batch: Batch) -> Vectors:
            vectors = np.empty((len(batch.weights), below.dim))
            for places, piece in batch.pieces:
                vectors[places] = check_rows(forward(piece), len(places), below)
            starts = np.cumsum([0, *batch.counts[:-1]])
            means = np.add.reduceat(vectors * batch.weights[:, None], starts)
            means /= np.add.reduceat(batch.weights, starts)[:, None]
            if below.normalized:
                means /= np.maximum(np.linalg.norm(means, axis=1, keepdims=True), np.finfo(np.float64).tiny)
            return means.astype(np.float32)

        return mean

    def examples(self) -> list[str]:
        """One line, one function, and a class with methods."""
        return [
            "print('two red bells')\n",
            'def area(side):\n    """Square metres of a square."""\n    return side * side\n',
            "import math\n\n\nclass Wheel:\n    def __init__(self, radius):\n        self.radius = radius\n\n"
            "    def rim(self):\n        return 2 * math.pi * self.radius\n",
        ]

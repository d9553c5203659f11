"""Models of transformers from a folder or the hub: complete or not at all, quietly, without remote code.

A family of models says what is its own in a :class:`Family`; an embedder of that family is a :class:`Pretrained`.
"""

from __future__ import annotations

import contextlib
import functools
import json
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

from embedders.base import BaseEmbedder
from embedders.errors import SetupError, UsageError
from embedders.models.settings import PREPROCESSING
from embedders.weights import Hub, Local, Seeded, Weights, check_finite, resolve

__all__ = [
    "Family",
    "Pretrained",
    "folder_of",
    "identity_of",
    "load_config",
    "load_model",
    "load_tokenizer",
    "quiet",
    "token_limit",
]

PARAMETERS = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)


ATTENTIONS = ("eager", "sdpa", "flex_attention")
"""Of transformers and torch themselves."""

F = TypeVar("F")
"""What a family must know of a model before its parameters are there."""


@dataclass(frozen=True)
class Family(Generic[F]):
    """How models of one architecture are found, checked and built."""

    architecture: str
    """The bare model is transformers' ``<architecture>Model`` made of an ``<architecture>Config``."""
    published: Mapping[str, tuple[str, F | None]]
    """Hub ids, the commit that is meant by each, and its facts; None where they are read from its files."""
    seeded: str
    """The published model that is built for seeded parameters."""
    shape: Mapping[str, Any] = field(default_factory=dict)
    """Its configuration, where upstream's defaults are others."""
    kinds: tuple[str, ...] = ()
    """Values of ``model_type`` that are read; none for any."""
    described: tuple[str, ...] = ("config.json",)
    """Files that hold the facts, in order of preference."""
    beside: tuple[str, ...] = PREPROCESSING
    """Patterns of what is read besides them."""
    unused: tuple[str, ...] = ()
    """Beginnings of the names of parameters that checkpoints may lack."""

    @property
    def known(self) -> dict[str, Weights]:
        """What the ids mean as weights."""
        return {name: Hub(name, revision) for name, (revision, _) in self.published.items()}


class Pretrained(BaseEmbedder, Generic[F]):
    """An embedder on a model of transformers: subclasses name the family, and how facts are read from a folder.

    ``weights`` leads to a published id, a hub id, a folder in upstream's own format, or a seed. Whatever names a
    published model is held against the facts that are written down for it before its parameters are used.
    """

    family: ClassVar[Family[Any]]
    _option: str
    """``weights`` as it was given."""

    @abstractmethod
    def _read_facts(self, folder: Path) -> F:
        """The facts of the model in ``folder``; raises SetupError where it is of another family."""

    @functools.cached_property
    def _weights(self) -> Weights:
        return resolve(self._option, self.family.known)

    @functools.cached_property
    def _facts(self) -> F:
        return self._expected()

    def _expected(self) -> F:
        """The facts that are written down, and only where there are none those in its files."""
        known = self.family.known
        weights = known[self.family.seeded] if isinstance(self._weights, Seeded) else self._weights
        facts = (facts for name, (_, facts) in self.family.published.items() if known[name] == weights)
        return next(facts, None) or self._found()

    @property
    def _label(self) -> str:
        """What tells this model's space from those of others: the id, the commit, the content, or the seed."""
        return identity_of(self._weights, self.family.known)

    @property
    def weights_identity(self) -> dict[str, Any]:
        """The hub's commit, the folder's SHA-256, or the seed."""
        return self._weights.identity

    def _config(self, folder: Path) -> Any:
        """The configuration in ``folder``; raises SetupError where it is of another kind."""
        config, kinds = load_config(folder), self.family.kinds
        if kinds and config.model_type not in kinds:
            found = f"{self._option!r} is of kind {config.model_type!r}"
            if len(kinds) == 1:
                raise SetupError(f"{found} and not {kinds[0]!r}")
            raise SetupError(found, f"Known: {', '.join(kinds)}")
        return config

    def _model(self) -> Any:
        """The bare model in fp32 on the CPU; raises SetupError where files lack or are not what was expected."""
        family = self.family
        if isinstance(self._weights, Seeded):
            import transformers

            settings, model = (getattr(transformers, family.architecture + part) for part in ("Config", "Model"))
            with quiet(), self._weights.generator():
                return model(settings(**family.shape))
        folder = folder_of(self._weights, also=(*family.described, *family.beside))
        found = self._found()
        if found != self._facts:
            raise SetupError(f"{folder} holds {found}; {self._option!r} is known as {self._facts}")
        return load_model(folder / self._inside(), family.unused)

    def _inside(self) -> str:
        """Where in the folder the model lies."""
        return ""

    def _found(self) -> F:
        return self._read_facts(folder_of(self._weights, self.family.described, self.family.beside))


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep transformers' progress bars and load reports off the terminal; what they report is checked instead."""
    from transformers.utils import logging as upstream

    logging: Any = upstream  # its functions have no types

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    if bars:
        logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


def folder_of(weights: Weights, one_of: Sequence[str] = PARAMETERS, also: Sequence[str] = ()) -> Path:
    """The local folder with a model's files, fetched from the hub where it is not cached; no seeds."""
    if isinstance(weights, Hub):
        return weights.fetch(one_of, also)
    if isinstance(weights, Local) and weights.path.is_dir():
        return weights.path
    place = getattr(weights, "path", weights)
    raise UsageError(f"{place} is no folder", "Give the folder that save_pretrained wrote, with config.json in it")


def identity_of(weights: Weights, known: Mapping[str, Weights]) -> str:
    """A short name for a space: two models have the same one only if their parameters are the same."""
    if isinstance(weights, Seeded):
        return f"random:{weights.seed}"
    for name, pinned in known.items():
        if weights == pinned:
            return name
    if isinstance(weights, Hub):
        return f"{weights.repo}@{str(weights.pinned().revision)[:12]}"
    return f"sha256:{str(weights.identity['sha256'])[:16]}"


def load_config(folder: Path) -> Any:
    """The configuration of the model in ``folder``, with upstream's defaults filled in."""
    from transformers import AutoConfig

    with quiet(), _explained(folder):
        return AutoConfig.from_pretrained(folder, trust_remote_code=False, local_files_only=True)


def load_model(folder: Path, unused: Sequence[str] = ()) -> Any:
    """The bare model in ``folder``, in fp32.

    Raises SetupError where a parameter is missing, which upstream would fill with noise: only those whose name
    begins with one of ``unused`` may be.
    """
    import torch
    from transformers import AutoModel

    asked = getattr(load_config(folder), "_attn_implementation", None)
    if asked not in (None, *ATTENTIONS):  # transformers would fetch a kernel of that name from the hub and run it
        raise SetupError(
            f"{folder} asks for the attention {str(asked)!r}, which is code of its own",
            f"Known: {', '.join(ATTENTIONS)}",
        )
    with quiet(), _explained(folder):
        model, report = AutoModel.from_pretrained(
            folder,
            dtype=torch.float32,
            trust_remote_code=False,
            local_files_only=True,
            output_loading_info=True,
        )
    missing = sorted(name for name in report["missing_keys"] if not name.startswith(tuple(unused)))
    if missing:
        raise SetupError(
            f"{folder} lacks {len(missing)} parameters of its {type(model).__name__}, the first is {missing[0]}",
            "The folder holds the parameters of another model, or a part of them",
        )
    check_finite(dict(model.named_parameters()), folder)
    return model


def load_tokenizer(folder: Path) -> Any:
    """Upstream's tokenizer of the model in ``folder``."""
    from transformers import AutoTokenizer

    with quiet(), _explained(folder):
        return AutoTokenizer.from_pretrained(folder, trust_remote_code=False, local_files_only=True)


def token_limit(folder: Path) -> int | None:
    """How many tokens the tokenizer's settings allow, without loading it; None where they name no limit."""
    path = folder / "tokenizer_config.json"
    limit = json.loads(path.read_text("utf-8")).get("model_max_length") if path.is_file() else None
    # upstream writes 10^30 for no limit
    return int(limit) if limit is not None and limit < 1e9 else None


@contextlib.contextmanager
def _explained(folder: Path) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # transformers raises OSError, ValueError, KeyError, safetensors' own and more
        reason = str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
        raise SetupError(f"{folder} holds no model that transformers can load ({reason})") from error

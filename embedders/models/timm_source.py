"""What two options of ``image.timm`` lead to in timm: an architecture, a checkpoint, a preprocessing.

Everything that timm knows stays there: architectures are its functions, tags its table, checkpoints are converted
by its own filters. What is decided here is where the bytes come from, and that none of them is missing.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from embedders.errors import EmbedError, SetupError, UsageError, nearest
from embedders.models.framing import Framing, of_timm
from embedders.models.pretrained import identity_of
from embedders.weights import Download, Hub, Local, Seeded, Weights, check_finite, resolve

if TYPE_CHECKING:
    import torch

__all__ = ["DEFAULT", "Facts", "Source"]

DEFAULT = "vit_base_patch16_224.augreg2_in21k_ft_in1k"
PINNED = Hub(f"timm/{DEFAULT}", "063c6c38a5d8510b2e57df480445e94b231dad2c")

CONFIG = "config.json"
FILES = ("model.safetensors", "pytorch_model.bin")
"""A repository's checkpoint, in the order in which timm prefers them."""

NESTED = ("state_dict_ema", "model_ema", "state_dict", "model")
"""Where the parameters are in a checkpoint that training wrote, in the order in which timm prefers them."""


@dataclass(frozen=True)
class Facts:
    """What must be known of a model before its parameters are there; ``maps`` counts what its trunk returns."""

    dim: int
    maps: int
    preprocess: Framing


KNOWN = Facts(
    768,
    1,
    Framing((224, 224), (0.5, 0.5, 0.5), (0.5, 0.5, 0.5), "bicubic", scaled=(248, 248), resize_mode="shortest"),
)
"""The facts of the default, written down so that no torch is needed to read its spec."""


@dataclass(frozen=True)
class Source:
    """One model of timm, as yet unloaded; ``config`` is timm's ``pretrained_cfg``, empty for the default."""

    architecture: str
    weights: Weights
    space: str
    config: Mapping[str, Any] = field(default_factory=dict, hash=False)
    arguments: Mapping[str, Any] = field(default_factory=dict, hash=False)

    @classmethod
    def of(cls, model: str, weights: str | None) -> Source:
        """Settle a pair of options without reading weights.

        Raises UsageError for an architecture or tag that does not exist, and SetupError for a missing path or a
        folder without configuration.
        """
        architecture, _, tag = model.partition(".")
        if DEFAULT in (model, f"{model}.{weights}") and weights in (None, DEFAULT.partition(".")[2]):
            return cls(architecture, PINNED, f"timm:{DEFAULT}")
        import timm

        upstream: Any = timm  # half of it has no types
        if not timm.is_model(architecture):
            raise UsageError(f"timm has no model {architecture!r}", _close(architecture, timm.list_models()))
        tags = [name.partition(".")[2] for name in timm.list_pretrained(f"{architecture}.*")]
        if tag and tag not in tags:
            raise UsageError(f"{architecture!r} has no weights {tag!r}", nearest(tag, tags))
        if weights in tags and tag in ("", weights):
            tag, weights = str(weights), None
        elif weights in tags:
            raise UsageError(
                f"The model is {model!r}, and the weights are {weights!r}", "Leave one of the tags out"
            )
        named: dict[str, Any] = upstream.models.get_pretrained_cfg(f"{architecture}.{tag}".rstrip(".")).to_dict()
        if weights is None:
            return cls._tagged(architecture, named)
        try:
            source = resolve(weights, {})
        except UsageError as error:
            cure = f"{nearest(weights, tags)}; or a file, a folder, a hub id (org/name) or random:SEED"
            raise UsageError(f"{architecture!r} has no weights {weights!r}", cure) from error
        if isinstance(source, Seeded) or (isinstance(source, Local) and source.path.is_file()):
            return cls(architecture, source, f"timm:{architecture}/{identity_of(source, {})}", named)
        return cls._from_folder(source)

    @functools.cached_property
    def facts(self) -> Facts:
        """Dimension and preprocessing; measured on a model without numbers, but for the default."""
        if not self.config:
            return KNOWN
        import timm.data
        import torch

        upstream: Any = timm.data  # it has no types
        config = dict(self.config)
        if config.get("fixed_input_size"):
            config.pop("test_input_size", None)  # its positions are for the one size alone
        preprocess = of_timm(upstream.resolve_data_config(pretrained_cfg=config, use_test_size=True))
        with _quiet(), _explained(self.architecture), torch.device("meta"), torch.inference_mode():
            model = self._create().eval()
            maps = model.forward_features(torch.zeros(1, 3, *preprocess.size))
            found = model.forward_head(maps, pre_logits=True)
            if found.ndim != 2:
                raise ValueError(f"its features have the shape {tuple(found.shape)}")
        return Facts(int(found.shape[1]), len(maps) if isinstance(maps, tuple | list) else 1, preprocess)

    def build(self) -> torch.nn.Module:
        """The model on the CPU with its weights, its classifier unused.

        Raises SetupError where the weights are not to be had, or lack a parameter that timm asks for.
        """
        if isinstance(self.weights, Seeded):
            with _quiet(), self.weights.generator(), _explained(self.architecture):
                return self._create()  # type: ignore[no-any-return]  # timm has no types
        path = self._checkpoint()
        with _quiet(), _explained(str(path)):
            classes = _classes(path, self.config) if isinstance(self.weights, Local) else None
            # only with as many classes as the checkpoint has does timm insist on every parameter
            changed = {} if classes is None else {"num_classes": classes}
            overlay = {"file": str(path), "source": "", "custom_load": False, **changed}
            model = self._create(pretrained=True, pretrained_cfg_overlay=overlay, **changed)
        check_finite(dict(model.named_parameters()), path)
        return model  # type: ignore[no-any-return]  # timm has no types

    def _create(self, **more: Any) -> Any:
        import timm

        config = dict(self.config) or None
        name = self.architecture if config else DEFAULT
        return timm.create_model(name, pretrained_cfg=config, **{**self.arguments, **more})

    def _checkpoint(self) -> Path:
        if isinstance(self.weights, Download):
            return self.weights.fetch()
        if isinstance(self.weights, Local) and self.weights.path.is_file():
            return self.weights.path
        folder = (
            self.weights.fetch(FILES) if isinstance(self.weights, Hub) else getattr(self.weights, "path", Path())
        )
        for name in FILES:
            if (folder / name).is_file():
                return Path(folder / name)
        raise SetupError(f"{folder} holds none of {', '.join(FILES)}", "It is no folder that timm wrote")

    @classmethod
    def _tagged(cls, architecture: str, config: Mapping[str, Any]) -> Source:
        tag, hub, url = config.get("tag"), config.get("hf_hub_id"), config.get("url")
        if not hub and not url:
            raise UsageError(
                f"timm has no weights for {architecture!r}", "Give a file, a folder, a hub id or random:SEED"
            )
        name = f"{architecture}.{tag or ''}".rstrip(".")
        weights: Weights = PINNED if name == DEFAULT else Hub(str(hub))
        if not hub:
            stem = str(url).rsplit("/", 1)[-1].rsplit(".", 1)[0]
            _, dash, end = stem.rpartition("-")
            checksum = dash and len(end) >= 8 and not set(end) - set("0123456789abcdef")
            weights = Download(str(url), end if checksum else None)
        return cls(architecture, weights, f"timm:{name}", config)

    @classmethod
    def _from_folder(cls, weights: Weights) -> Source:
        from timm.models._hub import load_model_config_from_path

        folder = weights.fetch((CONFIG,)) if isinstance(weights, Hub) else getattr(weights, "path", Path())
        try:
            config, architecture, arguments = load_model_config_from_path(folder)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise SetupError(
                f"{folder / CONFIG} is missing or no configuration of timm ({type(error).__name__}: {error})",
                f"Such a folder holds {CONFIG} beside {FILES[0]}; for a lone checkpoint pass weights=FILE",
            ) from error
        return cls(architecture, weights, f"timm:{identity_of(weights, {})}", config, arguments)


def _classes(path: Path, config: Mapping[str, Any]) -> int | None:
    """How many classes a checkpoint tells apart, none if it has no classifier; None where that cannot be told."""
    from timm.models import load_state_dict

    state: Mapping[str, Any] = load_state_dict(str(path))
    names = config.get("classifier")
    if not names:
        return None
    first = names if isinstance(names, str) else names[0]
    weight = state.get(f"{first}.weight")
    if weight is None:
        return 0 if f"{first}.bias" not in state else None
    offset = int(config.get("label_offset") or 0)
    known = config.get("num_classes", 0)
    return int(known) if len(weight) == known + offset else len(weight)


def _close(name: str, known: list[str]) -> str:
    """The nearest of a thousand names, not all of them."""
    from difflib import get_close_matches

    found = get_close_matches(name, known, n=3, cutoff=0.5)
    return f"Did you mean {' or '.join(found)}?" if found else "timm.list_models() names them all"


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep timm's log off stderr; what it would report is checked instead."""
    log = logging.getLogger("timm")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(level)


@contextlib.contextmanager
def _explained(name: str) -> Iterator[None]:
    try:
        yield
    except EmbedError:
        raise
    except Exception as error:  # timm, torch and safetensors raise their own
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise SetupError(
            f"timm cannot load {name} as a source of features ({type(error).__name__}: {reason})",
            "Check that the weights are whole and belong to this model",
        ) from error

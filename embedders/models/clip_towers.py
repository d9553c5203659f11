"""What two options of a CLIP embedder lead to in open_clip: an architecture, a checkpoint, a preprocessing.

Everything that open_clip knows stays there: architectures are its JSON files, tags its table, checkpoints are
loaded and converted by its factory. What is decided here is where the bytes come from, which is pinned, offline
first and without pickles, and that a tower stands alone.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import logging
import os
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from embedders.errors import EmbedError, SetupError, UsageError, nearest
from embedders.models.pixels import Preprocess
from embedders.weights import Download, Hub, Local, Seeded, Weights, resolve

if TYPE_CHECKING:
    import torch

__all__ = ["DEFAULT_MODEL", "DEFAULT_TAG", "Source"]

DEFAULT_MODEL = "ViT-B-32"
DEFAULT_TAG = "laion2b_s34b_b79k"
PINNED = Hub("laion/CLIP-ViT-B-32-laion2B-s34B-b79K", "1a25a446712ba5ee05982a381eed697ef9b435cf")

CONFIG = "open_clip_config.json"
FILES = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")
"""A repository's checkpoint, in the order in which open_clip prefers them."""

DEFAULTS: Mapping[str, Any] = {
    "mean": (0.48145466, 0.4578275, 0.40821073),
    "std": (0.26862954, 0.26130258, 0.27577711),
    "interpolation": "bicubic",
    "resize_mode": "shortest",
    "fill_color": 0,
}
"""``open_clip.transform.PreprocessCfg``, for checkpoints that come without their own, and of the default tag;
written down so that the default's spec needs no torch."""


@dataclass(frozen=True)
class Source:
    """One model of open_clip with both its towers, as yet unloaded."""

    name: str
    """The architecture's name; for a folder or a hub id, which bring their own, what follows ``open_clip:``."""
    weights: Weights
    space: str
    config: Mapping[str, Any]
    """open_clip's ``model_cfg``."""
    preprocess: Preprocess
    files: tuple[str, ...] = FILES
    folder: Path | None = None

    @classmethod
    def of(cls, model: str, weights: str) -> Source:
        """Settle a pair of options without reading weights.

        Raises UsageError for an architecture or tag that does not exist, and for a tag that was trained with the
        other activation; SetupError for a missing path or a folder without configuration.
        """
        name = model.replace("/", "-")
        if (name, weights) == (DEFAULT_MODEL, DEFAULT_TAG):
            return cls._named(name, PINNED, weights, {})
        if re.fullmatch(r"[\w-]+", weights):
            tagged = cls._tagged(name, weights)
            if tagged is not None:
                return tagged
        try:
            source = resolve(weights, {})
        except UsageError as error:
            _architecture(name)
            raise UsageError(f"{name!r} has no weights {weights!r}", _other_weights(name, weights)) from error
        if isinstance(source, Seeded):
            return cls._named(name, source, weights, {})
        if isinstance(source, Local) and source.path.is_file():
            return cls._named(name, source, source.identity["sha256"], {})
        if isinstance(source, Hub):
            small_files = ("*.json", "*.txt", "*.model")
            return cls._from_folder(source, source.fetch((CONFIG,), also=small_files), weights)
        assert isinstance(source, Local)
        return cls._from_folder(source, source.path, f"folder/{source.identity['sha256']}")

    def build(self) -> torch.nn.Module:
        """The model on the CPU with its weights, both towers; raises SetupError where they are not to be had."""
        with _quiet():
            import open_clip

            if isinstance(self.weights, Seeded):
                with self.weights.generator(), _explained(self.name):
                    return open_clip.create_model(self.name, pretrained_text=False)  # type: ignore[no-any-return]
            name, checkpoint = self.name, self._checkpoint()
            if checkpoint.is_dir():
                name, pretrained = f"local-dir:{checkpoint}", None
            else:
                pretrained = str(checkpoint)
            with _explained(str(checkpoint)):
                # without weights open_clip would log a warning and return random parameters
                built = open_clip.create_model(name, pretrained, require_pretrained=True, weights_only=True)
        return built  # type: ignore[no-any-return]  # open_clip has no types

    def tokenizer(self) -> Any:
        """open_clip's tokenizer of the model; raises SetupError where its vocabulary is not to be had."""
        text = self.config["text_cfg"]
        plain = not text.get("hf_tokenizer_name") and "siglip" not in self.name.lower()
        with _quiet(), _explained(f"tokenizer of {self.name}"):
            if plain and (found := _file_of("tokenizer.py")) is not None:
                spec: Any = importlib.util.spec_from_file_location("open_clip_tokenizer", found)
                module = importlib.util.module_from_spec(spec)
                spec.loader.exec_module(module)
                given = {"context_length": text.get("context_length", 77), **(text.get("tokenizer_kwargs") or {})}
                return module.SimpleTokenizer(**given)
            import open_clip

            return open_clip.get_tokenizer(f"local-dir:{self.folder}" if self.folder else self.name)

    def _checkpoint(self) -> Path:
        if isinstance(self.weights, Download):
            return self.weights.fetch()
        if isinstance(self.weights, Local):
            return self.weights.path
        assert isinstance(self.weights, Hub)
        folder = self.weights.fetch(self.files, also=(CONFIG,) if self.folder else ())
        return folder if self.folder else next(folder / n for n in self.files if (folder / n).is_file())

    @classmethod
    def _named(cls, name: str, weights: Weights, label: str, given: Mapping[str, Any]) -> Source:
        config = _architecture(name)
        return cls(name, weights, f"open_clip:{name}/{label}", config, _preprocess(config, given))

    @classmethod
    def _from_folder(cls, weights: Weights, folder: Path, label: str) -> Source:
        path = folder / CONFIG
        try:
            content = json.loads(path.read_text("utf-8"))
            config = content["model_cfg"]
            preprocess = _preprocess(config, content.get("preprocess_cfg") or {})
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise SetupError(
                f"{path} is missing or no configuration of open_clip ({type(error).__name__}: {error})",
                f"Such a folder holds {CONFIG} beside {FILES[0]}; for a lone checkpoint pass weights=FILE",
            ) from error
        return cls(label, weights, f"open_clip:{label}", config, preprocess, folder=folder)

    @classmethod
    def _tagged(cls, name: str, tag: str) -> Source | None:
        from open_clip.pretrained import get_pretrained_cfg

        given = get_pretrained_cfg(name, tag)
        if not given:
            return None
        config = _architecture(name)
        trained, built = bool(given.get("quick_gelu")), bool(config.get("quick_gelu"))
        if trained != built:
            other = name + "-quickgelu" if trained else name.removesuffix("-quickgelu")
            raise UsageError(
                f"The weights {tag!r} were trained {'with' if trained else 'without'} QuickGELU, and {name!r} is "
                f"built {'with' if built else 'without'} it: the vectors would be wrong",
                f"Take model={other!r}",
            )
        files, weights = FILES, _address(given)
        if given.get("hf_hub"):
            file = os.path.split(given["hf_hub"])[1]
            if file and file not in FILES:
                safe = (file[:-4] + ".safetensors",) if file.endswith((".bin", ".pth")) else ()
                files = (*safe, file)
        label = tag.lower().replace("-", "_")
        return cls(name, weights, f"open_clip:{name}/{label}", config, _preprocess(config, given), files)


def keep_tower(model: torch.nn.Module, tower: str) -> torch.nn.Module:
    """The model with ``encode_image`` or ``encode_text`` alone, so that the other tower's memory is free.

    open_clip's plain CLIP has the text tower's parts as its own, beside ``visual``; other classes have ``text``,
    and CoCa a decoder that no embedding needs.
    """
    for name, _ in list(model.named_children()):
        if (name == "visual") != (tower == "image") or name == "text_decoder":
            delattr(model, name)
    own = [name for name, _ in (*model.named_parameters(recurse=False), *model.named_buffers(recurse=False))]
    for name in own:
        if tower == "image" or name in ("logit_scale", "logit_bias"):
            delattr(model, name)
    return model


def _architecture(name: str) -> Mapping[str, Any]:
    """open_clip's configuration of a model."""
    if (found := _file_of("model_configs", f"{name}.json")) is not None:
        return dict(json.loads(found.read_text("utf-8")))
    import open_clip

    config = open_clip.get_model_config(name) if ":" not in name else None
    if config is None:
        raise UsageError(f"open_clip has no model {name!r}", nearest(name, open_clip.list_models()))
    return dict(config)


def _file_of(*place: str) -> Path | None:
    """A file of open_clip's package, as long as nobody has imported that: it takes seconds, and all of torchvision.

    Once it is imported somebody may have changed what it has.
    """
    if "open_clip" in sys.modules:
        return None
    package = importlib.util.find_spec("open_clip")
    places = (package.submodule_search_locations if package else None) or ()
    return next((path for folder in places if (path := Path(folder, *place)).is_file()), None)


def _preprocess(config: Mapping[str, Any], given: Mapping[str, Any]) -> Preprocess:
    values = {**DEFAULTS, **{key: given[key] for key in DEFAULTS if given.get(key) is not None}}
    size = config["vision_cfg"].get("image_size", 224)
    height, width = size if isinstance(size, list | tuple) else (size, size)
    interpolation, resize_mode = values["interpolation"], values["resize_mode"]
    if interpolation not in ("bicubic", "bilinear", "random") or resize_mode not in (
        "shortest",
        "longest",
        "squash",
    ):
        raise ValueError(f"unknown preprocessing {interpolation!r}, {resize_mode!r}")
    # upstream resizes bicubic where the choice is random, and for shortest where the input is not square
    bilinear = interpolation == "bilinear" and (height == width or resize_mode != "shortest")
    mean, std = (tuple(v) if isinstance(v, list | tuple) else (v,) * 3 for v in (values["mean"], values["std"]))
    return Preprocess(
        size=(height, width),
        mean=mean,
        std=std,
        interpolation="bilinear" if bilinear else "bicubic",
        resize_mode=resize_mode,
        fill=values["fill_color"],
    )


def _address(given: Mapping[str, Any]) -> Weights:
    """Where a tag's checkpoint lies: the hub where it is there, else an address whose name holds its checksum."""
    if given.get("hf_hub"):
        return Hub(os.path.split(given["hf_hub"])[0])
    url = str(given["url"])
    if "openaipublic" in url:
        return Download(url, url.split("/")[-2])
    stem = url.rsplit("/", 1)[-1].rsplit(".", 1)[0]
    return Download(url, stem.rsplit("-", 1)[-1] if "mlfoundations" in url else None)


def _other_weights(name: str, weights: str) -> str:
    """What to take instead: the twin with the other activation where that has the tag, else the nearest tag."""
    from open_clip.pretrained import is_pretrained_cfg, list_pretrained_tags_by_model

    twin = name.removesuffix("-quickgelu") if name.endswith("-quickgelu") else name + "-quickgelu"
    if is_pretrained_cfg(twin, weights):
        return f"The model {twin!r} has them"
    known = nearest(weights, list_pretrained_tags_by_model(name))
    return f"{known}; or a file, a folder, a hub id (org/name) or random:SEED"


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep open_clip, which logs through the root logger, from giving it a handler on stderr."""
    handler = logging.NullHandler()
    logging.getLogger().addHandler(handler)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(handler)


@contextlib.contextmanager
def _explained(name: str) -> Iterator[None]:
    try:
        yield
    except EmbedError:
        raise
    except Exception as error:  # open_clip, torch, safetensors, transformers and the hub raise their own
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise SetupError(
            f"open_clip could not load the {name} ({type(error).__name__}: {reason})",
            "Check that the weights are whole and belong to this model, and that its tokenizer is in the cache",
        ) from error

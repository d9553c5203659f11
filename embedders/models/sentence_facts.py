"""What a folder of sentence-transformers says of its model before any of its parameters are there.

Folders that bring code of their own or borrow files from elsewhere are refused: the library would run the one, and
the other could change without a trace.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from embedders.errors import SetupError
from embedders.models.pretrained import ATTENTIONS, PARAMETERS, folder_of, token_limit
from embedders.models.sentence_folder import FILES
from embedders.models.sentence_library import load_library
from embedders.weights import Weights

__all__ = ["Facts", "Sound", "complete_folder", "read_facts", "read_sound"]

OWN = "sentence_transformers."
TRANSFORMERS = ("Transformer", "CLIPModel")
ELSEWHERE = ("tokenizer_name_or_path", "processor_name")


@dataclass(frozen=True)
class Facts:
    """What a folder says before its parameters are there."""

    modules: tuple[tuple[str, str], ...]
    """Kind and relative folder of each; none for a plain model of transformers."""
    dim: int
    normalized: bool
    max_tokens: int | None
    """Special tokens included; None where the folder names no limit."""
    prompts: Mapping[str, str] = field(default_factory=dict)
    default_prompt: str = ""

    @property
    def first(self) -> tuple[str, str]:
        """Kind and folder of the module that takes the inputs."""
        return self.modules[0] if self.modules else ("Transformer", "")


@dataclass(frozen=True)
class Sound:
    """What a model's processor takes: the rate in Hz, and the seconds after which it would cut or choose itself."""

    rate: int
    seconds: float | None


def read_facts(weights: Weights) -> Facts:
    """What the folder says; without torch where its settings name the vectors' length, else by loading it.

    Raises SetupError for a folder of another kind, and for one that brings or borrows code or files.
    """
    folder = folder_of(weights, one_of=("modules.json", "config.json"), also=FILES)
    overall = _json(folder / "config_sentence_transformers.json")
    kind = overall.get("model_type", "SentenceTransformer")
    if kind != "SentenceTransformer":
        raise SetupError(f"{folder} holds a {kind}, which gives no vector per input")
    modules = tuple(_modules(folder))
    _check(folder, modules)
    prompts = {"query": "", "document": "", **{k: v or "" for k, v in (overall.get("prompts") or {}).items()}}
    return Facts(
        modules=modules,
        dim=_dim(folder, modules) or _asked_dim(complete_folder(weights, modules)),
        normalized=bool(modules) and modules[-1][0] == "Normalize",
        max_tokens=_max_tokens(folder, *(modules[0] if modules else ("Transformer", ""))),
        prompts=prompts,
        default_prompt=prompts.get(overall.get("default_prompt_name") or "", ""),
    )


def complete_folder(weights: Weights, modules: tuple[tuple[str, str], ...]) -> Path:
    """The folder with everything the modules need, fetched from the hub where it is not cached."""
    kind, path = modules[0] if modules else ("Transformer", "")
    if kind not in (*TRANSFORMERS, "StaticEmbedding"):
        return folder_of(weights, one_of=("modules.json",), also=("*",))
    place = f"{path}/" if path else ""
    return folder_of(weights, one_of=[place + name for name in PARAMETERS], also=FILES)


def read_sound(folder: Path) -> Sound:
    """What the processor in ``folder`` takes; raises SetupError where it takes no sound."""
    for name in ("processor_config.json", "preprocessor_config.json"):
        settings = _json(folder / name)
        for found in (settings, *(value for value in settings.values() if isinstance(value, dict))):
            if "sampling_rate" in found:
                # Whisper's, which cuts there; CLAP's, which would take a piece by chance
                seconds = found.get("chunk_length") or found.get("max_length_s")
                return Sound(int(found["sampling_rate"]), float(seconds) if seconds else None)
    raise SetupError(f"{folder} has no processor with a sampling rate: its model takes no sound")


def _modules(folder: Path) -> Iterator[tuple[str, str]]:
    for module in _json(folder / "modules.json") or ():
        kind, path = str(module["type"]), str(module["path"])
        if not kind.startswith(OWN):
            raise SetupError(f"{folder} brings code of its own, {kind}, which is not run")
        if Path(path).is_absolute() or ".." in Path(path).parts:
            raise SetupError(f"{folder / 'modules.json'} leads out of its folder: {path}")
        yield kind.rsplit(".", 1)[-1], path


def _check(folder: Path, modules: tuple[tuple[str, str], ...]) -> None:
    for kind, path in modules or (("Transformer", ""),):
        place = folder / path
        if (place / "adapter_config.json").is_file():
            raise SetupError(f"{place} is an adapter for a model elsewhere", "Merge the two and save the result")
        if kind == "Dense":
            activation = str(_json(place / "config.json").get("activation_function", "torch.nn.Tanh"))
            if not activation.startswith("torch."):  # the library would take another one in its place
                raise SetupError(f"The Dense module in {place} brings code of its own, {activation}")
        if kind in TRANSFORMERS:
            settings = _transformer(place)
            asked = [*_attentions(_json(place / "config.json")), *_attentions(settings)]
            strange = [name for name in asked if name not in (None, *ATTENTIONS)]
            if strange:  # it would be fetched from the hub and run
                raise SetupError(f"{place} asks for the attention {strange[0]!r}, which is code of its own")
            borrowed = [settings[name] for name in ELSEWHERE if settings.get(name)]
            if borrowed:
                raise SetupError(f"{place} borrows files from {borrowed[0]!r}", "Save the model with its processor")


def _attentions(settings: Any) -> Iterator[Any]:
    """Every attention that settings name, at whatever depth: models in models have their own."""
    if isinstance(settings, dict):
        for name, value in settings.items():
            if "attn_implementation" in name:
                yield from value.values() if isinstance(value, dict) else [value]
            yield from _attentions(value)


def _dim(folder: Path, modules: tuple[tuple[str, str], ...]) -> int | None:
    """The vectors' length, as the last module that decides it says; None where only the library can tell."""
    for kind, path in reversed(modules):
        settings = _json(folder / path / "config.json")
        if kind == "Pooling":
            width = settings.get("embedding_dimension", settings.get("word_embedding_dimension"))
            modes = settings.get("pooling_mode", "mean")
            legacy = sum(bool(on) for name, on in settings.items() if name.startswith("pooling_mode_"))
            return int(width) * (legacy or (1 if isinstance(modes, str) else len(modes))) if width else None
        if kind == "Dense":
            return int(settings["out_features"])
        if kind == "CLIPModel" or _transformer(folder / path).get("module_output_name") == "sentence_embedding":
            width = settings.get("projection_dim", settings.get("hidden_size"))
            return int(width) if width else None
        if kind == "StaticEmbedding":
            return _static_dim(folder / path / "model.safetensors")
        if kind not in ("Normalize", "Dropout", "LayerNorm"):
            return None
    return None


def _static_dim(file: Path) -> int | None:
    if not file.is_file():
        return None
    from safetensors import safe_open

    with safe_open(file, framework="numpy") as tensors:
        name = next((name for name in ("embedding.weight", "embeddings") if name in tensors.keys()), None)  # noqa: SIM118  # no dict
        return int(tensors.get_slice(name).get_shape()[1]) if name else None


def _asked_dim(folder: Path) -> int:
    found = load_library(folder).get_embedding_dimension()
    if not found:
        raise SetupError(f"{folder} does not say how long its vectors are", "It ends in a module without a length")
    return int(found)


def _max_tokens(folder: Path, kind: str, path: str) -> int | None:
    place = folder / path
    if kind not in TRANSFORMERS:
        return None
    settings = _transformer(place)
    asked = settings.get("max_seq_length") or (settings.get("processor_kwargs") or {}).get("model_max_length")
    if asked:
        return int(asked)
    config = _json(place / "config.json")
    positions = config.get("max_position_embeddings")
    limits = [token_limit(place), positions if positions and positions > 0 else None]
    return min((limit for limit in limits if limit is not None), default=None)


def _transformer(place: Path) -> dict[str, Any]:
    found = sorted(place.glob("sentence_*_config.json"))
    settings: dict[str, Any] = _json(found[0]) if found else {}
    return settings


def _json(path: Path) -> Any:
    if not path.is_file():
        return {}
    try:
        return json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise SetupError(f"{path} is damaged ({error})", "Fetch the folder again") from error

"""What a folder of sentence-transformers says about turning token states into one vector.

Reads the layouts of old and new versions: ``modules.json`` lists the modules in order, each with a folder of its
own. A folder without it is a plain model of transformers, pooled as sentence-transformers would: mean, not
normalised.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from embedders.errors import SetupError
from embedders.weights import read_state

if TYPE_CHECKING:
    import torch

__all__ = ["FILES", "Projection", "Recipe", "load_projection", "read_recipe"]

FILES = ("*.json", "*.txt", "*.model", "[0-9]_*/*")
"""Patterns of everything in such a folder but the parameters of the transformer itself."""

ACTIVATIONS = ("GELU", "Identity", "ReLU", "SiLU", "Sigmoid", "Tanh")
POOLINGS = {"mean": "mean", "cls": "cls", "lasttoken": "last"}
LEGACY_POOLINGS = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}

# Settings of the transformer module that change vectors and are not followed here.
UNFOLLOWED = (
    *(f"{kind}_{form}" for kind in ("model", "tokenizer", "processor", "config") for form in ("args", "kwargs")),
    "processing_kwargs",
    "query_expansion",
)


@dataclass(frozen=True)
class Projection:
    """A linear layer behind the pooling: its folder, relative, and its activation."""

    folder: str
    dim: int
    activation: str


@dataclass(frozen=True)
class Recipe:
    """From token states to a vector: ``pooling``, then ``projections``, then unit length if ``normalize``."""

    transformer: str = ""
    """The folder of the transformer, relative."""
    pooling: str = "mean"
    include_prompt: bool = True
    """Whether the prompt's tokens are pooled too."""
    projections: tuple[Projection, ...] = ()
    normalize: bool = False
    prompt: str = ""
    max_tokens: int | None = None
    lower: bool = False
    """Whether the tokenizer is made to lower-case its input."""


def read_recipe(folder: Path) -> Recipe:
    """The recipe in ``folder``; raises SetupError, naming it, for a module or a setting that is not known here."""
    if not (folder / "modules.json").is_file():
        return Recipe()
    modules = [(str(module["type"]), str(module["path"])) for module in _json(folder / "modules.json")]
    own = "sentence_transformers."
    names = [kind.rsplit(".", 1)[-1] if kind.startswith(own) else kind for kind, _ in modules]
    dense, last = ["Dense"] * names.count("Dense"), ["Normalize"] * ("Normalize" in names)
    expected = ["Transformer", "Pooling", *dense, *last]
    if names != expected:
        known = "a Transformer, a Pooling, any number of Dense, and a Normalize, in this order"
        raise SetupError(f"{folder} is made of {', '.join(names)}; what can be followed is {known}")
    paths = [path for _, path in modules]
    if any(Path(path).is_absolute() or ".." in Path(path).parts for path in paths):
        raise SetupError(f"{folder / 'modules.json'} leads out of its folder: {', '.join(paths)}")
    settings = _transformer(folder / paths[0])
    pooling, include_prompt = _pooling(folder / paths[1])
    overall = _json(folder / "config_sentence_transformers.json")
    return Recipe(
        transformer=paths[0],
        pooling=pooling,
        include_prompt=include_prompt,
        projections=tuple(_projection(folder, path) for path in paths[2 : 2 + len(dense)]),
        normalize="Normalize" in names,
        prompt=(overall.get("prompts") or {}).get(overall.get("default_prompt_name")) or "",
        max_tokens=settings.get("max_seq_length"),
        lower=bool(settings.get("do_lower_case", False)),
    )


def load_projection(folder: Path, projection: Projection) -> torch.nn.Module:
    """The linear layer with its activation, in fp32."""
    import torch

    place = folder / projection.folder
    files = [place / name for name in ("model.safetensors", "pytorch_model.bin")]
    file = next((file for file in files if file.is_file()), None)
    if file is None:
        raise SetupError(f"{place} has no parameters", "Fetch the whole folder again")
    state = {name.removeprefix("linear."): value.float() for name, value in read_state(file).items()}
    try:
        rows, columns = state["weight"].shape
        linear = torch.nn.Linear(columns, rows, bias="bias" in state)
        linear.load_state_dict(state)
    except (KeyError, ValueError, RuntimeError) as error:
        raise SetupError(f"{file} holds no linear layer ({error})") from error
    return torch.nn.Sequential(linear, getattr(torch.nn, projection.activation)())


def _transformer(folder: Path) -> dict[str, Any]:
    found = sorted(folder.glob("sentence_*_config.json"))
    settings: dict[str, Any] = _json(found[0]) if found else {}
    followed = {
        "transformer_task": settings.get("transformer_task", "feature-extraction") == "feature-extraction",
        "module_output_name": settings.get("module_output_name", "token_embeddings") == "token_embeddings",
        "modality_config": "message" not in settings.get("modality_config", {}),
        **{name: not settings.get(name) for name in UNFOLLOWED},
    }
    wrong = [name for name, as_expected in followed.items() if not as_expected]
    if wrong:
        raise SetupError(f"{found[0]} sets {wrong[0]} to {settings[wrong[0]]!r}, which cannot be followed")
    return settings


def _pooling(folder: Path) -> tuple[str, bool]:
    settings = _json(folder / "config.json")
    found = settings.get("pooling_mode")
    if found is None:
        found = [mode for name, mode in LEGACY_POOLINGS.items() if settings.get(name)] or "mean"
    modes: Sequence[str] = [found] if isinstance(found, str) else found
    if len(modes) != 1 or modes[0] not in POOLINGS:
        raise SetupError(
            f"{folder / 'config.json'} asks for the pooling {'+'.join(modes)}",
            f"Known: {', '.join(POOLINGS)}",
        )
    return POOLINGS[modes[0]], bool(settings.get("include_prompt", True))


def _projection(folder: Path, path: str) -> Projection:
    settings = _json(folder / path / "config.json")
    function = str(settings.get("activation_function", "torch.nn.modules.activation.Tanh"))
    activation = function.rsplit(".", 1)[-1]
    known = function.startswith("torch.nn.") and activation in ACTIVATIONS
    ends = (settings.get("module_input_name"), settings.get("module_output_name"))
    plain = all(end in (None, "sentence_embedding") for end in ends)
    if not known or not plain or settings.get("use_residual"):
        raise SetupError(f"The Dense module in {folder / path} cannot be followed: {settings}")
    return Projection(path, int(settings["out_features"]), activation)


def _json(path: Path) -> Any:
    if not path.is_file():
        return {}
    try:
        return json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise SetupError(f"{path} is damaged ({error})", "Fetch the folder again") from error

"""Models of transformers from a folder or the hub: complete or not at all, quietly, without remote code."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from embedders.errors import SetupError, UsageError
from embedders.weights import Hub, Local, Seeded, Weights, check_finite

__all__ = ["folder_of", "identity_of", "load_config", "load_model", "load_tokenizer", "quiet", "token_limit"]

PARAMETERS = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)


ATTENTIONS = ("eager", "sdpa", "flex_attention")
"""Of transformers and torch themselves."""


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

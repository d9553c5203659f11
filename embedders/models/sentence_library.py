"""Models of sentence-transformers, loaded and run by the library itself.

The library is trusted to compute, and not to be careful: parameters that are missing would be filled with noise,
and a text that looks like the address of a picture would be fetched.
"""

from __future__ import annotations

import contextlib
import logging
import re
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from embedders.errors import SetupError
from embedders.models.pretrained import quiet
from embedders.weights import check_finite

if TYPE_CHECKING:
    import torch
    from sentence_transformers import SentenceTransformer

    from embedders.runtime import Runtime

__all__ = ["load_library", "pads_harmlessly", "run_modules"]

TOGETHER = ("feature-extraction", "fill-mask")
"""Tasks whose models give every token the same state whatever padding stands behind it."""


def load_library(folder: Path) -> SentenceTransformer:
    """The library's model on the CPU in fp32.

    Raises SetupError where the package is missing, and for a folder that it cannot load whole.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its dependencies call one another deprecated
        try:
            from sentence_transformers import SentenceTransformer
        except ModuleNotFoundError as error:
            raise SetupError(
                f"The package {error.name!r} is missing",
                "Install it: pip install 'multimodal-embedders[sentence]'",
            ) from error
        import torch

        with quiet(), _newly_made() as missing:
            try:
                model = SentenceTransformer(
                    str(folder),
                    device="cpu",
                    trust_remote_code=False,
                    local_files_only=True,
                    model_kwargs={"dtype": torch.float32},
                )
            except Exception as error:  # the library passes on whatever its parts raise
                reason = str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
                raise SetupError(
                    f"{folder} holds no model that sentence-transformers can load ({reason})"
                ) from error
    pooled = getattr(model[0], "module_output_name", "token_embeddings") == "token_embeddings"
    lacking = [name for name in missing if not (pooled and name.startswith("pooler."))]
    if lacking:
        raise SetupError(
            f"{folder} lacks {len(lacking)} kinds of parameters, the first is {lacking[0]}",
            "The folder holds the parameters of another model, or a part of them",
        )
    check_finite(dict(model.named_parameters()), folder)
    return model.float()


def pads_harmlessly(model: SentenceTransformer) -> bool:
    """Make the model pad behind its inputs, where every token keeps its place; False where it cannot be made to."""
    from sentence_transformers.base.modules import Transformer

    inner = [module for module in model.modules() if isinstance(module, Transformer)]
    if not all(module.transformer_task in TOGETHER for module in inner):
        return False
    for module in inner:
        if module.tokenizer is not None:
            module.tokenizer.padding_side = "right"
    return True


def run_modules(
    model: SentenceTransformer, runtime: Runtime, modality: str, prompt: str
) -> Callable[[list[Any]], torch.Tensor]:
    """Inputs of one modality, as the library takes them, to ``(n, dim)`` float32 on the runtime's device.

    What makes states of the inputs runs in the runtime's precision; pooling and all behind it in fp32.
    """
    import torch
    from sentence_transformers.util import batch_to_device

    device = torch.device(runtime.device)
    plain = [kind for kind in model.modalities if isinstance(kind, str)] == ["text"]
    first, *others = runtime.place(model).children()
    lock = threading.Lock()  # the library sets its tokenizers anew on every call

    @torch.inference_mode()
    def run(inputs: list[Any]) -> torch.Tensor:
        named = inputs if plain else [{modality: one} for one in inputs]  # so that no text is taken for an address
        with lock:
            features = model.preprocess(named, prompt=prompt)
        features = batch_to_device(features, device)
        with runtime.inference():
            features = first(features)
        features = {name: _full(value) for name, value in features.items()}
        for module in others:
            features = module(features)
        vectors: torch.Tensor = features["sentence_embedding"]
        return vectors.float()

    return run


def _full(value: Any) -> Any:
    import torch

    half = isinstance(value, torch.Tensor) and value.dtype in (torch.float16, torch.bfloat16)
    return value.float() if half else value


@contextlib.contextmanager
def _newly_made() -> Iterator[list[str]]:
    """The names of parameters that transformers reports as made anew, since the files lack them.

    The library gives away no other account of its loading than what is logged.
    """
    names: list[str] = []

    class Reader(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            for line in re.sub(r"\x1b\[[0-9;]*m", "", record.getMessage()).splitlines():
                name, bar, status = (part.strip() for part in line.partition("|"))
                if bar and status.startswith("MISSING"):
                    names.append(name)

    logger, reader = logging.getLogger("transformers.modeling_utils"), Reader()
    before = logger.level, logger.propagate
    logger.addHandler(reader)
    logger.setLevel(logging.WARNING)
    logger.propagate = False
    try:
        yield names
    finally:
        logger.removeHandler(reader)
        logger.setLevel(before[0])
        logger.propagate = before[1]

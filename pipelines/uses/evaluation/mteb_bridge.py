"""mteb's tasks for our embedders: one object that bundles the embedders of one space, one for each modality.

``mteb`` (the Massive Text Embedding Benchmark, with image and audio tasks since) is an optional extra. It loads its
tasks' data from the hub; figures that are to be published come from here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from embedders import Runtime
from embedders.base import anchor_space
from embedders.errors import EmbedError, SetupError, UsageError
from embedders.modality import Waveform
from pipelines.uses.evaluation.figures import Figure, Outcome
from pipelines.uses.evaluation.recorded import fingerprint_hash

if TYPE_CHECKING:
    from embedders import BaseEmbedder

__all__ = ["MtebEncoder", "run_mteb"]

INSTALL = "Install it: pip install 'multimodal-embedders[mteb]'"


class MtebEncoder:
    """The embedders of one space as mteb's ``EncoderProtocol``: give it to ``mteb.evaluate``.

    Every input goes to the embedder of its modality; an input of several modalities (a picture with its caption)
    gets the sum of their unit vectors, as mteb's own CLIP wrappers do it. No prompts are added. An input that
    cannot be embedded stops the task with its reason: a made-up vector would be a made-up figure.

    Raises UsageError for embedders of different spaces, two of one modality, and modalities that mteb has not.
    """

    def __init__(
        self,
        embedders: BaseEmbedder | Sequence[BaseEmbedder],
        revision: str | None = None,
        *,
        name: str = "multimodal-embedders/local",
        device: str | None = None,
        precision: str = "auto",
    ) -> None:
        bundled = list(embedders) if isinstance(embedders, Sequence) else [embedders]
        if not bundled:
            raise UsageError("There is no embedder for mteb", "Give those of one space, one for each modality")
        self.embedders: dict[str, BaseEmbedder] = {}
        self.space = anchor_space(bundled[0].spec.space)
        for embedder in bundled:
            spec = embedder.spec
            if anchor_space(spec.space) != self.space:
                raise UsageError(
                    f"The embedders are in the spaces {self.space!r} and {spec.space!r}",
                    "Only vectors of one space can be compared",
                )
            if self.embedders.setdefault(spec.modality, embedder) is not embedder:
                raise UsageError(f"There are two embedders for {spec.modality!r}", "Give one for each modality")
        self.device, self.precision = device or "auto", precision
        self.name, self.revision = name, revision or "-".join(self.fingerprints)
        self.mteb_model_meta = self._described()

    @property
    def fingerprints(self) -> tuple[str, ...]:
        """The hash of each embedder's fingerprint, in the order they were given."""
        runtime = Runtime.of(device=self.device, precision=self.precision)
        return tuple(fingerprint_hash(embedder.fingerprint(runtime)) for embedder in self.embedders.values())

    def encode(
        self,
        inputs: Iterable[Mapping[str, Any]],
        *,
        task_metadata: Any,
        hf_split: str,
        hf_subset: str,
        prompt_type: Any = None,
        **options: Any,
    ) -> npt.NDArray[np.float32]:
        """Vectors ``(n, dim)`` of a loader's batches, each a mapping from modality to a list of inputs.

        Of the modalities in a batch, those count that the task names for this side (``prompt_type``). Raises
        BadInput for an input that cannot be embedded.
        """
        wanted = list(task_metadata.get_modalities(prompt_type))
        gathered: dict[str, list[Any]] = {modality: [] for modality in wanted}
        for batch in inputs:
            for modality in wanted:
                gathered[modality] += [_raw(value) for value in batch[modality]]
        size = options.get("batch_size")
        found = [
            self.embedders[modality].embed(raw, device=self.device, precision=self.precision, batch_size=size)
            for modality, raw in gathered.items()
        ]
        if len(found) == 1:
            return found[0]
        lengths = [np.linalg.norm(vectors, axis=1, keepdims=True) for vectors in found]
        total = sum(v / np.maximum(n, np.finfo(np.float32).tiny) for v, n in zip(found, lengths, strict=True))
        return np.asarray(total, np.float32)

    def similarity(self, embeddings1: Any, embeddings2: Any) -> Any:
        """Cosines of all with all, by mteb's own function."""
        from mteb.similarity_functions import cos_sim

        return cos_sim(embeddings1, embeddings2)

    def similarity_pairwise(self, embeddings1: Any, embeddings2: Any) -> Any:
        """Cosines row by row, by mteb's own function."""
        from mteb.similarity_functions import pairwise_cos_sim

        return pairwise_cos_sim(embeddings1, embeddings2)

    def _described(self) -> Any:
        from typing import get_args

        _mteb()
        from mteb.models import ModelMeta
        from mteb.types import Modalities

        known = get_args(Modalities)
        unknown = [modality for modality in self.embedders if modality not in known]
        if unknown:
            raise UsageError(f"mteb has no tasks for {unknown[0]!r}; it has {', '.join(known)}")
        dim = next(iter(self.embedders.values())).spec.dim
        about = {
            "name": self.name,
            "revision": self.revision,
            "embed_dim": dim,
            "modalities": list(self.embedders),
            "similarity_fn_name": "cosine",
        }
        return ModelMeta.create_empty(about)


def run_mteb(task: Any, encoder: MtebEncoder) -> Outcome:
    """One of mteb's tasks, by name or as an object; every split and subset is a figure of its main metric.

    Raises UsageError for an unknown task and one whose modalities the encoder has not, SetupError if mteb is
    missing or the task's data cannot be had.
    """
    mteb = _mteb()
    if isinstance(task, str):
        try:
            task = mteb.get_task(task)
        except KeyError as error:  # its message names the nearest
            raise UsageError(f"mteb has no task {task!r} ({error.args[0]})") from error
    lacking = sorted(set(task.metadata.modalities) - set(encoder.embedders))
    if lacking:
        raise UsageError(
            f"mteb's task {task.metadata.name!r} needs {' and '.join(map(repr, lacking))}, and the embedders of "
            f"{encoder.space!r} take {', '.join(encoder.embedders)}",
            "Add an embedder of that modality and space",
        )
    try:
        result = mteb.evaluate(encoder, task, cache=None, co2_tracker=False, show_progress_bar=False)
    except EmbedError:
        raise
    except OSError as error:  # the hub's client and datasets derive theirs from it
        raise SetupError(
            f"The rows of mteb's task {task.metadata.name!r} cannot be had ({error})",
            "Where there is a network, load the task once; its files then lie in the hub's cache",
        ) from error
    metric = task.metadata.main_score
    figures = [
        Figure(f"{metric} ({split}, {scores['hf_subset']})", float(scores["main_score"]))
        for found in result.task_results
        for split, subsets in found.scores.items()
        for scores in subsets
    ]
    notes = (f"task {task.metadata.name}, revision {task.metadata.revision}, by mteb {mteb.__version__}",)
    return Outcome(
        "mteb",
        tuple(figures),
        n=0,  # mteb does not say
        notes=notes,
        seed=task.seed,
        columns=tuple(embedder.spec.modality for embedder in encoder.embedders.values()),
        fingerprints=encoder.fingerprints,
    )


def _mteb() -> Any:
    try:
        import mteb
    except ModuleNotFoundError as error:
        raise SetupError(
            f"Evaluation by mteb needs the package {error.name!r}, which is missing", INSTALL
        ) from error
    return mteb


def _raw(value: Any) -> Any:
    """An input as our modalities take it: mteb gives sound as samples beside their rate."""
    if isinstance(value, Mapping) or hasattr(value, "get_all_samples"):
        samples = np.asarray(value["array"], np.float32)
        return Waveform(samples if samples.ndim == 1 else samples.mean(axis=0), int(value["sampling_rate"]))
    return value

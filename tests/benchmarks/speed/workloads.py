"""Who contends over what: the table that everything else walks.

A contender that can be tuned has several ``settings``; each is tried on a tenth of the inputs and the fastest kept.
Ours is never tuned.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["OURS", "WORKLOADS", "Contender", "Workload"]

OURS: dict[str, tuple[str, ...]] = {
    "ours": (),
    "ours exact": ("--precision", "fp32", "--accel", "none"),
}
"""Our ways, and the flags of ``embed run`` that each takes."""

Settings = Mapping[str, Any]


def batches(*sizes: int) -> tuple[Settings, ...]:
    """A setting per batch size."""
    return tuple({"batch": size} for size in sizes)


@dataclass(frozen=True)
class Contender:
    """A name, and the function of ``scripts`` behind it; ``venv`` names the environment that a peer needs."""

    name: str
    script: str
    precision: str = "fp32"
    settings: tuple[Settings, ...] = ({},)
    venv: str | None = None
    note: str = ""


@dataclass(frozen=True)
class Workload:
    """A set, what ours embeds it by (field to embedder), and peers; ``reference`` is whose vectors are right."""

    inputs: str
    count: int
    model: str
    embed: tuple[tuple[str, str], ...]
    weights: Mapping[str, str]
    """The embedders' weights by the names of ``models``."""
    peers: tuple[Contender, ...]
    reference: str = "tutorial"
    also: tuple[str, ...] = ()
    """Weights that peers read besides."""
    ceilings: tuple[Contender, ...] = ()

    def quick(self) -> int:
        """Inputs of a run that only shows that everything works."""
        return max(12, math.ceil(self.count / 10))


def ceilings(embedder: str, weights: str) -> tuple[Contender, ...]:
    """Forward alone, decoding alone by the usual libraries and by ours."""
    ours = ({"embedder": embedder, "weights": weights},)
    return (
        Contender("forward only", "ceilings:forward", "half"),
        Contender("decode only", "ceilings:decode"),
        Contender("decode only, ours", "ceilings:decode_ours", settings=ours),
    )


TUTORIAL = Contender("tutorial", "pictures:tutorial")
EXPERT = Contender(
    "expert",
    "pictures:expert",
    "half",
    ({"batch": 32, "workers": 1},),
)
OPENVINO = Contender("openvino bf16", "pictures:openvino", "half", batches(1, 8, 16, 32))
ONNX_PICTURES = Contender(
    "fastembed",
    "pictures:fastembed",
    settings=batches(1, 16, 64),
    venv="fastembed",
)
SENTENCES = Contender("sentence-transformers", "pictures:sentence_transformers", note="its own preprocessing")
SENTENCES_BF16 = Contender(
    "sentence-transformers bf16",
    "pictures:sentence_transformers_bf16",
    "half",
    batches(16, 32, 64),
    note="its own preprocessing",
)
# ten batches of zeros are its warm-up, so that on a CPU small ones are its best
CLIP_RETRIEVAL = Contender("clip-retrieval", "clip-retrieval", settings=batches(16), venv="clip-retrieval")


def clip_images(inputs: str, count: int, peers: tuple[Contender, ...]) -> Workload:
    """Pictures of one kind by CLIP ViT-B/32."""
    return Workload(
        inputs,
        count,
        "clip",
        (("image", "image.clip"),),
        {"image.clip": "clip"},
        peers,
        also=("clip-hf",),
        ceilings=ceilings("image.clip", "clip"),
    )


def resnet(inputs: str, count: int, peers: tuple[Contender, ...]) -> Workload:
    """Pictures of one kind by ResNet-50."""
    return Workload(
        inputs,
        count,
        "resnet",
        (("image", "image.resnet50"),),
        {"image.resnet50": "resnet"},
        peers,
        ceilings=ceilings("image.resnet50", "resnet"),
    )


WORKLOADS: dict[str, Workload] = {
    "resnet": resnet("pictures", 600, (TUTORIAL, EXPERT, OPENVINO, ONNX_PICTURES)),
    "clip-images": clip_images(
        "pictures",
        600,
        (TUTORIAL, EXPERT, OPENVINO, SENTENCES, SENTENCES_BF16, CLIP_RETRIEVAL, ONNX_PICTURES),
    ),
    "large": clip_images("large", 80, (TUTORIAL, EXPERT, OPENVINO, SENTENCES, SENTENCES_BF16)),
    "mixed": resnet("mixed", 400, (TUTORIAL, EXPERT, OPENVINO)),
    "captions": Workload(
        "captions",
        1500,
        "clip-hf",
        (("text", "text.clip"),),
        {"text.clip": "clip"},
        (
            Contender("tutorial", "words:tutorial", note="padded to 77"),
            Contender("expert", "words:expert", "half", batches(32, 64, 128), note="padded to 77"),
            Contender("openvino bf16", "words:openvino", "half", batches(16, 64), note="padded to 77"),
            Contender("sentence-transformers", "words:sentence_transformers"),
            Contender(
                "sentence-transformers bf16", "words:sentence_transformers_bf16", "half", batches(32, 64, 128)
            ),
            CLIP_RETRIEVAL,
        ),
        also=("clip-hf",),
        ceilings=ceilings("text.clip", "clip"),
    ),
    "texts": Workload(
        "texts",
        600,
        "bert",
        (("text", "text.bert"),),
        {"text.bert": "bert"},
        (
            Contender("sentence-transformers", "words:sentence_transformers"),
            Contender("sentence-transformers bf16", "words:sentence_transformers_bf16", "half", batches(8, 32, 64)),
            Contender(
                "sentence-transformers openvino bf16",
                "words:sentence_transformers_openvino",
                "half",
                batches(8, 32, 64),
                venv="st-openvino",
            ),
            Contender("openvino bf16", "words:bert_openvino", "half", batches(1, 8, 32)),
            Contender("fastembed", "words:fastembed", settings=batches(16, 64, 256), venv="fastembed"),
        ),
        reference="sentence-transformers",
        ceilings=ceilings("text.bert", "bert"),
    ),
    "sounds": Workload(
        "sounds",
        60,
        "wav2vec2",
        (("audio", "audio.wav2vec2"),),
        {"audio.wav2vec2": "wav2vec2"},
        (
            Contender("tutorial", "sounds:tutorial", note="one by one"),
            Contender("padded", "sounds:padded", settings=batches(4, 8), note="other vectors: padding counts"),
            Contender(
                "padded bf16",
                "sounds:padded_bf16",
                "half",
                batches(4, 8, 16),
                note="other vectors: padding counts",
            ),
            Contender("openvino bf16", "sounds:openvino", "half", note="one by one"),
        ),
        ceilings=ceilings("audio.wav2vec2", "wav2vec2"),
    ),
    "columns": Workload(
        "folder",
        60,
        "all",
        (),
        {
            "image.resnet50": "resnet",
            "image.clip": "clip",
            "text.clip": "clip",
            "audio.wav2vec2": "wav2vec2",
        },
        (
            Contender("tutorial", "columns:tutorial", note="four scripts, one after the other"),
            Contender("openvino bf16", "columns:openvino", "half", batches(8), note="four scripts"),
        ),
    ),
}

"""Weights of the benchmark, from a seed, made once, in the formats that the upstream libraries read.

Speed does not depend on the values; what vectors say about precision does: ResNet gets the batch statistics of the
benchmark's pictures and the small branches of a trained one. The others are as their libraries draw them, and
spread their inputs well: without the mean of all, vectors keep a quarter to two thirds of their length. The same
CLIP lies there for open_clip and for transformers.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.benchmarks.speed.sets import made
from tests.benchmarks.speed.words import wordpiece

__all__ = ["weights"]

CALIBRATION = 48
"""Pictures whose batch statistics ResNet gets."""

BRANCH = 0.2
"""Gain at the end of every residual branch of ResNet, small as training leaves it: at one, the rounding of bf16
grows from block to block (cosine 0.85 after centring, instead of 0.999)."""


def weights(kind: str, cache: Path) -> Path:
    """``resnet`` (.pth of torchvision), ``clip`` (.pt of open_clip), or the folder ``wav2vec2`` of transformers,
    ``clip-hf`` or ``bert`` of sentence-transformers. Raises KeyError for any other.
    """
    name, maker = MAKERS[kind]
    path = cache / "weights" / name
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        half = path.with_name(f"{os.getpid()}.{path.name}")
        maker(half, cache)
        half.rename(path)
    return path


def _resnet(path: Path, cache: Path) -> None:
    import torch
    from PIL import Image
    from torchvision.models import ResNet50_Weights, resnet50

    torch.manual_seed(0)
    model = resnet50(weights=None)
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None  # a plain average over the batches
            if name.endswith("bn3"):
                torch.nn.init.constant_(module.weight, BRANCH)
    transform = ResNet50_Weights.IMAGENET1K_V2.transforms()
    files = sorted(made("pictures", CALIBRATION, cache).iterdir())
    batch = torch.stack([transform(Image.open(file)) for file in files])
    with torch.no_grad():
        for part in batch.split(16):
            model(part)
    torch.save(model.state_dict(), path)


def _clip(path: Path, cache: Path) -> None:
    import open_clip
    import torch

    torch.manual_seed(0)
    torch.save(open_clip.create_model("ViT-B-32").state_dict(), path)


def _clip_for_transformers(folder: Path, cache: Path) -> None:
    """The same CLIP for transformers, as sentence-transformers saves it."""
    import open_clip
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.models import Transformer
    from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, CLIPProcessor, CLIPTokenizerFast

    plain = folder / "plain"
    model = CLIPModel(CLIPConfig(text_config={"hidden_act": "gelu"}, vision_config={"hidden_act": "gelu"}))
    model.load_state_dict(_renamed(torch.load(weights("clip", cache), weights_only=True)), strict=False)
    model.config.text_config.eos_token_id = 49_407
    model.save_pretrained(plain)
    words = open_clip.tokenizer.SimpleTokenizer()
    merges = [" ".join(pair) for pair, _ in sorted(words.bpe_ranks.items(), key=lambda entry: entry[1])]
    plain.joinpath("vocab.json").write_text(json.dumps(words.encoder))
    plain.joinpath("merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n")
    tokenizer = CLIPTokenizerFast(
        vocab=str(plain / "vocab.json"),
        merges=str(plain / "merges.txt"),
        unk_token="<end_of_text>",
        bos_token="<start_of_text>",
        eos_token="<end_of_text>",
        pad_token="<end_of_text>",
        model_max_length=77,
    )
    CLIPProcessor(CLIPImageProcessor(), tokenizer).save_pretrained(plain)
    SentenceTransformer(modules=[Transformer(str(plain))], device="cpu").save(str(folder))
    shutil.rmtree(plain)


PARTS = {
    "ln_1": "layer_norm1",
    "ln_2": "layer_norm2",
    "mlp.c_fc": "mlp.fc1",
    "mlp.c_proj": "mlp.fc2",
    "attn.out_proj": "self_attn.out_proj",
}
"""Names within a block: open_clip's, then those of transformers."""

PLACES = {
    "visual.class_embedding": "vision_model.embeddings.class_embedding",
    "visual.positional_embedding": "vision_model.embeddings.position_embedding.weight",
    "visual.conv1.weight": "vision_model.embeddings.patch_embedding.weight",
    "positional_embedding": "text_model.embeddings.position_embedding.weight",
    "token_embedding.weight": "text_model.embeddings.token_embedding.weight",
    "logit_scale": "logit_scale",
}
NORMS = {
    "visual.ln_pre": "vision_model.pre_layrnorm",
    "visual.ln_post": "vision_model.post_layernorm",
    "ln_final": "text_model.final_layer_norm",
}
PROJECTIONS = {"visual.proj": "visual_projection.weight", "text_projection": "text_projection.weight"}


def _renamed(state: dict[str, Any]) -> dict[str, Any]:
    """open_clip's parameters under the names of transformers; raises KeyError for one that is not known."""
    found = {}
    for name, value in state.items():
        stem, _, kind = name.rpartition(".")
        if name in PLACES:
            found[PLACES[name]] = value
        elif name in PROJECTIONS:
            found[PROJECTIONS[name]] = value.T.contiguous()
        elif stem in NORMS:
            found[f"{NORMS[stem]}.{kind}"] = value
        elif "resblocks." in name:
            tower = "vision_model" if name.startswith("visual.") else "text_model"
            number, _, rest = name.split("resblocks.")[1].partition(".")
            block = f"{tower}.encoder.layers.{number}"
            if rest.startswith("attn.in_proj_"):
                for part, third in zip("qkv", value.chunk(3), strict=True):
                    found[f"{block}.self_attn.{part}_proj.{rest.removeprefix('attn.in_proj_')}"] = third
            else:
                inner, _, kind = rest.rpartition(".")
                found[f"{block}.{PARTS[inner]}.{kind}"] = value
        elif name != "attn_mask":
            raise KeyError(name)
    return found


def _bert(folder: Path, cache: Path) -> None:
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.models import Normalize, Pooling, Transformer
    from transformers import BertConfig, BertModel, BertTokenizerFast

    plain = folder / "plain"
    torch.manual_seed(0)
    BertModel(BertConfig()).save_pretrained(plain)
    tokenizer = BertTokenizerFast(tokenizer_object=wordpiece()._tokenizer, model_max_length=512)
    tokenizer.save_pretrained(plain)
    encoder = Transformer(str(plain), max_seq_length=512)
    saved = SentenceTransformer(modules=[encoder, Pooling(768, "mean"), Normalize()], device="cpu")
    saved.save(str(folder))
    shutil.rmtree(plain)


def _wav2vec2(folder: Path, cache: Path) -> None:
    import torch
    from transformers import Wav2Vec2Config, Wav2Vec2FeatureExtractor, Wav2Vec2Model

    torch.manual_seed(0)
    Wav2Vec2Model(Wav2Vec2Config()).save_pretrained(folder)
    Wav2Vec2FeatureExtractor(do_normalize=True).save_pretrained(folder)


MAKERS: dict[str, tuple[str, Callable[[Path, Path], None]]] = {
    "resnet": ("resnet50.pth", _resnet),
    "clip": ("vit-b-32.pt", _clip),
    "clip-hf": ("clip", _clip_for_transformers),
    "bert": ("bert", _bert),
    "wav2vec2": ("wav2vec2", _wav2vec2),
}

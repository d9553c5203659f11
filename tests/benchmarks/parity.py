"""How close every embedder is to the direct call of its upstream library, at the real architectures' size.

::

    uv run python -m tests.benchmarks.parity

Seeded weights with perturbed gains and statistics are saved by the upstream library, loaded by both, and 32 inputs
of mixed size are embedded: upstream one by one, ours alone and in batches of 7 and 32, in two orders. Prints the
largest relative L2 and the smallest cosine of each against upstream, as a Markdown table.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

import embedders
from embedders import BaseEmbedder, Waveform
from tests.benchmarks.media import CAPTION
from tests.embedders.models.clips import clips, perturb
from tests.embedders.parity import mixed_batches, relative_l2, smallest_cosine

COUNT = 32
Case = tuple[BaseEmbedder, list[Any], np.ndarray]


def pictures() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    sides = rng.integers(40, 500, (COUNT, 2))
    colours = rng.integers(0, 200, (COUNT, 3))
    return [
        (colour + rng.integers(0, 56, (h, w, 3))).astype(np.uint8)
        for (h, w), colour in zip(sides, colours, strict=True)
    ]


def texts() -> list[str]:
    rng = np.random.default_rng(0)
    return [" ".join(rng.choice(CAPTION.split(), int(n))) for n in rng.integers(1, 60, COUNT)]


def sounds() -> list[Waveform]:
    rng = np.random.default_rng(0)
    return clips(tuple(int(n) for n in rng.integers(400, 3 * 16_000, COUNT)))


def rows(call: Callable[[Any], torch.Tensor], inputs: list[Any]) -> np.ndarray:
    with torch.no_grad():
        return torch.cat([call(given).reshape(1, -1) for given in inputs]).numpy()


def resnet50(folder: Path) -> Case:
    from PIL import Image
    from torchvision.models import ResNet50_Weights, resnet50

    torch.manual_seed(0)
    model = resnet50(weights=None)
    with torch.no_grad():
        for _ in range(3):  # train mode: batch statistics move away from their first values
            model(torch.randn(4, 3, 128, 128))
    torch.save(model.state_dict(), folder / "resnet.pth")
    model.eval().fc = torch.nn.Identity()
    transform = ResNet50_Weights.IMAGENET1K_V2.transforms()
    ours = embedders.create("image.resnet50", weights=str(folder / "resnet.pth"), normalize=False)
    media = pictures()
    return ours, media, rows(lambda p: model(transform(Image.fromarray(p))[None]), media)


def clip(folder: Path, tower: str) -> Case:
    import open_clip
    from PIL import Image

    path = folder / "clip.pt"
    torch.manual_seed(0)
    torch.save(perturb(open_clip.create_model("ViT-B-32")).state_dict(), path)
    model, _, transform = open_clip.create_model_and_transforms("ViT-B-32", str(path))
    model.eval()
    ours = embedders.create(f"{tower}.clip", weights=str(path), normalize=False)
    if tower == "image":
        media: list[Any] = pictures()
        return ours, media, rows(lambda p: model.encode_image(transform(Image.fromarray(p))[None]), media)
    tokenizer = open_clip.get_tokenizer("ViT-B-32")
    media = texts()
    return ours, media, rows(lambda t: model.encode_text(tokenizer(t)), media)


def speech(folder: Path, family: str) -> Case:
    import transformers
    from transformers import Wav2Vec2FeatureExtractor

    torch.manual_seed(0)
    config = getattr(transformers, f"{family}Config")()
    perturb(getattr(transformers, f"{family}Model")(config)).save_pretrained(folder)
    extractor = Wav2Vec2FeatureExtractor(do_normalize=True)
    extractor.save_pretrained(folder)
    model = getattr(transformers, f"{family}Model").from_pretrained(folder).eval()
    ours = embedders.create("audio.wav2vec2", weights=str(folder), layer="last", normalize=False)
    media = sounds()

    def upstream(sound: Waveform) -> torch.Tensor:
        values = extractor(sound.samples, sampling_rate=16_000, return_tensors="pt").input_values
        return model(values).last_hidden_state.mean(1)

    return ours, media, rows(upstream, media)


def bundle(folder: Path, name: str) -> Case:
    from torchaudio import models, pipelines

    chosen = getattr(pipelines, name)
    torch.manual_seed(0)
    build = models.wavlm_model if chosen._model_type == "WavLM" else models.wav2vec2_model
    model = perturb(build(**chosen._params))
    torch.save(model.state_dict(), folder / f"{name}.pth")
    ours = embedders.create("audio.bundle", weights=str(folder / f"{name}.pth"), bundle=name, normalize=False)
    media = sounds()
    return (
        ours,
        media,
        rows(lambda s: model.extract_features(torch.from_numpy(s.samples)[None])[0][-1].mean(1), media),
    )


def bert(folder: Path) -> Case:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.models import Normalize, Pooling, Transformer
    from tokenizers import BertWordPieceTokenizer
    from transformers import BertConfig, BertModel, BertTokenizerFast

    plain = folder / "plain"
    letters = [chr(c) for c in range(33, 127)]
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *(f"##{c}" for c in letters)]
    words = BertWordPieceTokenizer({word: place for place, word in enumerate(vocabulary)}, lowercase=True)
    torch.manual_seed(0)
    perturb(BertModel(BertConfig(vocab_size=len(vocabulary)))).save_pretrained(plain)
    BertTokenizerFast(tokenizer_object=words._tokenizer).save_pretrained(plain)
    encoder = Transformer(str(plain), max_seq_length=256)
    saved = SentenceTransformer(modules=[encoder, Pooling(768, "mean"), Normalize()], device="cpu")
    saved.save(str(folder / "sentences"))
    oracle = SentenceTransformer(str(folder / "sentences"), device="cpu")
    ours = embedders.create("text.bert", weights=str(folder / "sentences"))
    media = texts()
    return ours, media, np.concatenate([oracle.encode([text]) for text in media])


CASES: dict[str, Callable[[Path], Case]] = {
    "image.resnet50": resnet50,
    "image.clip": lambda folder: clip(folder, "image"),
    "text.clip": lambda folder: clip(folder, "text"),
    "audio.wav2vec2 (wav2vec2)": lambda folder: speech(folder, "Wav2Vec2"),
    "audio.wav2vec2 (HuBERT)": lambda folder: speech(folder, "Hubert"),
    "audio.wav2vec2 (WavLM)": lambda folder: speech(folder, "WavLM"),
    "audio.bundle (WAV2VEC2_BASE)": lambda folder: bundle(folder, "WAV2VEC2_BASE"),
    "audio.bundle (WAVLM_BASE)": lambda folder: bundle(folder, "WAVLM_BASE"),
    "text.bert (sentence-transformers)": bert,
}


def main() -> None:
    """Print the table."""
    print("| embedder | alone | batches of 7 | batches of 32 | other order | smallest cosine | seconds |")
    print("|---|---|---|---|---|---|---|")
    for name, case in CASES.items():
        began = time.perf_counter()
        with tempfile.TemporaryDirectory() as folder:
            ours, media, expected = case(Path(folder))
            found = mixed_batches(ours, media)
        away = {key: relative_l2(vectors, expected) for key, vectors in found.items()}
        given = " | ".join(f"{away[size, 'given']:.1e}" for size in (1, 7, 32))
        other = max(value for (_, order), value in away.items() if order == "shuffled")
        cosine = min(smallest_cosine(vectors, expected) for vectors in found.values())
        seconds = time.perf_counter() - began
        print(f"| {name} | {given} | {other:.1e} | {cosine:.9f} | {seconds:.0f} |", flush=True)


if __name__ == "__main__":
    main()

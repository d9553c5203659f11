from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image

from embedders import Runtime
from embedders.base import row_failures
from embedders.models.clip import ClipImage, ClipText
from tests.embedders import parity
from tests.embedders.models.tiny_clip import MODELS, SIDES, TEXTS, noise, upstream

pytestmark = pytest.mark.usefixtures("folder")


@pytest.mark.parametrize("name", sorted(MODELS))
def test_pictures_and_texts_get_upstreams_vectors(folder: Path, name: str) -> None:
    model, transform, tokenizer = upstream(name, folder / f"{name}.pt")
    options: dict[str, Any] = {"model": name, "weights": folder / f"{name}.pt", "normalize": False}
    pictures, images, texts = [noise(*sides, 1) for sides in SIDES], ClipImage(**options), ClipText(**options)
    with torch.inference_mode():
        for picture in pictures:
            expected = model.encode_image(transform(Image.fromarray(picture))[None]).numpy()
            assert np.abs(parity.embed_media(images, [picture], 1) - expected).max() <= 1e-6
        for text in TEXTS:
            expected = model.encode_text(tokenizer([text])).numpy()
            assert np.abs(parity.embed_media(texts, [text], 1) - expected).max() <= 1e-6 * np.abs(expected).max()


@pytest.mark.parametrize("name", sorted(MODELS))
def test_neighbours_and_order_change_nothing(folder: Path, name: str) -> None:
    pictures = [noise(*SIDES[n % len(SIDES)], n) for n in range(40)]
    texts = [f"{n * n} {TEXTS[n % len(TEXTS)]}" for n in range(40)]
    for cls, inputs in ((ClipImage, pictures), (ClipText, texts)):
        found = parity.mixed_batches(cls(model=name, weights=folder / f"{name}.pt"), inputs)
        alone = found.pop((1, "given"))
        assert (alone.dtype.name, alone.shape, alone.flags.c_contiguous) == ("float32", (40, 24), True)
        assert np.abs(np.linalg.norm(alone, axis=1) - 1).max() <= 1e-6
        assert np.median(alone @ alone.T) < 0.999  # a neighbour would show
        for vectors in found.values():
            assert np.abs(vectors - alone).max() <= 1e-5
            assert parity.smallest_cosine(vectors, alone) >= 0.999999


@pytest.mark.parametrize("name", ["tiny", "tiny-resnet"])
def test_the_same_batch_gives_the_same_bits(folder: Path, name: str) -> None:
    options: dict[str, Any] = {"model": name, "weights": folder / f"{name}.pt"}
    cases: list[tuple[Any, list[Any]]] = [
        (ClipImage(**options), [noise(*s) for s in SIDES]),
        (ClipText(**options), TEXTS),
    ]
    for embedder, inputs in cases:
        forward = embedder.forward(Runtime())
        batch = embedder.collate([embedder.prepare(media) for media in inputs])
        assert torch.equal(forward(batch), forward(batch))


def test_a_seed_gives_upstreams_own_initialisation_again(folder: Path) -> None:
    torch.manual_seed(5)
    expected = torch.rand(2)
    torch.manual_seed(5)
    first, again, other = (
        parity.embed_media(ClipText(model="tiny", weights=f"random:{seed}"), TEXTS, 7) for seed in (0, 0, 1)
    )
    assert torch.equal(torch.rand(2), expected)
    assert np.array_equal(first, again)
    assert not np.allclose(first, other)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = open_clip.create_model("tiny").eval()
    with torch.inference_mode():
        assert parity.smallest_cosine(first, model.encode_text(open_clip.get_tokenizer("tiny")(TEXTS))) >= 0.999999


def test_a_broken_weight_is_a_failed_row_and_never_a_vector(folder: Path, tmp_path: Path) -> None:
    state = torch.load(folder / "tiny.pt", weights_only=True)
    state["visual.conv1.weight"][0, 0, 0, 0] = float("nan")
    state["token_embedding.weight"][open_clip.get_tokenizer("tiny").encode("rain")[0]] = float("nan")
    torch.save(state, tmp_path / "broken.pt")
    images, texts = (cls(model="tiny", weights=tmp_path / "broken.pt") for cls in (ClipImage, ClipText))
    vectors = parity.embed_media(images, [noise(9, 9), noise(40, 40)], 2)
    assert {n: failure.code for n, failure in row_failures(vectors, images.spec).items()} == {
        0: "NONFINITE",
        1: "NONFINITE",
    }
    vectors = parity.embed_media(texts, ["a bell", "rain", "snow"], 3)
    assert list(row_failures(vectors, texts.spec)) == [1]


def test_a_loaded_embedder_travels_by_its_options(folder: Path) -> None:
    embedder = ClipText(model="tiny", weights=folder / "tiny.pt")
    vectors = parity.embed_media(embedder, TEXTS, 7)
    pickled = pickle.dumps(embedder)
    assert len(pickled) < 500
    assert np.array_equal(parity.embed_media(pickle.loads(pickled), TEXTS, 7), vectors)


@pytest.mark.parametrize("cls", [ClipImage, ClipText])
def test_examples_differ_in_size_and_meaning(cls: type[ClipImage] | type[ClipText], folder: Path) -> None:
    embedder = cls(model="tiny", weights=folder / "tiny.pt")
    vectors = parity.embed_media(embedder, embedder.examples(), 3)
    assert (vectors @ vectors.T - np.eye(3) * 2).max() < 0.99


@pytest.mark.slow
def test_the_real_architecture_equals_upstream() -> None:
    images, texts = ClipImage(weights="random:0", normalize=False), ClipText(weights="random:0", normalize=False)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model, _, transform = open_clip.create_model_and_transforms("ViT-B-32")
    model.eval()
    picture = noise(300, 200)
    with torch.inference_mode():
        expected = model.encode_image(transform(Image.fromarray(picture))[None]).numpy()
        assert parity.relative_l2(parity.embed_media(images, [picture], 1), expected) <= 1e-6
        expected = model.encode_text(open_clip.get_tokenizer("ViT-B-32")(["a bell"])).numpy()
        assert parity.relative_l2(parity.embed_media(texts, ["a bell"], 1), expected) <= 1e-6

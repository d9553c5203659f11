"""Vectors against upstream's own processor and model: small models, no parameter at its initial value."""

from __future__ import annotations

import functools
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from embedders import Runtime, SetupError, UsageError
from embedders.conformance import CHECKS
from embedders.modality import Pixels
from embedders.models import dinov2, pretrained
from embedders.models.dinov2 import DinoV2
from embedders.models.framing import of_transformers
from tests.embedders.models.tiny_bert import edit
from tests.embedders.models.tiny_encoders import MEAN, STD, save_dino, transformers
from tests.embedders.parity import embed_media, mixed_batches, relative_l2, smallest_cosine

KINDS = ["Dinov2", "Dinov2WithRegisters"]
SIDES = [(28, 28), (32, 40), (35, 32), (37, 50), (100, 31), (200, 133), (3, 190)]
Fetch = Callable[[str], Path]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Fetch:
    """The folder of a kind's model, made when it is first asked for."""
    return functools.cache(lambda kind: save_dino(tmp_path_factory.mktemp(kind), kind))


def pictures() -> list[Pixels]:
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (*sides, 3), np.uint8) for sides in SIDES]


@torch.no_grad()
def alone(kind: str, place: Path, backend: str = "pil") -> torch.Tensor:
    """Upstream's last states of each picture alone, ``(n, tokens, dim)``."""
    processor = transformers.AutoImageProcessor.from_pretrained(place, backend=backend)
    model = getattr(transformers, f"{kind}Model").from_pretrained(place).eval()
    ready = [processor(Image.fromarray(picture), return_tensors="pt").pixel_values for picture in pictures()]
    return torch.cat([model(pixels).last_hidden_state for pixels in ready])


@pytest.mark.parametrize("pooling", dinov2.POOLINGS)
@pytest.mark.parametrize("kind", KINDS)
def test_vectors_equal_upstream_alone_in_any_batch(kind: str, pooling: str, folder: Fetch) -> None:
    states = alone(kind, folder(kind))
    patches = states[:, -16:]  # of 28 pixels, in patches of 7
    expected = {
        "cls": states[:, 0],
        "mean": patches.mean(1),
        "cls+mean": torch.cat([states[:, 0], patches.mean(1)], 1),
    }
    embedder = DinoV2(weights=folder(kind), pooling=pooling, normalize=False)
    assert embedder.spec.dim == expected[pooling].shape[1]
    for batch, vectors in mixed_batches(embedder, pictures(), (1, 3)).items():
        assert relative_l2(vectors, expected[pooling]) < 1e-5, batch


def test_the_class_token_is_upstreams_pooler_output(folder: Fetch) -> None:
    model = transformers.Dinov2Model.from_pretrained(folder("Dinov2")).eval()
    embedder = DinoV2(weights=folder("Dinov2"), normalize=False)
    batch = embedder.collate([embedder.prepare(picture) for picture in pictures()])
    with torch.no_grad():
        expected = model(embedder._facts.preprocess.normalise(batch)).pooler_output
    assert relative_l2(embed_media(embedder, pictures(), 7), expected) < 1e-6


def test_upstreams_other_backend_gives_nearly_the_same(folder: Fetch) -> None:
    other = alone("Dinov2", folder("Dinov2"), backend="torchvision")[:, 0]
    vectors = embed_media(DinoV2(weights=folder("Dinov2")), pictures(), 7)
    assert 1e-7 < 1 - smallest_cosine(vectors, other) < 1e-3


def test_a_processor_may_hold_the_settings(folder: Fetch, tmp_path: Path) -> None:
    for name in ("config.json", "model.safetensors"):
        (tmp_path / name).write_bytes((folder("Dinov2") / name).read_bytes())
    settings = json.loads((folder("Dinov2") / "preprocessor_config.json").read_text())
    (tmp_path / "processor_config.json").write_text(json.dumps({"image_processor": settings}))
    assert DinoV2(weights=tmp_path).spec.details == DinoV2(weights=folder("Dinov2")).spec.details


def test_every_pooling_has_a_space_of_its_own() -> None:
    assert len({DinoV2(pooling=pooling).spec.space for pooling in dinov2.POOLINGS}) == 3


def test_what_is_written_down_is_upstreams_own() -> None:
    cut = {"size": {"shortest_edge": 256}, "crop_size": {"height": 224, "width": 224}}
    processor = transformers.BitImageProcessor(image_mean=MEAN, image_std=STD, **cut)
    assert of_transformers(json.loads(processor.to_json_string())) == dinov2.FRAMING
    assert all(hub.pinned() is hub for hub in DinoV2.family.known.values())


def test_a_known_id_that_is_something_else_is_refused(folder: Fetch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pretrained, "folder_of", lambda *_, **__: folder("Dinov2"))
    with pytest.raises(SetupError, match=r"width=32.*'facebook/dinov2-base' is known as .*width=768"):
        DinoV2().load(Runtime())


def test_a_seed_is_the_base_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(DinoV2.family.shape, "num_hidden_layers", 1)
    media = pictures()[:2]
    first, again, other = (embed_media(DinoV2(weights=f"random:{seed}"), media, 2) for seed in (3, 3, 4))
    assert np.array_equal(first, again)
    assert smallest_cosine(first, other) < 0.9


def test_a_missing_parameter_is_an_error_and_not_noise(folder: Fetch, tmp_path: Path) -> None:
    save_dino(tmp_path)
    state = load_file(tmp_path / "model.safetensors")
    name = next(name for name in state if "layer.1" in name)
    del state[name]
    save_file(state, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(SetupError, match="lacks 1 parameters"):
        DinoV2(weights=tmp_path).load(Runtime())


def test_a_folder_of_something_else_is_refused(folder: Fetch, tmp_path: Path) -> None:
    save_dino(tmp_path)
    (tmp_path / "preprocessor_config.json").unlink()
    with pytest.raises(SetupError, match="does not say how pictures are prepared"):
        _ = DinoV2(weights=tmp_path).spec
    edit(tmp_path / "config.json", model_type="vit")
    with pytest.raises(SetupError, match="is of kind 'vit'"):
        _ = DinoV2(weights=tmp_path).spec


def test_missing_weights_name_the_way_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(SetupError, match=r"hf download facebook/dinov2-small.*weights=FOLDER"):
        DinoV2(weights="facebook/dinov2-small").load(Runtime())


def test_an_unknown_pooling_is_refused() -> None:
    with pytest.raises(UsageError, match="Did you mean 'mean'"):
        DinoV2(pooling="means")


def test_the_default_spec_is_read_without_torch() -> None:
    script = """
import sys
from embedders.models.dinov2 import DinoV2
made = DinoV2()
print(made.spec.space, made.spec.dim, made.media_side, {"torch", "transformers", "PIL"} & set(sys.modules))
"""
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["transformers:dinov2/facebook/dinov2-base/pooling=cls", "768", "256", "set()"]


@pytest.mark.parametrize("kind", KINDS)
def test_openvino_gives_the_same_vectors(kind: str, folder: Fetch) -> None:
    embedder = DinoV2(weights=folder(kind), pooling="cls+mean")
    forward = embedder.forward(Runtime(accel="openvino"))
    expected = embed_media(embedder, pictures(), 7)
    for count in (7, 1):
        found = forward(embedder.collate([embedder.prepare(picture) for picture in pictures()[:count]]))
        assert relative_l2(found.numpy(), expected[:count]) < 1e-5


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_contract(check: Any, folder: Fetch) -> None:
    check(DinoV2(weights=folder("Dinov2"), pooling="cls+mean"))

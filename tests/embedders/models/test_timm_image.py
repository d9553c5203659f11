"""Vectors against timm's own factory and transform: its small test models, no parameter at its initial value."""

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
import timm
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from timm.models import save_for_hf

from embedders import Runtime, SetupError, UsageError
from embedders.conformance import CHECKS
from embedders.modality import Pixels
from embedders.models.timm_image import TimmImage
from embedders.models.timm_source import DEFAULT, KNOWN, PINNED, Source
from embedders.weights import Download, Hub
from tests.embedders.models.clips import perturb
from tests.embedders.parity import embed_media, mixed_batches, relative_l2, smallest_cosine

upstream: Any = timm  # half of it has no types

MODELS = ["test_vit", "test_resnet", "test_convnext", "test_efficientnet", "test_nfnet", "test_mambaout"]
SIDES = [(160, 160), (100, 140), (33, 32), (200, 301), (9, 190)]
Fetch = Callable[[str], Path]


def save(name: str, folder: Path, **arguments: Any) -> Path:
    """A model of seven classes in ``folder``, as timm saves it for the hub."""
    torch.manual_seed(0)
    model = perturb(upstream.create_model(name, pretrained=False, num_classes=7, **arguments))
    save_for_hf(model, str(folder), model_args=arguments or None, safe_serialization=True)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Fetch:
    """The folder of a model, made when it is first asked for."""
    return functools.cache(lambda name: save(name, tmp_path_factory.mktemp(name)))


def pictures() -> list[Pixels]:
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (*sides, 3), np.uint8) for sides in SIDES]


@torch.no_grad()
def alone(model: Any, media: list[Pixels]) -> Any:
    """Upstream's vectors of each picture alone, prepared at the model's test size by upstream's transform."""
    config = upstream.data.resolve_model_data_config(model, use_test_size=True)
    transform = upstream.data.create_transform(**config, is_training=False)
    return np.concatenate([model(transform(Image.fromarray(picture))[None]).numpy() for picture in media])


def without_classifier(place: Path) -> Any:
    return upstream.create_model(f"local-dir:{place}", pretrained=True, num_classes=0).eval()


@pytest.mark.parametrize("name", MODELS)
def test_vectors_equal_those_of_timm_without_a_classifier(name: str, folder: Fetch) -> None:
    expected = alone(without_classifier(folder(name)), pictures())
    embedder = TimmImage(weights=folder(name), normalize=False)
    assert embedder.spec.dim == expected.shape[1]
    for batch, vectors in mixed_batches(embedder, pictures(), (1, 3)).items():
        assert relative_l2(vectors, expected) < 1e-5, batch


def test_pictures_are_prepared_at_the_test_size(folder: Fetch) -> None:
    details = TimmImage(weights=folder("test_mambaout")).spec.details
    assert upstream.models.get_pretrained_cfg("test_mambaout").input_size == (3, 160, 160)
    assert details["preprocess"]["size"] == [192, 192]


def test_a_model_of_one_size_keeps_it(tmp_path: Path) -> None:
    save("test_vit", tmp_path, img_size=96)
    path = tmp_path / "config.json"
    config = json.loads(path.read_text())
    config["pretrained_cfg"] |= {"test_input_size": [3, 160, 160], "fixed_input_size": True}
    path.write_text(json.dumps(config))
    embedder = TimmImage(weights=tmp_path)
    assert embedder.spec.details["preprocess"]["size"] == [96, 96]
    assert embed_media(embedder, pictures(), 5).shape == (5, 64)


def test_a_file_may_tell_any_number_of_classes_apart(folder: Fetch, tmp_path: Path) -> None:
    state = load_file(folder("test_resnet") / "model.safetensors")
    torch.save({"state_dict": state, "epoch": 3}, tmp_path / "trained.pth")
    save_file(
        {name: value for name, value in state.items() if not name.startswith("fc.")}, tmp_path / "bare.safetensors"
    )
    expected = embed_media(TimmImage(weights=folder("test_resnet")), pictures(), 5)
    for file in ("trained.pth", "bare.safetensors"):
        embedder = TimmImage(model="test_resnet", weights=tmp_path / file)
        assert np.array_equal(embed_media(embedder, pictures(), 5), expected)
        assert embedder.spec.space.startswith("timm:test_resnet/sha256:")


@pytest.mark.parametrize("file", [True, False], ids=["a file", "a folder"])
@pytest.mark.parametrize("name", ["blocks.0.attn.qkv.weight", "norm.bias"])
def test_a_missing_parameter_is_an_error_and_not_noise(
    name: str, file: bool, folder: Fetch, tmp_path: Path
) -> None:
    state = load_file(folder("test_vit") / "model.safetensors")
    del state[name]
    save_file(state, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_bytes((folder("test_vit") / "config.json").read_bytes())
    place = tmp_path / "model.safetensors" if file else tmp_path
    with pytest.raises(SetupError, match=f"Missing key.*{name}"):
        TimmImage(model="test_vit", weights=place).load(Runtime())


def test_a_broken_parameter_is_refused(folder: Fetch, tmp_path: Path) -> None:
    state = load_file(folder("test_vit") / "model.safetensors")
    state["norm.bias"][3] = float("nan")
    save_file(state, tmp_path / "model.safetensors")
    with pytest.raises(SetupError, match=r"1 of 64 numbers of 'norm.bias' are NaN"):
        TimmImage(model="test_vit", weights=tmp_path / "model.safetensors").load(Runtime())


def test_the_weights_of_another_model_are_refused(folder: Fetch) -> None:
    with pytest.raises(SetupError, match="timm cannot load"):
        TimmImage(model="test_resnet", weights=folder("test_vit") / "model.safetensors").load(Runtime())


def test_a_seed_gives_the_same_network_again() -> None:
    media = pictures()[:2]
    first, again, other = (
        embed_media(TimmImage(model="test_convnext", weights=f"random:{seed}"), media, 2) for seed in (3, 3, 4)
    )
    assert np.array_equal(first, again)
    assert smallest_cosine(first, other) < 0.9


def test_several_feature_maps_are_pooled_by_the_model_too() -> None:
    torch.manual_seed(5)
    model = upstream.create_model("crossvit_9_240", pretrained=False).eval()
    model.reset_classifier(0)
    embedder = TimmImage(model="crossvit_9_240", weights="random:5", normalize=False)
    media = pictures()[:2]
    assert relative_l2(embed_media(embedder, media, 2), alone(model, media)) < 1e-5


def test_the_facts_of_the_default_are_timms() -> None:
    config = upstream.models.get_pretrained_cfg(DEFAULT)
    assert PINNED.repo == config.hf_hub_id
    measured = Source(config.architecture, PINNED, "", config.to_dict()).facts
    assert measured == KNOWN


@pytest.mark.parametrize(
    ("options", "weights", "space"),
    [
        ({"model": DEFAULT}, PINNED, f"timm:{DEFAULT}"),
        ({"model": "vit_base_patch16_224"}, PINNED, f"timm:{DEFAULT}"),
        ({"model": "vit_base_patch16_224", "weights": DEFAULT.split(".")[1]}, PINNED, f"timm:{DEFAULT}"),
        ({"model": "resnet50.tv2_in1k"}, Hub("timm/resnet50.tv2_in1k"), "timm:resnet50.tv2_in1k"),
        ({"model": "resnet50", "weights": "tv2_in1k"}, Hub("timm/resnet50.tv2_in1k"), "timm:resnet50.tv2_in1k"),
    ],
)
def test_a_tag_is_a_repository_of_timms(options: dict[str, str], weights: Hub, space: str) -> None:
    source = Source.of(options["model"], options.get("weights"))
    assert (source.weights, source.space) == (weights, space)


def test_weights_that_are_on_no_hub_come_from_their_address() -> None:
    source = Source.of("gcvit_base", None)
    assert isinstance(source.weights, Download)
    assert source.weights.identity["sha256_prefix"] == "f009139b"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"model": "resnet_50"}, "Did you mean .*resnet50"),
        ({"model": "resnet50.a1_in2k"}, "Did you mean 'a1_in1k'"),
        ({"model": "resnet50", "weights": "tv3_in1k"}, "Did you mean 'tv_in1k'"),
        ({"model": "resnet50.a1_in1k", "weights": "tv2_in1k"}, "Leave one of the tags out"),
        ({"model": "vit_base_patch16_224.augreg_in1k", "weights": DEFAULT.split(".")[1]}, "Leave one of the tags"),
    ],
)
def test_what_timm_does_not_have_is_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        _ = TimmImage(**options).spec


def test_a_model_without_pooled_features_is_refused() -> None:
    with pytest.raises(SetupError, match="cannot load mobilenetv5_300m_enc as a source of features"):
        _ = TimmImage(model="mobilenetv5_300m_enc", weights="random:0").spec


def test_missing_weights_name_the_way_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(SetupError, match=r"hf download timm/resnet18\.a1_in1k.*weights=FOLDER"):
        TimmImage(model="resnet18.a1_in1k").load(Runtime())
    with pytest.raises(SetupError, match="no weights at"):
        _ = TimmImage(weights=tmp_path / "nothing").spec
    with pytest.raises(SetupError, match=r"config\.json is missing"):
        _ = TimmImage(weights=tmp_path).spec


def test_the_default_spec_is_read_without_torch() -> None:
    script = """
import sys
from embedders.models.timm_image import TimmImage
made = TimmImage()
print(made.spec.space, made.spec.dim, made.media_side, {"torch", "timm", "PIL"} & set(sys.modules))
"""
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert found.stdout.split() == [f"timm:{DEFAULT}", "768", "248", "set()"]


def test_openvino_gives_the_same_vectors(folder: Fetch) -> None:
    embedder = TimmImage(weights=folder("test_vit"))
    forward = embedder.forward(Runtime(accel="openvino"))
    expected = embed_media(embedder, pictures(), 5)
    for count in (5, 1):
        found = forward(embedder.collate([embedder.prepare(picture) for picture in pictures()[:count]]))
        assert relative_l2(found.numpy(), expected[:count]) < 1e-5


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_contract(check: Any, folder: Fetch) -> None:
    check(TimmImage(weights=folder("test_efficientnet")))

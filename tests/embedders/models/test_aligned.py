"""An embedder followed by a head: the same as the head on stored vectors, and only on what it was learned for."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import embedders
from embedders.conformance import CHECKS, importing_is_cheap
from embedders.errors import SetupError, UsageError
from embedders.models.aligned import Aligned, Head, Layer
from embedders.runtime import Runtime

WORDS = ["a", "bell", "wonderful", "drum", "siren"]


def layers(hidden: int = 5) -> tuple[Layer, ...]:
    chance = torch.Generator().manual_seed(0)
    shapes = [((3,), (3,)), ((hidden, 3), (hidden,)), ((4, hidden), (4,))]
    tensors = [[torch.randn(shape, generator=chance) for shape in pair] for pair in shapes]
    return (
        Layer("layernorm", *tensors[0]),
        Layer("affine", *tensors[1]),
        Layer("gelu"),
        Layer("affine", *tensors[2]),
    )


def config(**changes: Any) -> dict[str, Any]:
    below = {"name": "toy.letters", "class": "tests.toy:Letters", "options": {"scale": 2.0}, "weights": {}}
    return {
        "head": 1,
        "method": "mlp",
        "layers": ["layernorm", "affine", "gelu", "affine"],
        "embedder": {**below, "space": "toy:2.0", "dim": 3, **changes.pop("embedder", {})},
        "anchor": {
            "name": "image.photos",
            "modality": "image",
            "options": {},
            "space": "photos",
            "dim": 4,
            "weights": {},
            **changes.pop("anchor", {}),
        },
        **changes,
    }


Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def written(made: Head | None = None, **changes: Any) -> Path:
        (tmp_path / "model.safetensors").write_bytes((made or Head(layers())).content())
        (tmp_path / "config.json").write_text(json.dumps(config(**changes)))
        return tmp_path

    return written


# that check loads a fresh interpreter and looks at no head: once is enough, below
@pytest.mark.parametrize("check", [c for c in CHECKS if c is not importing_is_cheap], ids=lambda c: c.__name__)
def test_it_keeps_the_contract(check: Callable[[Any], None], write: Write) -> None:
    check(Aligned(head=str(write())))


def test_importing_it_is_cheap(write: Write) -> None:
    importing_is_cheap(Aligned(head=str(write())))


def test_it_equals_the_head_on_the_stored_vectors(write: Write) -> None:
    stored = embedders.create("toy.letters", scale=2.0).embed(WORDS, device="cpu")
    found = Aligned(head=write()).embed(WORDS, device="cpu")
    expected = Head(layers())(torch.from_numpy(stored)).numpy()
    assert np.abs(found - expected).max() <= 1e-6


def test_a_head_is_what_torch_makes_of_its_layers() -> None:
    norm, first, _, last = layers()
    assert norm.weight is not None
    assert norm.bias is not None
    assert first.weight is not None
    assert last.weight is not None
    x = torch.tensor([[1.0, 2.0, 4.0], [0.0, -1.0, 3.0]])
    centred = x - x.mean(1, keepdim=True)
    normed = centred / (centred.square().mean(1, keepdim=True) + 1e-5).sqrt() * norm.weight + norm.bias
    hidden = normed @ first.weight.T + first.bias
    active = hidden * 0.5 * (1 + torch.erf(hidden / 2**0.5))
    made = active @ last.weight.T + last.bias
    assert torch.allclose(Head(layers())(x), made / made.norm(dim=1, keepdim=True), atol=1e-6)


def test_its_space_names_the_anchor_and_the_head(write: Write) -> None:
    folder = write()
    spec = Aligned(head=str(folder)).spec
    other = Head(layers(6))
    assert spec.space.startswith("photos+head:")
    assert len(spec.space) == len("photos+head:") + 16
    assert (spec.modality, spec.dim, spec.normalized) == ("toy", 4, True)
    assert Aligned(head=str(write(other))).spec.space != spec.space


def test_what_the_embedder_below_says_of_a_sample_is_said(write: Write) -> None:
    aligned = Aligned(head=str(write()))
    assert aligned.flags("extraordinary") == ("long",)
    assert aligned.cost("bell") == 4
    assert aligned.batch_cost == 24


def test_it_is_run_and_fed_as_the_embedder_below_is(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    aligned = Aligned(head=str(write()))
    assert (aligned.accelerators, aligned.media_side, aligned.prepare_fast("bell")) == ((), None, "bell")
    below = type(aligned.below)
    monkeypatch.setattr(below, "accelerators", ("openvino",))
    monkeypatch.setattr(below, "media_side", 224)
    monkeypatch.setattr(below, "prepare_fast", lambda self, media: media[:2])
    assert (aligned.accelerators, aligned.media_side, aligned.prepare_fast("bell")) == (("openvino",), 224, "be")


def test_its_fingerprint_holds_the_weights_and_versions_below(write: Write) -> None:
    below = {"class": "tests.toy:Letters", "options": {"weights": "random:3"}, "space": "toy:1.0"}
    aligned = Aligned(head=str(write(embedder={**below, "weights": {"seed": 3}})))
    found = aligned.fingerprint(Runtime())
    assert found["weights"]["seed"] == 3
    assert len(found["weights"]["head_sha256"]) == 64
    assert "multimodal-embedders" in found["versions"]
    assert found["versions"] == aligned.identity["versions"]
    assert aligned.embed(["bell"], device="cpu").shape == (1, 4)


def test_a_head_onto_a_random_anchor_carries_no_meaning_either(write: Write) -> None:
    assert Aligned(head=str(write(anchor={"weights": {"seed": 7}}))).weights_identity["seed"] == 7


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"embedder": {"space": "toy:1.0"}}, "learned for vectors of 'toy:1.0'.*leads to 'toy:2.0'"),
        ({"embedder": {"dim": 5}}, "5 dimensions"),
        ({"embedder": {"class": "tests.toy:Nobody"}}, "needs toy.letters, which cannot be made"),
        ({"embedder": {"options": {"colour": 1}}}, "no option 'colour'"),
        ({"embedder": {"weights": {"sha256": "00"}}}, "with the weights .*00"),
        ({"head": 2}, "version 2"),
        ({"layers": ["layernorm", "affine", "gelu"]}, "end in 5 dimensions and 2 tensors"),
        ({"layers": ["affine", "affine", "gelu", "affine"]}, "Layer 0 .*'affine', cannot take vectors of 3"),
        ({"layers": ["layernorm", "affine", "swish", "affine"]}, "Layer 2 .*'swish'"),
        ({"anchor": {"dim": 7}}, "promises 7"),
        ({"layers": None}, "does not describe a head: its layers are no list"),
        ({"embedder": {"options": None}}, "does not describe a head"),
    ],
)
def test_a_head_of_something_else_is_refused(write: Write, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SetupError, match=message):
        Aligned(head=str(write(**changes))).embed(["bell"], device="cpu")


def test_a_renamed_file_of_weights_is_still_the_same(write: Write) -> None:
    folder = write(embedder={"weights": {"file": "old.safetensors"}})
    assert len(Aligned(head=str(folder)).embed(["bell"], device="cpu")) == 1


@pytest.mark.parametrize("content", ["", "{", "[]", "{}"])
def test_a_folder_without_a_config_is_no_head(write: Write, content: str) -> None:
    folder = write()
    (folder / "config.json").write_text(content)
    with pytest.raises(SetupError, match=r"config\.json"):
        _ = Aligned(head=str(folder)).spec


def test_a_folder_without_weights_is_no_head(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=r"holds no model\.safetensors"):
        _ = Aligned(head=str(tmp_path)).spec


def test_damaged_weights_are_refused(write: Write) -> None:
    folder = write()
    (folder / "model.safetensors").write_bytes(b"not tensors")
    with pytest.raises(SetupError, match="cannot be read"):
        Aligned(head=str(folder)).embed(["bell"], device="cpu")


def test_without_a_head_there_is_nothing_to_make() -> None:
    with pytest.raises(UsageError, match="Aligned needs a head"):
        Aligned()

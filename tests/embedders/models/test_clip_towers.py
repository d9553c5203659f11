from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from open_clip import pretrained
from open_clip.transform import PreprocessCfg, image_transform_v2, merge_preprocess_dict
from PIL import Image
from safetensors.torch import save_file

from embedders import Runtime, SetupError, UsageError
from embedders.models.clip import ClipImage, ClipText
from embedders.models.clip_towers import DEFAULT_MODEL, DEFAULT_TAG, DEFAULTS, PINNED, Source
from embedders.weights import Download, Hub
from tests.embedders import parity
from tests.embedders.models.tiny_clip import MODELS, TEXTS, in_folder, noise, upstream

pytestmark = pytest.mark.usefixtures("folder")


def test_every_tag_of_open_clip_has_its_own_preprocessing_and_address() -> None:
    picture, seen, refused = noise(90, 120), set(), 0
    for model, tag in open_clip.list_pretrained():
        given, config = pretrained.get_pretrained_cfg(model, tag), open_clip.get_model_config(model)
        try:
            source = Source.of(model, tag)
        except UsageError as error:
            assert bool(given.get("quick_gelu")) != bool(config.get("quick_gelu")), (model, tag)
            refused += "QuickGELU" in str(error)
            continue
        assert source.space == f"open_clip:{model}/{tag}"
        assert isinstance(source.weights, Hub if given.get("hf_hub") else Download)
        size = config["vision_cfg"].get("image_size", 224)
        theirs = PreprocessCfg(**merge_preprocess_dict(PreprocessCfg(size=size), given))
        if source.preprocess not in seen:
            ours = source.preprocess.normalise(source.preprocess.collate([source.preprocess.frame(picture)]))[0]
            assert torch.equal(ours, image_transform_v2(theirs, is_train=False)(Image.fromarray(picture)))
            seen.add(source.preprocess)
    assert len(seen) > 20
    assert refused > 5


@pytest.mark.parametrize(
    ("model", "tag", "right"),
    [
        ("ViT-B-32", "openai", "ViT-B-32-quickgelu"),
        ("ViT-B/32", "openai", "ViT-B-32-quickgelu"),
        ("RN50", "openai", "RN50-quickgelu"),
        ("ViT-B-32-quickgelu", "laion2b_s34b_b79k", "ViT-B-32"),
    ],
)
def test_weights_of_the_other_activation_are_refused_and_the_right_model_is_named(
    model: str, tag: str, right: str
) -> None:
    for cls in (ClipImage, ClipText):
        with pytest.raises(UsageError, match=f"'{right}'"):
            _ = cls(model=model, weights=tag).spec
        with pytest.raises(UsageError, match=f"'{right}'"):
            cls(model=model, weights=tag).load(Runtime())


def test_the_pinned_default_is_the_tag_of_open_clip() -> None:
    given = pretrained.get_pretrained_cfg(DEFAULT_MODEL, DEFAULT_TAG)
    source = Source.of(DEFAULT_MODEL, DEFAULT_TAG)
    assert given["hf_hub"] == PINNED.repo + "/"
    assert source.weights.identity == {"hub": PINNED.repo, "revision": PINNED.revision}
    assert {name: given[name] for name in DEFAULTS if name in given} == {
        name: value for name, value in DEFAULTS.items() if name in given
    }
    assert not given.get("quick_gelu")


def test_the_defaults_written_down_are_those_of_open_clip() -> None:
    assert dict(DEFAULTS) == {name: getattr(PreprocessCfg(), name) for name in DEFAULTS}


def test_the_spec_is_read_without_torch(folder: Path) -> None:
    script = f"""
import sys
from embedders.models.clip import ClipImage, ClipText
for cls in ClipImage, ClipText:
    assert (cls().spec.space, cls().spec.dim) == ("open_clip:ViT-B-32/laion2b_s34b_b79k", 512)
    assert cls(model="ViT-L-14", weights="random:2").spec.dim == 768
    assert "sha256" in cls(weights={str(folder / "tiny.pt")!r}).weights_identity
assert ClipText().spec.details["context_length"] == 77
print([name for name in ("torch", "open_clip", "PIL", "transformers") if name in sys.modules])
"""
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


@pytest.mark.parametrize("name", sorted(MODELS))
def test_each_embedder_holds_its_own_tower_alone(folder: Path, name: str) -> None:
    model, _, _ = upstream(name, folder / f"{name}.pt")
    sizes = {k: v.numel() for k, v in model.named_parameters() if k != "logit_scale"}
    visual = sorted(size for k, size in sizes.items() if k.startswith("visual."))
    text = sorted(size for k, size in sizes.items() if not k.startswith("visual."))
    for cls, expected in ((ClipImage, visual), (ClipText, text)):
        runtime = parity.Recording()
        runtime.placed.clear()
        cls(model=name, weights=folder / f"{name}.pt").load(runtime)
        assert sorted(p.numel() for part in runtime.placed for p in part.parameters()) == expected
        assert not any(module.training for part in runtime.placed for module in part.modules())
        assert not any(p.requires_grad for part in runtime.placed for p in part.parameters())


def test_both_towers_share_a_space_that_tells_weights_apart(folder: Path, tmp_path: Path) -> None:
    published = in_folder(tmp_path / "published", "tiny")
    choices: list[Any] = [folder / "tiny.pt", "random:0", "random:1", published]
    spaces = [
        (ClipImage(model="tiny", weights=w).spec.space, ClipText(model="tiny", weights=w).spec.space)
        for w in choices
    ]
    assert all(image == text for image, text in spaces)
    assert len(set(spaces)) == len(choices)
    digest = ClipImage(model="tiny", weights=folder / "tiny.pt").weights_identity["sha256"]
    assert spaces[0][0] == f"open_clip:tiny/{digest}"
    assert spaces[1][0] == "open_clip:tiny/random:0"


@pytest.mark.parametrize("changed", [{}, {"resize_mode": "squash"}, {"resize_mode": "longest", "fill_color": 99}])
def test_a_folder_brings_its_architecture_and_preprocessing(tmp_path: Path, changed: dict[str, Any]) -> None:
    published = in_folder(tmp_path / "published", "tiny-quickgelu", **changed)
    model, transform, tokenizer = upstream(f"local-dir:{published}", None)
    images, texts = ClipImage(weights=published, normalize=False), ClipText(weights=published, normalize=False)
    picture = noise(50, 70)
    with torch.inference_mode():
        expected = model.encode_image(transform(Image.fromarray(picture))[None]).numpy()
        assert np.abs(parity.embed_media(images, [picture], 1) - expected).max() <= 1e-6
        assert parity.relative_l2(parity.embed_media(texts, TEXTS, 7), model.encode_text(tokenizer(TEXTS))) <= 1e-6
    assert images.spec.details["quick_gelu"] is True
    assert images.spec.details["preprocess"]["mean"] == [0.1, 0.2, 0.3]


def test_a_training_checkpoint_loads_through_open_clips_own_conversion(folder: Path, tmp_path: Path) -> None:
    state = torch.load(folder / "tiny.pt", weights_only=True)
    wrapped = {"epoch": 3, "state_dict": {f"module.{name}": value for name, value in state.items()}}
    torch.save(wrapped, tmp_path / "epoch_3.pt")
    save_file(state, tmp_path / "tiny.safetensors")
    plain, *others = (
        parity.embed_media(ClipText(model="tiny", weights=path), TEXTS, 7)
        for path in (folder / "tiny.pt", tmp_path / "epoch_3.pt", tmp_path / "tiny.safetensors")
    )
    assert all(np.array_equal(plain, other) for other in others)


def test_a_tag_loads_what_the_hub_holds_and_preprocesses_as_the_tag_says(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_file(torch.load(folder / "tiny.pt", weights_only=True), tmp_path / "open_clip_model.safetensors")
    given = {"hf_hub": "org/tiny/", "mean": (0.5,) * 3, "std": (0.5,) * 3, "resize_mode": "squash"}
    monkeypatch.setitem(pretrained._PRETRAINED, "tiny", {"made_here": given})
    monkeypatch.setattr(Hub, "fetch", lambda self, one_of, also=(): tmp_path)
    monkeypatch.setattr(Hub, "pinned", lambda self: Hub(self.repo, "0" * 40))
    model, _, _ = upstream("tiny", folder / "tiny.pt")
    transform = image_transform_v2(PreprocessCfg(**merge_preprocess_dict(PreprocessCfg(size=32), given)), False)
    picture = noise(60, 40)
    found = parity.embed_media(ClipImage(model="tiny", weights="Made-Here", normalize=False), [picture], 1)
    with torch.inference_mode():
        expected = model.encode_image(transform(Image.fromarray(picture))[None]).numpy()
    assert np.abs(found - expected).max() <= 1e-6
    assert ClipText(model="tiny", weights="made_here").spec.space == "open_clip:tiny/made_here"


def test_a_checkpoint_of_another_architecture_is_refused(folder: Path) -> None:
    with pytest.raises(SetupError, match="Missing key"):
        ClipImage(model="tiny-resnet", weights=folder / "tiny.pt").load(Runtime())


def test_a_folder_without_weights_is_refused_and_never_random(tmp_path: Path) -> None:
    published = in_folder(tmp_path / "published", "tiny")
    (published / "open_clip_model.safetensors").unlink()
    with pytest.raises(SetupError, match="could not be loaded"):
        ClipImage(weights=published).load(Runtime())


@pytest.mark.parametrize("content", [None, "{}", "[]", "{broken", '{"model_cfg": {"embed_dim": 3}}'])
def test_a_folder_without_configuration_is_refused(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "open_clip_config.json").write_text(content)
    with pytest.raises(SetupError, match=r"open_clip_config\.json"):
        _ = ClipImage(weights=tmp_path).spec


def test_a_damaged_checkpoint_is_refused(folder: Path, tmp_path: Path) -> None:
    for name, content in (
        ("cut.pt", (folder / "tiny.pt").read_bytes()[:5000]),
        ("noise.safetensors", b"\x00" * 99),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(SetupError, match=name):
            ClipImage(model="tiny", weights=tmp_path / name).load(Runtime())


def test_a_pickle_that_would_run_code_is_refused(tmp_path: Path) -> None:
    class Exploding:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "marker",))

    torch.save({"visual.conv1.weight": Exploding()}, tmp_path / "bad.pt")
    with pytest.raises(SetupError, match=r"bad\.pt"):
        ClipImage(model="tiny", weights=tmp_path / "bad.pt").load(Runtime())
    assert not (tmp_path / "marker").exists()


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"model": "ViT-B-33"}, "Did you mean 'ViT-B-32'"),
        ({"weights": "laion2b_s34b_b79"}, "Did you mean 'laion2b_s34b_b79k'"),
        ({"model": "hf-hub:org/name", "weights": "random:0"}, "no model"),
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest(options: dict[str, Any], complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        _ = ClipImage(**options).spec


def test_loading_leaves_the_root_logger_as_it_was(folder: Path) -> None:
    root = logging.getLogger()
    before = list(root.handlers)
    ClipText(model="tiny", weights="random:0").load(Runtime())
    assert root.handlers == before

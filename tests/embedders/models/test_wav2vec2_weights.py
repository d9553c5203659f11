"""What is loaded from where, what is known before, and what is refused."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from embedders import Runtime, SetupError, UsageError
from embedders.models import wav2vec2
from embedders.models.wav2vec2 import Wav2Vec2
from embedders.weights import Hub
from tests.embedders.models.clips import clips
from tests.embedders.models.tiny_speech import GROUP, SMALL, alone, build, save, transformers, upstream
from tests.embedders.parity import embed_media, relative_l2

Fetch = Callable[[str], Path]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Fetch:
    """The folder of a family's model, made when it is first asked for."""
    return functools.cache(lambda family: save(family, tmp_path_factory.mktemp("model")))


@pytest.mark.parametrize("file", ["preprocessor_config.json", "processor_config.json"])
def test_the_folder_says_whether_samples_are_standardised(file: str, folder: Fetch, tmp_path: Path) -> None:
    model = build("wavlm group")
    model.save_pretrained(tmp_path)
    settings: dict[str, Any] = {"do_normalize": False, "sampling_rate": 16_000}
    if file.startswith("processor"):
        settings = {"feature_extractor": settings}
    (tmp_path / file).write_text(json.dumps(settings))
    embedder = Wav2Vec2(weights=str(tmp_path), normalize=False)
    expected = np.stack([alone(model, media, normalize=False).mean(0) for media in clips()])
    assert embedder.spec.details["standardise"] is False
    assert relative_l2(embed_media(embedder, clips(), 4), expected) < 1e-5


def test_a_broken_parameter_is_refused(folder: Fetch, tmp_path: Path) -> None:
    model = upstream("wav2vec2 group", folder("wav2vec2 group"))
    with torch.no_grad():
        model.feature_projection.projection.bias[3] = float("nan")
    model.save_pretrained(tmp_path)
    with pytest.raises(SetupError, match=r"1 of .* are NaN or infinite"):
        Wav2Vec2(weights=str(tmp_path)).load(Runtime())


def test_the_head_of_a_fine_tuned_model_is_dropped(tmp_path: Path) -> None:
    model = build("wav2vec2 group", "ForCTC")
    model.save_pretrained(tmp_path)
    embedder = Wav2Vec2(weights=str(tmp_path), normalize=False)
    expected = np.stack([alone(model.wav2vec2, media).mean(0) for media in clips()])
    assert relative_l2(embed_media(embedder, clips(), 3), expected) < 1e-5


def test_old_checkpoints_load(folder: Fetch, tmp_path: Path) -> None:
    source = folder("wav2vec2 group")
    state = load_file(source / "model.safetensors")
    old = {"parametrizations.weight.original0": "weight_g", "parametrizations.weight.original1": "weight_v"}
    for new, name in old.items():
        state["encoder.pos_conv_embed.conv." + name] = state.pop("encoder.pos_conv_embed.conv." + new)
    state.pop("masked_spec_embed")
    torch.save(state, tmp_path / "pytorch_model.bin")
    (tmp_path / "config.json").write_bytes((source / "config.json").read_bytes())
    new_vectors, old_vectors = (embed_media(Wav2Vec2(weights=str(path)), clips(), 3) for path in (source, tmp_path))
    assert np.array_equal(new_vectors, old_vectors)


def test_a_missing_parameter_is_an_error_and_not_noise(folder: Fetch, tmp_path: Path) -> None:
    source = folder("hubert group")
    state = load_file(source / "model.safetensors")
    del state["encoder.layers.1.attention.q_proj.weight"]
    save_file(state, tmp_path / "model.safetensors", {"format": "pt"})
    (tmp_path / "config.json").write_bytes((source / "config.json").read_bytes())
    with pytest.raises(SetupError, match=r"lacks 1 parameters.*layers\.1\.attention\.q_proj\.weight"):
        Wav2Vec2(weights=str(tmp_path)).forward(Runtime())


def test_another_kind_of_model_is_refused(tmp_path: Path) -> None:
    transformers.BertConfig().save_pretrained(tmp_path)
    with pytest.raises(SetupError, match="'bert'"):
        _ = Wav2Vec2(weights=str(tmp_path)).spec


def test_an_adapter_behind_the_encoder_is_refused(tmp_path: Path) -> None:
    config = transformers.Wav2Vec2Config(**{**SMALL, **GROUP, "add_adapter": True, "output_hidden_size": 32})
    transformers.Wav2Vec2Model(config).save_pretrained(tmp_path)
    with pytest.raises(SetupError, match="adapter"):
        Wav2Vec2(weights=str(tmp_path)).forward(Runtime())


def test_damaged_preprocessing_is_an_error(folder: Fetch, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes((folder("wav2vec2 group") / "config.json").read_bytes())
    (tmp_path / "preprocessor_config.json").write_text("{")
    with pytest.raises(SetupError, match=r"preprocessor_config\.json cannot be read"):
        _ = Wav2Vec2(weights=str(tmp_path)).spec


def test_a_folder_without_a_model_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="no model that transformers can load"):
        _ = Wav2Vec2(weights=str(tmp_path)).spec


def test_a_known_id_that_is_something_else_is_an_error(folder: Fetch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Hub, "fetch", lambda self, one_of, also=(): folder("wav2vec2 group"))
    with pytest.raises(SetupError, match="is known as"):
        Wav2Vec2().forward(Runtime())


def test_another_id_of_the_hub_is_read_from_its_files(folder: Fetch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Hub, "fetch", lambda self, one_of, also=(): folder("hubert layer"))
    embedder = Wav2Vec2(weights=f"someone/model@{'ab' * 20}")
    assert (embedder.spec.space, embedder.spec.dim) == ("transformers:someone/model@abababababab/layer=mean", 32)
    assert embedder.spec.details["kind"] == "hubert"
    assert embedder.weights_identity == {"hub": "someone/model", "revision": "ab" * 20}


def test_an_id_without_preprocessing_is_refused_and_not_guessed(
    folder: Fetch, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fetch(hub: Hub, one_of: tuple[str, ...], also: tuple[str, ...] = ()) -> Path:
        if "config.json" not in one_of:
            raise SetupError(f"{hub.repo} holds none of {one_of}")
        return folder("hubert layer")

    monkeypatch.setattr(Hub, "fetch", fetch)
    with pytest.raises(SetupError, match=r"holds none of .*preprocessor_config\.json"):
        _ = Wav2Vec2(weights=f"someone/model@{'ab' * 20}").spec


@pytest.mark.parametrize("layer", ["first", 13, -1, True, 1.5, None])
def test_a_layer_that_is_not_there_is_refused(layer: Any) -> None:
    with pytest.raises(UsageError, match="no layer"):
        _ = Wav2Vec2(layer=layer).spec


@pytest.mark.parametrize("name", wav2vec2.PUBLISHED)
def test_known_models_need_no_network_for_their_spec(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Hub, "fetch", lambda *_: pytest.fail("asked the hub"))
    embedder = Wav2Vec2(weights=name, layer=12)
    spec = embedder.spec
    assert (spec.modality, spec.dim, spec.normalized) == ("audio", 768, True)
    assert spec.space == f"transformers:{name}/layer=12"
    assert len(embedder.weights_identity["revision"]) == 40
    assert embedder.prepare(clips()[0]).windows


def test_the_seeded_architecture_is_upstreams_default() -> None:
    config, facts = transformers.Wav2Vec2Config(), Wav2Vec2(weights="random:0")._facts
    assert (config.hidden_size, config.num_hidden_layers) == (facts.dim, facts.layers)
    assert (tuple(config.conv_kernel), tuple(config.conv_stride)) == (facts.stem.kernels, facts.stem.strides)


def test_different_meaning_is_a_different_space(folder: Fetch) -> None:
    options: list[dict[str, Any]] = [
        {},
        {"layer": "last"},
        {"layer": 12},
        {"weights": "random:0"},
        {"weights": "random:1"},
        {"weights": "facebook/wav2vec2-base-960h"},
        {"weights": f"facebook/wav2vec2-base@{'0' * 40}"},
        {"weights": str(folder("wav2vec2 group"))},
        {"weights": str(folder("wav2vec2 layer"))},
    ]
    spaces = set()
    for option in options:
        embedder = Wav2Vec2(**option)
        if "@" in str(option.get("weights", "")):
            embedder.__dict__["_facts"] = Wav2Vec2(weights="random:0")._facts
        spaces.add(embedder.spec.space)
    assert len(spaces) == len(options)


def test_loading_is_silent(folder: Fetch, capfd: pytest.CaptureFixture[str]) -> None:
    path = folder("wavlm group")
    capfd.readouterr()  # upstream's bar as it saved the folder
    Wav2Vec2(weights=str(path)).forward(Runtime())
    assert capfd.readouterr() == ("", "")

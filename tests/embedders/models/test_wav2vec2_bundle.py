"""Against torchaudio's own bundles with the clip alone: small architectures under the names of real bundles."""

from __future__ import annotations

import builtins
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
import torchaudio
from torchaudio.pipelines import Wav2Vec2ASRBundle as UpstreamASR
from torchaudio.pipelines import Wav2Vec2Bundle as Upstream

from embedders import Runtime, SetupError, UsageError, Waveform
from embedders.conformance import CHECKS, vectors_are_the_same_in_another_process
from embedders.models.wav2vec2 import Wav2Vec2
from embedders.models.wav2vec2_bundle import Wav2Vec2Bundle
from tests.embedders.models.clips import clips, perturb
from tests.embedders.parity import embed_media, mixed_batches, relative_l2, smallest_cosine

SMALL = {
    "extractor_conv_layer_config": [(32, 10, 5), *[(32, 3, 2)] * 4, *[(32, 2, 2)] * 2],
    "encoder_embed_dim": 32,
    "encoder_pos_conv_kernel": 16,
    "encoder_pos_conv_groups": 4,
    "encoder_num_layers": 2,
    "encoder_num_heads": 4,
    "encoder_ff_interm_features": 64,
}
NAMES = {
    "wav2vec2 group": "WAV2VEC2_BASE",
    "wav2vec2 layer": "WAV2VEC2_XLSR53",
    "hubert group": "HUBERT_BASE",
    "hubert layer": "HUBERT_LARGE",
    "wavlm group": "WAVLM_BASE",
    "wavlm layer": "WAVLM_LARGE",
    "with a head": "WAV2VEC2_ASR_BASE_960H",
}
FAMILIES = list(NAMES)

# the bundles are made small in this process, and are full-sized in another
HERE = [check for check in CHECKS if check is not vectors_are_the_same_in_another_process]


@pytest.fixture
def bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Any]:
    """A family's bundle made small, its parameters where downloads are kept; upstream loads it from there too."""
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    (tmp_path / "checkpoints").mkdir()

    def make(family: str) -> Any:
        name = NAMES[family]
        real = getattr(torchaudio.pipelines, name)
        small = {**real._params, **SMALL}
        if "encoder_num_buckets" in small:
            small |= {"encoder_num_buckets": 20, "encoder_max_distance": 40}
        kind = UpstreamASR if isinstance(real, UpstreamASR) else Upstream
        labels = {"_labels": real._labels} if kind is UpstreamASR else {}
        made = kind(real._path, small, real._sample_rate, real._normalize_waveform, real._model_type, **labels)
        build = torchaudio.models.wavlm_model if made._model_type == "WavLM" else torchaudio.models.wav2vec2_model
        torch.manual_seed(0)
        # the published heads hold three more rows, which upstream removes
        heads = {"aux_num_out": small["aux_num_out"] + 3} if small["aux_num_out"] else {}
        torch.save(perturb(build(**{**small, **heads})).state_dict(), tmp_path / "checkpoints" / real._path)
        monkeypatch.setattr(torchaudio.pipelines, name, made)
        return made

    return make


@torch.no_grad()
def _alone(model: Any, media: Waveform) -> npt.NDArray[np.float32]:
    """Upstream's layers for one clip, averaged over time: ``(layers, dim)``."""
    states, _ = model.extract_features(torch.from_numpy(media.samples)[None])
    return np.stack([np.asarray(state[0].mean(0)) for state in states])


@pytest.mark.parametrize("family", FAMILIES)
def test_vectors_equal_upstream_alone_in_any_batch(family: str, bundle: Callable[[str], Any]) -> None:
    model = bundle(family).get_model()
    expected = np.stack([_alone(model, media).mean(0) for media in clips()])
    embedder = Wav2Vec2Bundle(weights=NAMES[family], layer="mean", normalize=False)
    for batch, vectors in mixed_batches(embedder, clips()).items():
        assert relative_l2(vectors, expected) < 1e-5, batch
        assert smallest_cosine(vectors, expected) > 0.999999, batch


@pytest.mark.parametrize(("layer", "index"), [("last", 1), (1, 0), (2, 1)])
def test_layers_count_from_one(layer: str | int, index: int, bundle: Callable[[str], Any]) -> None:
    model = bundle("wavlm layer").get_model()
    expected = np.stack([_alone(model, media)[index] for media in clips()])
    embedder = Wav2Vec2Bundle(weights="WAVLM_LARGE", layer=layer, normalize=False)
    assert relative_l2(embed_media(embedder, clips(), 4), expected) < 1e-5


def test_upstream_normalises_over_the_whole_batch(bundle: Callable[[str], Any]) -> None:
    model = bundle("hubert layer").get_model()
    loud, quiet = (torch.from_numpy(clip.samples) for clip in clips((4000, 4000)))
    with torch.no_grad():
        together = model.extract_features(torch.stack([5 * loud, quiet]))[0][-1][1]
        alone = model.extract_features(quiet[None])[0][-1][0]
    assert relative_l2(together.mean(0), alone.mean(0)) > 1e-2


def test_upstream_lets_padding_into_the_group_norm(bundle: Callable[[str], Any]) -> None:
    model = bundle("wav2vec2 group").get_model()
    short, long = (torch.from_numpy(clip.samples) for clip in clips((3000, 8000)))
    waves = torch.nn.utils.rnn.pad_sequence([short, long], batch_first=True)
    with torch.no_grad():
        states, frames = model.extract_features(waves, torch.tensor([3000, 8000]))
        alone = model.extract_features(short[None])[0][-1][0]
    assert relative_l2(states[-1][0, : frames[0]].mean(0), alone.mean(0)) > 1e-2


def test_upstreams_wavlm_refuses_lengths(bundle: Callable[[str], Any]) -> None:
    model = bundle("wavlm group").get_model()
    with pytest.raises(AssertionError):
        model.extract_features(torch.zeros(2, 4000), torch.tensor([3000, 4000]))


def test_only_bundles_that_ask_for_it_get_standardised_samples() -> None:
    (media,) = clips((4000,))
    (plain,) = Wav2Vec2Bundle(weights="WAV2VEC2_BASE").prepare(media).windows
    (ready,) = Wav2Vec2Bundle(weights="WAV2VEC2_XLSR53").prepare(media).windows
    samples = torch.from_numpy(media.samples)
    assert np.array_equal(plain, media.samples)
    assert np.allclose(ready, torch.nn.functional.layer_norm(samples, samples.shape), atol=2e-6)


@pytest.mark.parametrize("family", ["hubert layer", "wavlm group"])
@pytest.mark.parametrize("check", HERE, ids=lambda check: check.__name__)
def test_contract(check: Any, family: str, bundle: Callable[[str], Any]) -> None:
    bundle(family)
    check(Wav2Vec2Bundle(weights="random:3", bundle=NAMES[family], window_seconds=0.3))


def test_a_file_is_read_into_the_named_architecture(bundle: Callable[[str], Any], tmp_path: Path) -> None:
    made = bundle("hubert layer")
    by_file = Wav2Vec2Bundle(weights=str(tmp_path / "checkpoints" / made._path), bundle="HUBERT_LARGE")
    by_name = Wav2Vec2Bundle(weights="HUBERT_LARGE")
    assert np.array_equal(embed_media(by_file, clips(), 3), embed_media(by_name, clips(), 3))
    assert by_file.spec.space != by_name.spec.space


def test_a_file_of_another_architecture_is_an_error(bundle: Callable[[str], Any], tmp_path: Path) -> None:
    made = bundle("hubert layer")
    embedder = Wav2Vec2Bundle(weights=str(tmp_path / "checkpoints" / made._path), bundle="WAVLM_BASE")
    with pytest.raises(SetupError, match="does not fit the architecture of WAVLM_BASE"):
        embedder.forward(Runtime())


def test_the_same_seed_gives_the_same_parameters(bundle: Callable[[str], Any]) -> None:
    bundle("wav2vec2 group")
    first, again, other = (
        embed_media(Wav2Vec2Bundle(weights=f"random:{seed}"), clips((4000, 1600)), 2) for seed in (5, 5, 6)
    )
    assert np.array_equal(first, again)
    assert relative_l2(first, other) > 1e-2


@pytest.mark.parametrize(
    ("name", "dim"), [("WAV2VEC2_BASE", 768), ("WAVLM_LARGE", 1024), ("WAV2VEC2_XLSR_2B", 1920)]
)
def test_the_bundle_says_how_many_dimensions(name: str, dim: int) -> None:
    embedder = Wav2Vec2Bundle(weights=name)
    assert (embedder.spec.modality, embedder.spec.dim) == ("audio", dim)
    assert embedder.weights_identity["url"].startswith("https://download.pytorch.org/torchaudio/models/")


def test_every_bundle_can_be_named() -> None:
    for name in torchaudio.pipelines.__all__:
        if isinstance(getattr(torchaudio.pipelines, name), Upstream):
            assert Wav2Vec2Bundle(weights=name).spec.space == f"torchaudio:{name}/layer=last"


def test_no_space_is_shared_with_transformers() -> None:
    ours = {Wav2Vec2Bundle(layer=layer).spec.space for layer in ("last", "mean", 12)}
    seeded = {Wav2Vec2Bundle(weights="random:0", bundle=name).spec.space for name in ("WAVLM_BASE", "HUBERT_BASE")}
    theirs = {
        Wav2Vec2(weights=w, layer=x).spec.space
        for w in ("facebook/wav2vec2-base", "random:0")
        for x in ("last", 12)
    }
    assert len(ours | seeded | theirs) == 3 + 2 + 4


@pytest.mark.parametrize("layer", [0, 13, -1, "first", True])
def test_a_layer_that_is_not_there_is_refused(layer: Any) -> None:
    with pytest.raises(UsageError, match="no layer"):
        _ = Wav2Vec2Bundle(layer=layer).spec


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"weights": "WAV2VEC2_BAES"}, "Did you mean 'WAV2VEC2_BASE'"),
        ({"weights": "facebook/wav2vec2-base"}, "no bundle of torchaudio"),
        ({"weights": "random:0", "bundle": "NOTHING"}, "no bundle 'NOTHING'"),
        ({"weights": "HUBERT_BASE", "bundle": "WAVLM_BASE"}, "a bundle of its own"),
    ],
)
def test_what_names_no_bundle_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        _ = Wav2Vec2Bundle(**options).spec


def test_missing_weights_name_the_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    with pytest.raises(
        SetupError, match=r"download\.pytorch\.org/torchaudio/models/hubert_fairseq_base_ls960\.pth"
    ):
        Wav2Vec2Bundle(weights="HUBERT_BASE").forward(Runtime())


@pytest.mark.parametrize("error", [ImportError, OSError("libcudart.so.13: cannot open"), RuntimeError("CUDA")])
def test_a_torchaudio_that_does_not_fit_torch_is_an_error_of_the_setup(
    error: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = builtins.__import__

    def broken(name: str, *rest: Any) -> Any:
        if name.startswith("torchaudio"):
            raise error
        return plain(name, *rest)

    monkeypatch.setattr(builtins, "__import__", broken)
    with pytest.raises(SetupError, match=r"installed: torch [\d.]+.*, torchaudio [\d.]+"):
        _ = Wav2Vec2Bundle().spec

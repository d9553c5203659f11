from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.models import ResNet50_Weights, resnet50
from torchvision.transforms import functional

from embedders import BadInput, Runtime, SetupError, UsageError
from embedders.base import check_rows, row_failures
from embedders.modality import Pixels
from embedders.models.resnet import KNOWN, TRANSFORMS, ResNet50
from tests.embedders import parity

TAGS = sorted(TRANSFORMS)
SIDES = [
    (1, 1),
    (17, 17),
    (224, 224),
    (232, 232),
    (231, 500),
    (500, 231),
    (300, 225),
    (17, 136),
    (1000, 777),
    (10, 300),
    (300, 10),
]
LONG_SIDES = [(1, 300), (300, 1), (3, 700), (1000, 4), (20, 4100), (4001, 17)]


@pytest.fixture(scope="module")
def upstream() -> torch.nn.Module:
    """Seeded weights whose batch statistics and gains are not the trivial ones of a fresh network."""
    with torch.random.fork_rng():
        torch.manual_seed(7)
        network = resnet50(weights=None)
        for module in network.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                torch.nn.init.uniform_(module.weight, 0.6, 1.2)
                torch.nn.init.normal_(module.bias, std=0.1)
        with torch.no_grad():
            for _ in range(3):
                network(torch.randn(4, 3, 64, 64))
    return network.eval()  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def checkpoint(upstream: torch.nn.Module, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "resnet50.pth"
    torch.save(upstream.state_dict(), path)
    return path


@pytest.fixture(scope="module")
def embedder(checkpoint: Path) -> ResNet50:
    return ResNet50(weights=str(checkpoint))


def noise(height: int, width: int, seed: int = 0) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def features(network: torch.nn.Module, tag: str, picture: Pixels) -> torch.Tensor:
    """Upstream's own features of one picture: its transform, its network without the classifier."""
    body = torch.nn.Sequential(*list(network.children())[:-1], torch.nn.Flatten())
    with torch.inference_mode():
        found: torch.Tensor = body(ResNet50_Weights[tag].transforms()(Image.fromarray(picture))[None])
    return found


def blank(**changed: torch.Tensor | None) -> dict[str, torch.Tensor]:
    """A state dict of zeros that takes no space on disk; ``None`` leaves a tensor out."""
    with torch.device("meta"):
        shapes = {name: value.shape for name, value in resnet50(weights=None).state_dict().items()}
    state = {name: torch.zeros(()).expand(shape) for name, shape in shapes.items()}
    changes = {name.replace("__", "."): value for name, value in changed.items()}
    return {name: value for name, value in {**state, **changes}.items() if value is not None}


def saved(path: Path, state: object) -> str:
    torch.save(state, path)
    return str(path)


@pytest.mark.parametrize("tag", TAGS)
def test_the_numbers_written_down_are_those_of_torchvision(tag: str) -> None:
    weights, ours = ResNet50_Weights[tag], TRANSFORMS[tag]
    theirs = weights.transforms()
    assert (list(ours.mean), list(ours.std)) == (theirs.mean, theirs.std)
    assert ([ours.shorter], [ours.size[0]]) == (theirs.resize_size, theirs.crop_size)
    assert (ours.interpolation, theirs.antialias) == (theirs.interpolation.value, True)
    assert KNOWN[tag].identity["url"] == weights.url
    assert f"-{KNOWN[tag].identity['sha256_prefix']}.pth" in weights.url


@pytest.mark.parametrize("tag", TAGS)
@pytest.mark.parametrize("sides", SIDES)
def test_the_input_of_the_network_is_bitwise_upstreams(tag: str, sides: tuple[int, int]) -> None:
    picture, embedder = noise(*sides), ResNet50(weights=tag)
    sample = embedder.prepare(picture)
    assert (sample.dtype.name, sample.shape) == ("uint8", (224, 224, 3))
    found = TRANSFORMS[tag].normalise(embedder.collate([sample]))
    assert torch.equal(found[0], ResNet50_Weights[tag].transforms()(Image.fromarray(picture)))


@pytest.mark.parametrize("tag", TAGS)
@pytest.mark.parametrize("sides", LONG_SIDES)
def test_of_a_very_long_picture_the_part_is_resized_as_the_whole_would_be(tag: str, sides: tuple[int, int]) -> None:
    picture, transform = noise(*sides), ResNet50_Weights[tag].transforms()
    whole = functional.resize(Image.fromarray(picture), transform.resize_size, transform.interpolation)
    expected = np.asarray(functional.center_crop(whole, transform.crop_size)).astype(int)
    difference = np.abs(ResNet50(weights=tag).prepare(picture).astype(int) - expected)
    assert difference.max() <= 1  # of 255, on noise: a shift by a tenth of a pixel would be seen


def test_a_picture_of_1_by_5000_takes_little_memory() -> None:
    script = """
import resource
import numpy as np
from embedders.models.resnet import ResNet50
embedder = ResNet50()
embedder.prepare(np.zeros((8, 8, 3), np.uint8))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for picture in (np.full((1, 5000, 3), 9, np.uint8), np.full((5000, 1, 3), 9, np.uint8)):
    assert (embedder.prepare(picture) == 9).all()
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert int(found.stdout) < 20_000  # kilobytes; resizing the whole would take a gigabyte


def test_the_spec_is_read_without_torch() -> None:
    script = """
import sys
from embedders.models.resnet import ResNet50
print(ResNet50().spec.space, ResNet50(weights="random:3").spec.space, "torch" in sys.modules, "PIL" in sys.modules)
"""
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    spaces = ["torchvision:resnet50/IMAGENET1K_V2", "torchvision:resnet50/random:3"]
    assert found.stdout.split() == [*spaces, "False", "False"]


@pytest.mark.parametrize("tag", TAGS)
def test_one_picture_gives_upstreams_features(checkpoint: Path, upstream: torch.nn.Module, tag: str) -> None:
    embedder, picture = ResNet50(weights=str(checkpoint), transform=tag, normalize=False), noise(120, 200)
    found, expected = parity.embed_media(embedder, [picture], 1), features(upstream, tag, picture).numpy()
    assert (found.dtype.name, found.shape, found.flags.c_contiguous) == ("float32", (1, 2048), True)
    assert np.abs(found - expected).max() <= 1e-6
    assert expected.std() > 0.01


def test_neighbours_and_order_change_nothing(embedder: ResNet50, upstream: torch.nn.Module) -> None:
    pictures = [noise(*sides, seed) for seed, sides in enumerate(SIDES[1:])]
    expected = np.concatenate([features(upstream, "IMAGENET1K_V2", picture).numpy() for picture in pictures])
    for vectors in parity.mixed_batches(embedder, pictures, sizes=(1, 7, 32)).values():
        assert np.abs(vectors - parity.unit_rows(expected)).max() <= 1e-5
        assert parity.smallest_cosine(vectors, expected) >= 0.999999
        assert np.abs(np.linalg.norm(vectors, axis=1) - 1).max() <= 1e-6


def test_the_network_is_in_eval_mode_and_repeats_itself(checkpoint: Path) -> None:
    embedder, runtime = ResNet50(weights=str(checkpoint)), parity.Recording()
    forward = embedder.forward(runtime)
    batch = embedder.collate([embedder.prepare(noise(64, 64)), embedder.prepare(noise(90, 64))])
    assert torch.equal(forward(batch), forward(batch))
    network = runtime.placed[-1]
    assert not any(module.training for module in network.modules())
    assert not any(parameter.requires_grad for parameter in network.parameters())
    assert not any(name.startswith("fc") for name, _ in network.named_parameters())


def test_safetensors_hold_the_same_weights(upstream: torch.nn.Module, embedder: ResNet50, tmp_path: Path) -> None:
    from safetensors.torch import save_file

    save_file(upstream.state_dict(), tmp_path / "resnet50.safetensors")
    other, picture = ResNet50(weights=str(tmp_path / "resnet50.safetensors")), noise(50, 60)
    assert np.array_equal(parity.embed_media(other, [picture], 1), parity.embed_media(embedder, [picture], 1))
    assert other.spec.space != embedder.spec.space


def test_a_file_is_known_by_its_content(tmp_path: Path) -> None:
    first = ResNet50(weights=saved(tmp_path / "a.pth", blank()))
    (tmp_path / "b.pth").write_bytes((tmp_path / "a.pth").read_bytes())
    second = ResNet50(weights=tmp_path / "b.pth")
    sha = first.weights_identity["sha256"]
    assert first.spec.space == second.spec.space == f"torchvision:resnet50/{sha}"
    assert pickle.loads(pickle.dumps(first)).options == first.options


@pytest.mark.parametrize(
    ("changed", "complaint"),
    [
        ({"conv1__weight": torch.zeros(64, 3, 3, 3)}, r"conv1.weight has shape \(64, 3, 3, 3\) instead of"),
        ({"layer1__0__conv9__weight": torch.zeros(1)}, "layer1.0.conv9.weight is unknown"),
        (
            {"bn1__bias": None, "layer4__2__bn3__weight": None},
            "bn1.bias is missing; layer4.2.bn3.weight is missing",
        ),
    ],
)
def test_another_state_dict_is_refused_by_name(
    tmp_path: Path, changed: dict[str, torch.Tensor | None], complaint: str
) -> None:
    embedder = ResNet50(weights=saved(tmp_path / "other.pth", blank(**changed)))
    with pytest.raises(SetupError, match=complaint):
        embedder.load(Runtime())


def test_the_classifier_in_a_file_is_not_read(tmp_path: Path) -> None:
    state = blank(fc__weight=torch.zeros(10, 2048), fc__bias=None, bn1__num_batches_tracked=None)
    vectors = parity.embed_media(
        ResNet50(weights=saved(tmp_path / "ten.pth", state), normalize=False), [noise(9, 9)], 1
    )
    assert vectors.shape == (1, 2048)


@pytest.mark.parametrize(("value", "code"), [(3e38, "NONFINITE"), (0.0, "ZERO_NORM")])
def test_a_broken_weight_is_a_failed_row_and_never_a_vector(tmp_path: Path, value: float, code: str) -> None:
    state = blank(conv1__weight=torch.tensor(value).expand(64, 3, 7, 7))
    embedder = ResNet50(weights=saved(tmp_path / "broken.pth", state))
    vectors = parity.embed_media(embedder, [noise(20, 20), noise(30, 20)], 2)
    assert [failure.code for failure in row_failures(vectors, embedder.spec).values()] == [code, code]


def test_weights_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    state = blank(conv1__weight=torch.tensor(float("nan")).expand(64, 3, 7, 7))
    with pytest.raises(SetupError, match=r"9,408 of 9,408 numbers of 'conv1.weight' are NaN"):
        ResNet50(weights=saved(tmp_path / "broken.pth", state)).load(Runtime())


def test_embed_raises_for_a_broken_weight(tmp_path: Path) -> None:
    state = blank(conv1__weight=torch.tensor(3e38).expand(64, 3, 7, 7))
    with pytest.raises(BadInput, match="input 0: the vector has NaN"):
        ResNet50(weights=saved(tmp_path / "broken.pth", state)).embed([noise(20, 20)], device="cpu")


def test_a_seed_gives_the_same_network_again_and_spares_the_callers_dice() -> None:
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    picture = noise(30, 40)
    found = [parity.embed_media(ResNet50(weights=f"random:{seed}"), [picture], 1) for seed in (0, 0, 1)]
    assert torch.equal(torch.rand(3), expected)
    assert np.array_equal(found[0], found[1])
    assert not np.array_equal(found[0], found[2])


def test_details_hold_the_whole_preprocessing() -> None:
    assert ResNet50(weights="IMAGENET1K_V1").spec.details == {
        "preprocess": {
            "size": [224, 224],
            "mean": [0.485, 0.456, 0.406],
            "std": [0.229, 0.224, 0.225],
            "interpolation": "bilinear",
            "resize_mode": "shortest",
            "shorter": 256,
            "fill": 0,
        },
        "transform": "IMAGENET1K_V1",
        "pooling": "average over the last feature map",
        "projection": "none",
    }


@pytest.mark.parametrize(
    "options",
    [{"weights": "IMAGENET1K_V3"}, {"weights": "org/name"}, {"weights": "."}, {"transform": "V1"}],
)
def test_what_torchvision_does_not_have_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="IMAGENET1K_V2"):
        _ = ResNet50(**options).spec


def test_examples_differ_in_size_and_meaning() -> None:
    embedder = ResNet50(weights="random:0", normalize=False)
    pictures = embedder.examples()
    vectors = check_rows(
        embedder.forward(Runtime())(embedder.collate([embedder.prepare(p) for p in pictures])), 3, embedder.spec
    )
    assert len({picture.shape for picture in pictures}) == 3
    assert len(np.unique(vectors.round(4), axis=0)) == 3

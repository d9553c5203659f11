"""Files of weights and folders of models made by somebody who means harm: NUM-17, NUM-18, NUM-19."""

from __future__ import annotations

import io
import json
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

import embedders
from embedders import Runtime, SetupError, UsageError
from embedders.weights import HEADER_BYTES, check_finite, read_state
from tests.embedders.models.tiny_bert import edit, save_bert


class Exploding:
    """Touches the marker where it is unpickled by anybody who lets it."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.marker,))


def plain_pickle(marker: Path) -> bytes:
    return pickle.dumps({"weight": Exploding(marker)})


def new_format(marker: Path) -> bytes:
    file = io.BytesIO()
    torch.save({"weight": torch.zeros(3), "more": Exploding(marker)}, file)
    return file.getvalue()


def old_format(marker: Path) -> bytes:
    file = io.BytesIO()
    torch.save({"weight": Exploding(marker)}, file, _use_new_zipfile_serialization=False)
    return file.getvalue()


def torchscript(marker: Path) -> bytes:
    """An archive that torch takes for a program, with a pickle inside."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("archive/constants.pkl", pickle.dumps(Exploding(marker)))
        archive.writestr("archive/data.pkl", pickle.dumps(Exploding(marker)))
        archive.writestr("archive/version", "3\n")
    return file.getvalue()


FORMS: dict[str, Callable[[Path], bytes]] = {
    "plain pickle": plain_pickle,
    "torch.save": new_format,
    "torch.save of old": old_format,
    "torchscript": torchscript,
}


@pytest.mark.parametrize("suffix", [".bin", ".pt", ".pth", ".ckpt", ".pkl", ".safetensors"])
@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_num_18_a_pickle_that_would_run_code_is_refused_and_runs_nothing(
    tmp_path: Path, form: Callable[[Path], bytes], suffix: str
) -> None:
    marker = tmp_path / "marker"
    (tmp_path / f"weights{suffix}").write_bytes(form(marker))
    with pytest.raises(SetupError, match=r"weights\.\w+ cannot be read"):
        read_state(tmp_path / f"weights{suffix}")
    assert not marker.exists()


def test_num_18_the_pickle_would_have_run(tmp_path: Path) -> None:
    pickle.loads(plain_pickle(tmp_path / "marker"))
    assert (tmp_path / "marker").exists()


def with_header(header: bytes, content: bytes = b"") -> bytes:
    return struct.pack("<Q", len(header)) + header + content


def described(**tensors: tuple[str, list[int], tuple[int, int]]) -> bytes:
    """A safetensors header: type, shape and place by name."""
    entries = {n: {"dtype": d, "shape": s, "data_offsets": o} for n, (d, s, o) in tensors.items()}
    return json.dumps(entries).encode()


WHOLE = described(a=("F32", [2], (0, 8)), b=("F32", [2], (8, 16)))
SAFETENSORS: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "cut off"),
    "seven bytes": (b"\0" * 7, "cut off"),
    "cut in the header": (with_header(WHOLE)[:40], "cut off"),
    "cut in the tensors": (with_header(WHOLE, bytes(12)), "cannot be read"),
    "more than described": (with_header(WHOLE, bytes(20)), "cannot be read"),
    "a header of 2^63 bytes": (struct.pack("<Q", 1 << 63) + bytes(100), "cut off"),
    "no JSON": (with_header(b"{" * 30), "cannot be read"),
    "deep JSON": (with_header(b'{"a":' * 20_000), "cannot be read"),
    "a list": (with_header(b"[]"), "cannot be read"),
    "overlapping": (with_header(described(a=("F32", [2], (0, 8)), b=("F32", [2], (4, 12))), bytes(12)), "cannot"),
    "a hole": (with_header(described(a=("F32", [2], (0, 8)), b=("F32", [2], (12, 20))), bytes(20)), "cannot"),
    "backwards": (with_header(described(a=("F32", [2], (8, 0))), bytes(8)), "cannot be read"),
    "beyond the end": (
        with_header(described(a=("F32", [2], (1 << 40, (1 << 40) + 8))), bytes(8)),
        "cannot be read",
    ),
    "another shape": (with_header(described(a=("F32", [1 << 40], (0, 8))), bytes(8)), "cannot be read"),
    "a product that overflows": (
        with_header(described(a=("F32", [1 << 62, 4], (0, 8))), bytes(8)),
        "cannot be read",
    ),
    "a negative size": (with_header(described(a=("F32", [-2], (0, 8))), bytes(8)), "cannot be read"),
    "a type of nobody": (with_header(described(a=("EXEC", [2], (0, 8))), bytes(8)), "cannot be read"),
}


@pytest.mark.parametrize(("content", "complaint"), SAFETENSORS.values(), ids=SAFETENSORS)
def test_num_17_a_safetensors_file_that_contradicts_itself_is_refused(
    tmp_path: Path, content: bytes, complaint: str
) -> None:
    (tmp_path / "model.safetensors").write_bytes(content)
    with pytest.raises(SetupError, match=complaint):
        read_state(tmp_path / "model.safetensors")


def test_num_17_a_header_of_200_megabytes_is_not_read(tmp_path: Path) -> None:
    length = 200_000_000
    with (tmp_path / "model.safetensors").open("wb") as file:
        file.write(struct.pack("<Q", length))
        file.truncate(length + 8)  # a sparse file: nothing of it is on the disk
    with pytest.raises(SetupError, match=f"header has 200,000,000 bytes; {HEADER_BYTES:,} are allowed"):
        read_state(tmp_path / "model.safetensors")


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
@pytest.mark.parametrize("kind", [torch.float32, torch.float16, torch.bfloat16], ids=str)
def test_num_17_weights_that_are_not_finite_are_refused_by_name(
    tmp_path: Path, bad: float, suffix: str, kind: torch.dtype
) -> None:
    state = {"fine": torch.ones(2, dtype=kind), "steps": torch.tensor(3), "layer.weight": torch.ones(5, dtype=kind)}
    state["layer.weight"][2] = bad
    path = tmp_path / f"model{suffix}"
    (save_file if suffix == ".safetensors" else torch.save)(state, path)
    with pytest.raises(SetupError, match=r"1 of 5 numbers of 'layer\.weight' are NaN or infinite"):
        read_state(path)


def test_what_is_no_tensor_of_numbers_passes_the_check(tmp_path: Path) -> None:
    check_finite(
        {"count": torch.tensor(3), "flag": torch.tensor(True), "name": "x", "none": torch.ones(0)}, tmp_path
    )


@pytest.mark.parametrize(
    ("name", "value", "complaint"),
    [
        ("conv1.weight", torch.zeros(64, 3, 7, 6), r"shape \(64, 3, 7, 6\) instead of \(64, 3, 7, 7\)"),
        ("left.over", torch.zeros(3), r"left\.over is unknown"),
        ("bn1.weight", None, r"bn1\.weight is missing"),
        ("bn1.bias", torch.full((64,), torch.nan), r"64 of 64 numbers of 'bn1\.bias' are NaN"),
    ],
    ids=["wrong shape", "extra key", "missing key", "NaN"],
)
def test_num_17_an_embedder_takes_no_weights_of_another_model(
    tmp_path: Path, name: str, value: torch.Tensor | None, complaint: str
) -> None:
    from torchvision.models import resnet50

    with torch.device("meta"):
        network = resnet50(weights=None)
    state = {key: torch.zeros(tensor.shape, dtype=tensor.dtype) for key, tensor in network.state_dict().items()}
    state = {key: tensor for key, tensor in {**state, name: value}.items() if tensor is not None}
    save_file(state, tmp_path / "model.safetensors")
    with pytest.raises(SetupError, match=complaint):
        embedders.create("image.resnet50", weights=str(tmp_path / "model.safetensors")).load(Runtime())


@pytest.mark.parametrize("name", ["model.safetensors", "model.bin", "model.pkl", "model.ckpt"])
def test_num_17_a_file_that_is_missing_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(SetupError, match=rf"no weights at '.*{name}'"):
        embedders.create("image.resnet50", weights=str(tmp_path / name)).load(Runtime())


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_bert(tmp_path_factory.mktemp("bert"))


@pytest.fixture
def folder(bert: Path, tmp_path: Path) -> Path:
    """A model of its own for each test, with a module beside it that touches the marker when it is imported."""
    made = tmp_path / "model"
    made.mkdir()
    for file in bert.iterdir():
        (made / file.name).write_bytes(file.read_bytes())
    evil = f"from pathlib import Path\nPath({str(tmp_path / 'marker')!r}).touch()\n"
    evil += "class Config: pass\nclass Model: pass\nclass Words: pass\n"
    (made / "evil.py").write_text(evil)
    return made


def embedded(folder: Path) -> bool:
    """Whether an embedder with this folder as its weights makes vectors; False where it is refused."""
    try:
        vectors = embedders.create("text.bert", weights=str(folder)).embed(["two red bells"], device="cpu")
    except (SetupError, UsageError):
        return False
    return bool(vectors.shape == (1, 32))


AUTO_MAP = {"AutoConfig": "evil.Config", "AutoModel": "evil.Model", "AutoTokenizer": ["evil.Words", None]}
CONFIGS: dict[str, tuple[dict[str, Any], bool]] = {
    "auto_map": ({"auto_map": AUTO_MAP}, True),
    "auto_map of another repository": ({"auto_map": {"AutoModel": "org/evil--evil.Model"}}, True),
    "auto_map and an unknown type": ({"auto_map": AUTO_MAP, "model_type": "evil"}, False),
    "attention from the hub": ({"_attn_implementation_internal": "org/evil"}, True),
    "attention from the hub, in public": ({"_attn_implementation": "org/evil"}, False),
    "attention by its new name": ({"attn_implementation": "org/evil"}, False),
    "an absolute path": ({"_name_or_path": "/etc/passwd"}, True),
    "a path to elsewhere": ({"_name_or_path": "../../evil", "tokenizer_class": "../evil.Words"}, True),
    "custom pipelines": ({"custom_pipelines": {"evil": {"impl": "evil.Model", "pt": ["AutoModel"]}}}, True),
    "quantised by a stranger": ({"quantization_config": {"quant_method": "evil"}}, True),
    "an architecture of nobody": ({"architectures": ["evil.Model"]}, True),
}


@pytest.mark.parametrize(("changes", "works"), CONFIGS.values(), ids=CONFIGS)
def test_num_19_a_configuration_runs_no_code(folder: Path, changes: dict[str, Any], works: bool) -> None:
    edit(folder / "config.json", **changes)
    for name in ("tokenizer_config.json",):
        edit(
            folder / name,
            **{key: value for key, value in changes.items() if key in ("auto_map", "tokenizer_class")},
        )
    assert embedded(folder) is works
    assert not (folder.parent / "marker").exists()


@pytest.mark.parametrize("kind", ["evil.Model", "sentence_transformers.evil.Model", "os.system"])
def test_num_19_a_list_of_modules_runs_no_code(folder: Path, kind: str) -> None:
    modules = [{"idx": 0, "name": "0", "path": "", "type": kind}]
    (folder / "modules.json").write_text(json.dumps(modules))
    assert not embedded(folder)
    assert not (folder.parent / "marker").exists()


@pytest.mark.parametrize("path", ["/etc", "../elsewhere", "a/../../b"])
def test_num_19_a_list_of_modules_does_not_lead_out_of_its_folder(folder: Path, path: str) -> None:
    kinds = ("Transformer", "Pooling")
    modules = [{"idx": 0, "name": "0", "path": path, "type": f"sentence_transformers.models.{k}"} for k in kinds]
    (folder / "modules.json").write_text(json.dumps(modules))
    with pytest.raises(SetupError, match="leads out of its folder"):
        embedders.create("text.bert", weights=str(folder)).embed(["a"], device="cpu")


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_num_18_a_model_s_folder_with_a_pickle_runs_nothing(folder: Path, form: Callable[[Path], bytes]) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(form(folder.parent / "marker"))
    with pytest.raises(SetupError, match="holds no model that transformers can load"):
        embedders.create("text.bert", weights=str(folder)).embed(["a"], device="cpu")
    assert not (folder.parent / "marker").exists()


def test_num_18_a_checkpoint_of_clip_with_a_pickle_runs_nothing(tmp_path: Path) -> None:
    (tmp_path / "weights.pt").write_bytes(new_format(tmp_path / "marker"))
    with pytest.raises(SetupError, match="open_clip could not load"):
        embedders.create("text.clip", weights=str(tmp_path / "weights.pt")).load(Runtime())
    assert not (tmp_path / "marker").exists()

from __future__ import annotations

import hashlib
import json
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save, save_file

from embedders import SetupError, UsageError
from embedders.weights import Download, Hub, Local, Seeded, read_state, resolve, sha256_file
from tests.embedders import hub_server
from tests.embedders.hub_server import COMMIT

TENSORS = save({"weight": torch.arange(6.0).reshape(2, 3)})
CONFIG = b'{"size": 3}'
REPOSITORIES = {
    "org/whole": {
        "README.md": b"read me",
        "config.json": CONFIG,
        "model.safetensors": TENSORS,
        "pytorch_model.bin": b"x",
    },
    "org/pickled": {"config.json": CONFIG, "pytorch_model.bin": b"x"},
    "org/parts": {
        "config.json": CONFIG,
        "model.safetensors.index.json": b"{}",
        "model-00001-of-00002.safetensors": TENSORS,
        "model-00002-of-00002.safetensors": TENSORS,
    },
    "org/other": {"README.md": b"a list of words"},
}
PREFERRED = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin")
SCRIPT = """
import json, sys
from embedders import SetupError
from embedders.weights import Hub, Local
found = []
for repo, revision in json.loads(sys.argv[1]):
    try:
        hub = Hub(repo, revision)
        folder = hub.fetch(json.loads(sys.argv[2]), also=["config.json"])
        found.append([sorted(p.name for p in folder.iterdir()), hub.identity, Local(folder).identity["sha256"]])
    except SetupError as error:
        found.append(str(error))
print(json.dumps(found))
"""


def fetched(address: str, home: Path, *wanted: tuple[str, str | None], offline: bool = False) -> list[Any]:
    """What another process gets from the hub at this address: file names, identity, content; or the message."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGING"))}
    environment |= {"HF_ENDPOINT": address, "HF_HOME": str(home), "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
    environment |= {"HF_HUB_OFFLINE": "1"} if offline else {}
    command = [sys.executable, "-c", SCRIPT, json.dumps(wanted), json.dumps(PREFERRED)]
    found = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert found.returncode == 0, found.stderr
    return list(json.loads(found.stdout))


def test_what_the_hub_gave_once_loads_without_a_request(tmp_path: Path) -> None:
    wanted: list[tuple[str, str | None]] = [("org/whole", COMMIT), ("org/pickled", None), ("org/parts", "main")]
    with hub_server.serving(hub_server.Hub(REPOSITORIES)) as hub:
        first = fetched(hub.address, tmp_path, *wanted)
        downloads = [path for path in hub.requests if path.startswith("GET") and "/resolve/" in path]
        assert len(downloads) == len(set(downloads)) == 7
        before = len(hub.requests)
        assert fetched(hub.address, tmp_path, *wanted) == first
        assert len(hub.requests) == before
    assert [files for files, _, _ in first] == [
        ["config.json", "model.safetensors"],
        ["config.json", "pytorch_model.bin"],
        sorted(REPOSITORIES["org/parts"]),
    ]
    assert [identity for _, identity, _ in first] == [{"hub": repo, "revision": COMMIT} for repo, _ in wanted]
    assert fetched(hub.address, tmp_path, *wanted) == first  # nobody listens any more
    assert fetched(hub.address, tmp_path, *wanted, offline=True) == first


def test_what_is_not_in_the_cache_ends_with_the_way_out(tmp_path: Path) -> None:
    with hub_server.serving(hub_server.Hub(REPOSITORIES)) as hub:
        unknown, useless, revision = fetched(
            hub.address, tmp_path, ("org/nothing", None), ("org/other", None), ("org/whole", "f" * 40)
        )
    assert "'org/nothing' are not in the cache" in unknown
    assert "'org/other' holds none of model.safetensors, " in useless
    assert f"--revision {'f' * 40}" in revision
    for offline in (False, True):
        (message,) = fetched(hub.address, tmp_path / "empty", ("org/whole", None), offline=offline)
        assert "'org/whole' are not in the cache" in message
        assert "run 'hf download org/whole' and copy the folder here as weights=FOLDER" in message
        assert "random:0" in message


def test_a_download_that_was_cut_off_is_completed_and_never_taken_for_whole(tmp_path: Path) -> None:
    with hub_server.serving(hub_server.Hub(REPOSITORIES)) as hub:
        first = fetched(hub.address, tmp_path, ("org/parts", None))
        (missing,) = tmp_path.rglob("snapshots/*/model-00002-of-00002.safetensors")
        missing.unlink()
        (message,) = fetched(hub.address, tmp_path, ("org/parts", None), offline=True)
        assert "'org/parts' are not in the cache" in message
        assert fetched(hub.address, tmp_path, ("org/parts", None)) == first


def test_the_cache_is_not_left_for_a_newer_commit(tmp_path: Path) -> None:
    with hub_server.serving(hub_server.Hub(REPOSITORIES)) as hub:
        first = fetched(hub.address, tmp_path, ("org/whole", None))
        hub.commit = "f" * 40
        assert fetched(hub.address, tmp_path, ("org/whole", None)) == first
        ((_, identity, _),) = fetched(hub.address, tmp_path, ("org/whole", "f" * 40))
    assert identity == {"hub": "org/whole", "revision": "f" * 40}


@pytest.fixture
def checkpoints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Torch's cache of downloads, empty, and the network allowed."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    return tmp_path / "torch" / "hub" / "checkpoints"


def published(tmp_path: Path) -> tuple[Path, str]:
    path = tmp_path / "tiny.pth"
    torch.save({"weight": torch.arange(6.0)}, path)
    return path, hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_download_is_fetched_once(tmp_path: Path, checkpoints: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, digest = published(tmp_path)
    download = Download(path.as_uri(), digest[:8])
    assert torch.equal(read_state(download.fetch())["weight"], torch.arange(6.0))
    path.unlink()
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert download.fetch() == checkpoints / "tiny.pth"
    assert download.identity == {"url": path.as_uri(), "sha256_prefix": digest[:8]}


def test_a_download_of_other_content_is_refused_and_not_kept(tmp_path: Path, checkpoints: Path) -> None:
    path, _ = published(tmp_path)
    with pytest.raises(SetupError, match=r"did not come .*hash"):
        Download(path.as_uri(), "00000000").fetch()
    assert not list(checkpoints.iterdir())


def test_a_cached_download_that_is_damaged_is_refused(tmp_path: Path, checkpoints: Path) -> None:
    path, digest = published(tmp_path)
    cached = Download(path.as_uri(), digest[:8]).fetch()
    cached.write_bytes(cached.read_bytes()[:-1])
    with pytest.raises(SetupError, match=r"tiny\.pth is damaged"):
        Download(path.as_uri(), digest[:8]).fetch()


@pytest.mark.parametrize("offline", [False, True])
def test_a_download_that_cannot_be_had_ends_with_the_way_out(
    checkpoints: Path, monkeypatch: pytest.MonkeyPatch, offline: bool
) -> None:
    if offline:
        monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(
        SetupError, match=r"fetch that file and put it at .*none\.pth, or pass weights=FILE"
    ) as caught:
        Download("http://127.0.0.1:9/none.pth").fetch()
    assert ("HF_HUB_OFFLINE is set" in str(caught.value)) is offline


def test_resolving_an_option() -> None:
    known = {"TAG": Hub("org/tagged", COMMIT), "org/pinned": Hub("org/pinned", COMMIT)}
    assert resolve("random:42", known) == Seeded(42)
    assert resolve("TAG", known) == known["TAG"]
    assert resolve("org/pinned", known) == known["org/pinned"]
    assert resolve("org/pinned@v2", known) == Hub("org/pinned", "v2")
    assert resolve("org/name", known) == Hub("org/name")
    assert resolve("org/name@refs/pr/1", known) == Hub("org/name", "refs/pr/1")


def test_a_path_is_a_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "org" / "name").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert resolve("org/name", {}) == Local(tmp_path / "org" / "name")
    assert resolve(str(tmp_path), {}) == Local(tmp_path)


@pytest.mark.parametrize(
    ("option", "error", "complaint"),
    [
        ("random:", UsageError, "no seed"),
        ("random:-1", UsageError, "Write random:0"),
        ("random:1e3", UsageError, "no seed"),
        ("IMAGENET1K_V3", UsageError, "Did you mean 'IMAGENET1K_V2'"),
        ("./nowhere", SetupError, "There are no weights at 'nowhere'"),
        ("/nowhere/model", SetupError, "There are no weights at '/nowhere/model'"),
        ("org/model.safetensors", SetupError, "Check the path"),
        ("a/b/c", UsageError, "a file, a folder, a hub id"),
        ("", UsageError, "There are no weights ''"),
    ],
)
def test_an_option_that_means_nothing_is_refused(option: str, error: type[Exception], complaint: str) -> None:
    with pytest.raises(error, match=complaint):
        resolve(option, {"IMAGENET1K_V2": Download("https://example.org/a.pth")})


def test_a_file_is_known_by_its_content_and_not_by_its_place(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.bin").write_bytes(b"abc")
    found = [Local(tmp_path / name / "model.bin").identity for name in ("a", "b")]
    assert found[0] == found[1] == {"file": "model.bin", "sha256": hashlib.sha256(b"abc").hexdigest()}


def test_a_folder_is_known_by_names_and_content(tmp_path: Path) -> None:
    def identity(**files: bytes) -> str:
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        folder.mkdir()
        for name, content in files.items():
            (folder / name).write_bytes(content)
        return str(Local(folder).identity["sha256"])

    assert identity(a=b"1", b=b"2") == identity(b=b"2", a=b"1")
    assert len({identity(a=b"1", b=b"2"), identity(a=b"2", b=b"1"), identity(a=b"1"), identity(c=b"1")}) == 4
    hidden = {"a": b"1", ".cache": b"the hub's client leaves such files"}
    assert identity(**hidden) == identity(a=b"1")


def test_a_file_that_changes_gets_a_new_checksum(tmp_path: Path) -> None:
    path = tmp_path / "model.bin"
    path.write_bytes(b"one")
    first = sha256_file(path)
    path.write_bytes(b"three")
    assert [first, sha256_file(path)] == [hashlib.sha256(text).hexdigest() for text in (b"one", b"three")]


@pytest.mark.parametrize("name", ["model.safetensors", "model.pth"])
def test_a_state_comes_back_as_it_was_saved(tmp_path: Path, name: str) -> None:
    state = {"weight": torch.arange(6.0).reshape(2, 3), "steps": torch.tensor(3)}
    (save_file if name.endswith(".safetensors") else torch.save)(state, tmp_path / name)
    found = read_state(tmp_path / name)
    assert sorted(found) == sorted(state)
    assert all(torch.equal(found[key], state[key]) for key in state)


@pytest.mark.parametrize("name", ["model.safetensors", "model.pth"])
@pytest.mark.parametrize("kept", [0, 7, 0.5, -1])
def test_a_truncated_file_is_refused(tmp_path: Path, name: str, kept: float) -> None:
    state = {"weight": torch.arange(600.0)}
    (save_file if name.endswith(".safetensors") else torch.save)(state, tmp_path / name)
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(content[: int(kept if isinstance(kept, int) else kept * len(content))])
    with pytest.raises(SetupError, match="cannot be read"):
        read_state(tmp_path / name)


@pytest.mark.parametrize(
    "content", [b"\x80", b"\x80\x04K\x01.", b"PK\x03\x04 nothing", b"<html>", bytes(range(256))]
)
@pytest.mark.parametrize("name", ["model.safetensors", "model.pth"])
def test_a_file_of_something_else_is_refused(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SetupError, match="cannot be read"):
        read_state(tmp_path / name)


@pytest.mark.parametrize("found", [torch.zeros(3), [torch.zeros(3)], 3, None])
def test_a_checkpoint_that_is_no_state_dict_is_refused(tmp_path: Path, found: object) -> None:
    torch.save(found, tmp_path / "model.pth")
    with pytest.raises(SetupError, match="cannot be read"):
        read_state(tmp_path / "model.pth")


@pytest.mark.parametrize("by_torch", [True, False])
def test_a_pickle_that_would_run_code_is_refused_and_runs_nothing(tmp_path: Path, by_torch: bool) -> None:
    class Exploding:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "marker",))

    if by_torch:
        torch.save({"weight": Exploding()}, tmp_path / "bad.pth")
    else:
        (tmp_path / "bad.pth").write_bytes(pickle.dumps({"weight": Exploding()}))
    with pytest.raises(SetupError, match=r"bad\.pth cannot be read"):
        read_state(tmp_path / "bad.pth")
    assert not (tmp_path / "marker").exists()


def test_a_seed_leaves_the_callers_dice_alone() -> None:
    torch.manual_seed(1)
    expected = torch.rand(2)
    torch.manual_seed(1)
    drawn = []
    for _ in range(2):
        with Seeded(9).generator():
            drawn.append(torch.rand(2))
    assert torch.equal(torch.rand(2), expected)
    assert torch.equal(*drawn)
    assert Seeded(9).identity == {"seed": 9}

"""Where parameters come from: one option becomes a pinned hub revision, a download, a local path, or a seed.

``weights=`` takes a tag that the embedder knows (resolved to a pinned revision), a hub id (``org/name`` or
``org/name@revision``), a file or folder in the upstream library's own format, or ``random:SEED``: the real
architecture with seeded parameters, whose vectors carry no meaning.

What is in the cache loads without a network call. No remote code is run, and pickled files are read by torch's
restricted unpickler only.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

from embedders.errors import SetupError, UsageError, nearest

__all__ = [
    "Download",
    "Hub",
    "Local",
    "Seeded",
    "Weights",
    "check_finite",
    "read_state",
    "resolve",
    "sha256_file",
]

HEADER_BYTES = 25_000_000
"""Of a safetensors file, parsed before anything is judged; thousands of tensors need a thirtieth of it."""

FILES = (".safetensors", ".bin", ".pt", ".pth", ".ckpt", ".pkl")
"""Suffixes that say of a name which stands nowhere that a file was meant."""

RANDOM_HINT = "or take random:0 to try the pipeline with vectors that carry no meaning"


@dataclass(frozen=True)
class Seeded:
    """Fresh parameters from a seed, by the upstream library's own initialisation."""

    seed: int

    @property
    def identity(self) -> dict[str, Any]:
        """For the fingerprint; ``seed`` marks vectors without meaning."""
        return {"seed": self.seed}

    @contextlib.contextmanager
    def generator(self) -> Iterator[None]:
        """Seed torch inside the block and leave the caller's random state as it was."""
        import torch

        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            yield


@dataclass(frozen=True)
class Local:
    """A file or folder on this machine."""

    path: Path

    @property
    def identity(self) -> dict[str, Any]:
        """The SHA-256 of the content, so that a moved file stays the same weights."""
        if self.path.is_file():
            return {"file": self.path.name, "sha256": sha256_file(self.path)}
        digest = hashlib.sha256()
        for file in sorted(p for p in self.path.rglob("*") if p.is_file() and not p.name.startswith(".")):
            digest.update(f"{file.relative_to(self.path)}\0{sha256_file(file)}\n".encode())
        return {"folder": self.path.name, "sha256": digest.hexdigest()}


@dataclass(frozen=True)
class Hub:
    """A repository on the Hugging Face hub at a revision; ``None`` follows its main branch."""

    repo: str
    revision: str | None = None

    @property
    def identity(self) -> dict[str, Any]:
        """Repository and commit; a branch is resolved to its commit, from the cache where it can be."""
        return {"hub": self.repo, "revision": self.pinned().revision}

    def pinned(self) -> Hub:
        """The same repository at a commit."""
        if self.revision and re.fullmatch(r"[0-9a-f]{40}", self.revision):
            return self
        from huggingface_hub import HfApi

        folder = self._cached([])
        if folder is not None:
            return replace(self, revision=folder.name)
        with self._explained():
            return replace(self, revision=HfApi().model_info(self.repo, revision=self.revision).sha)

    def fetch(self, one_of: Sequence[str], also: Sequence[str] = ()) -> Path:
        """A local folder with the first of ``one_of`` that the repository has, and what matches ``also``.

        ``one_of`` are file names in order of preference, ``also`` glob patterns. Raises SetupError with the
        way out when they are neither cached nor to be had.
        """
        for name in one_of:
            folder = self._cached(_patterns(name, also))
            if folder is not None and (folder / name).is_file():
                return folder
        from huggingface_hub import HfApi, snapshot_download

        with self._explained():
            info = HfApi().model_info(self.repo, revision=self.revision)
            names = {sibling.rfilename for sibling in info.siblings or ()}
            chosen = next((name for name in one_of if name in names), None)
            if chosen is None:
                raise SetupError(f"{self.repo!r} holds none of {', '.join(one_of)}", "It is no such model")
            # by branch, not by its commit: only so does the cache know next time where the branch pointed
            patterns = _patterns(chosen, also)
            return Path(snapshot_download(self.repo, revision=self.revision, allow_patterns=patterns))

    def _cached(self, patterns: Sequence[str]) -> Path | None:
        """The folder of this revision in the cache; None where a file that matches is known to be missing."""
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import LocalEntryNotFoundError

        try:
            found = snapshot_download(
                self.repo, revision=self.revision, local_files_only=True, allow_patterns=list(patterns)
            )
        except (LocalEntryNotFoundError, FileNotFoundError):
            return None
        return Path(found)

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except SetupError:
            raise
        except Exception as error:  # the hub's client raises its own, httpx's and OS errors
            at = f" --revision {self.revision}" if self.revision else ""
            reason = str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
            raise SetupError(
                f"The weights {self.repo!r} are not in the cache, and the hub did not give them ({reason})",
                f"Where there is a network, run 'hf download {self.repo}{at}' and copy the folder here as "
                f"weights=FOLDER; {RANDOM_HINT}",
            ) from error


def _patterns(name: str, also: Sequence[str]) -> list[str]:
    shards = [name.split(".")[0] + "-*"] if name.endswith(".index.json") else []
    return [name, *shards, *also]


@dataclass(frozen=True)
class Download:
    """One file at an address of the upstream library, kept in torch's own cache of checkpoints."""

    url: str
    sha256_prefix: str | None = None

    @property
    def identity(self) -> dict[str, Any]:
        """The address, and the checksum that its publisher put into the name."""
        return {"url": self.url, "sha256_prefix": self.sha256_prefix}

    def fetch(self) -> Path:
        """The local file; raises SetupError with the way out when it is neither cached nor to be had."""
        import torch

        path = Path(torch.hub.get_dir()) / "checkpoints" / self.url.rsplit("/", 1)[-1]
        if not path.is_file():
            try:
                if os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "TRUE", "YES", "ON"):
                    raise OSError("HF_HUB_OFFLINE is set")
                path.parent.mkdir(parents=True, exist_ok=True)
                torch.hub.download_url_to_file(self.url, str(path), self.sha256_prefix, progress=False)
            except (OSError, RuntimeError) as error:
                raise SetupError(
                    f"The weights {self.url} are not in the cache, and they did not come ({error})",
                    f"Where there is a network, fetch that file and put it at {path}, or pass weights=FILE; "
                    f"{RANDOM_HINT}",
                ) from error
        if self.sha256_prefix and not sha256_file(path).startswith(self.sha256_prefix):
            raise SetupError(f"{path} is damaged: its SHA-256 is not {self.sha256_prefix}...", "Delete it")
        return path


Weights: TypeAlias = Seeded | Local | Hub | Download


def resolve(option: str | Path, known: Mapping[str, Weights]) -> Weights:
    """What a ``weights`` option means; raises UsageError for an unknown tag, SetupError for a missing path."""
    option = str(option)
    if option.startswith("random:"):
        seed = option.removeprefix("random:")
        if not re.fullmatch(r"\d{1,9}", seed):
            raise UsageError(f"{option!r} is no seed", "Write random:0, or any whole number for 0")
        return Seeded(int(seed))
    if option in known:
        return known[option]
    path = Path(option).expanduser()
    if option and path.exists():  # the empty path is the current folder
        return Local(path.resolve())
    if option.startswith((".", "/", "~")) or path.suffix in FILES:
        raise SetupError(f"There are no weights at {str(path)!r}", "Check the path; " + nearest(option, known))
    match = re.fullmatch(r"([\w.-]+/[\w.-]+)(?:@([\w./-]+))?", option)
    if match:
        return known.get(match[1], Hub(match[1])) if not match[2] else Hub(match[1], match[2])
    cure = f"{nearest(option, known)}; or a file, a folder, a hub id (org/name) or random:SEED"
    raise UsageError(f"There are no weights {option!r}", cure)


def read_state(path: Path) -> dict[str, Any]:
    """A checkpoint's tensors by name, on the CPU: safetensors, or a torch file without arbitrary pickles.

    Raises SetupError for a file that is damaged, holds more than tensors, or holds numbers that are not finite.
    """
    import torch
    from safetensors.torch import load_file

    try:
        if path.suffix == ".safetensors":
            _check_header(path)
            state = load_file(path)
        else:
            with warnings.catch_warnings():  # of an old pickle's protocol, before it is refused or read
                warnings.filterwarnings("ignore", "Detected pickle protocol", UserWarning)
                state = torch.load(path, map_location="cpu", weights_only=True)
            if not isinstance(state, Mapping):
                raise TypeError(f"it holds a {type(state).__name__} and no tensors by name")
    except Exception as error:  # torch's restricted unpickler lets through whatever damaged bytes provoke
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise SetupError(f"The weights {path} cannot be read ({reason})", "Fetch the file again") from error
    check_finite(state, path)
    return dict(state)


def check_finite(state: Mapping[str, Any], place: Path) -> None:
    """Raise SetupError for parameters that are NaN or infinite: each of their vectors would be, much later.

    ``state`` maps names to tensors; what is none, or not of floating point, passes.
    """
    import torch

    for name, value in state.items():
        if isinstance(value, torch.Tensor) and value.is_floating_point() and not value.isfinite().all():
            count = int((~value.isfinite()).sum())
            raise SetupError(
                f"The weights {place} are broken: {count:,} of {value.numel():,} numbers of {name!r} are NaN or "
                "infinite",
                "Fetch the file again, or train again",
            )


def _check_header(path: Path) -> None:
    """Raise ValueError for a safetensors file whose header is longer than the file, or than any model needs."""
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
    if size < 8 or length > size - 8:
        raise ValueError(f"its {size:,} bytes are cut off: the header alone has {length:,}")
    if length > HEADER_BYTES:
        raise ValueError(f"its header has {length:,} bytes; {HEADER_BYTES:,} are allowed")


def sha256_file(path: Path) -> str:
    """SHA-256 of a file's content, remembered until its size or time changes."""
    found = path.stat()
    return _sha256(path, found.st_size, found.st_mtime_ns)


@functools.lru_cache(maxsize=1024)
def _sha256(path: Path, size: int, changed_ns: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

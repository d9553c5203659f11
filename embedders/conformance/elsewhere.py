"""Another process, in which nothing has happened yet: hash seeds, globals and caches are its own."""

from __future__ import annotations

import atexit
import contextlib
import functools
import importlib
import os
import pickle
import subprocess
import sys
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from embedders.base import BaseEmbedder, Vectors
from embedders.errors import ContractError
from embedders.registry import MODALITIES, Registry, registry

__all__ = ["cost_of_making", "vectors_elsewhere"]

HEAVY = frozenset(
    {
        *("torch", "torchaudio", "torchvision", "transformers", "open_clip", "timm", "tensorflow", "jax"),
        *("openvino", "onnxruntime", "sentence_transformers", "gensim", "sklearn", "scipy", "pandas", "pyarrow"),
        *("PIL", "librosa", "soundfile", "soxr"),
    }
)
"""Top packages that take a tenth of a second or more to import."""

_MAKING = """
import importlib, pickle, sys, time
paths, modules, packed = pickle.loads(bytes.fromhex(sys.argv[1]))
sys.path[:] = paths
began = time.perf_counter()
for module in modules:
    importlib.import_module(module)
pickle.loads(packed)
print("MADE", time.perf_counter() - began, *sys.modules)
"""


def cost_of_making(embedder: BaseEmbedder) -> tuple[float, frozenset[str]]:
    """What a fresh process pays to import and make an embedder: seconds, and the heavy packages that were loaded.

    Raises ContractError where it cannot be made there.
    """
    modules = [type(embedder).__module__, type(registry.modality(embedder.spec.modality)).__module__]
    packed = pickle.dumps((sys.path, modules, pickle.dumps(embedder))).hex()
    found = subprocess.run(
        [sys.executable, "-c", _MAKING, packed], capture_output=True, text=True, check=False, env=_environment()
    )
    said = found.stdout.rpartition("MADE ")[2].split()
    if found.returncode or not said:
        last = (found.stderr.strip().splitlines() or ["it ended without a word"])[-1]
        raise ContractError(f"{modules[0]!r} cannot be imported alone: {last}")
    return float(said[0]), HEAVY & set(said[1:])


def vectors_elsewhere(embedder: BaseEmbedder) -> Vectors:
    """The vectors of an embedder's examples as another process makes them, from class and options alone.

    Raises ContractError where it cannot.
    """
    torch: Any = sys.modules.get("torch")
    threads = torch.get_num_threads() if torch is not None else None
    here = (sys.path, os.getcwd(), dict(os.environ))
    request = pickle.dumps((here, _registered(), pickle.dumps(embedder), threads))
    problem, vectors = _twin().ask(request)
    if problem:
        raise ContractError(f"another process cannot embed its examples: {problem}")
    return vectors


def _registered() -> list[tuple[str, bytes]]:
    """Names that this process alone knows, with their classes as far as another can import them."""
    found = []
    for name, entry in [*registry.entries(MODALITIES).items(), *registry.entries().items()]:
        if entry.provider == "register()":
            cls = registry.find(name) if "." in name else type(registry.modality(name))
            with contextlib.suppress(pickle.PicklingError, AttributeError):
                found.append((name, pickle.dumps(cls)))
    return found


class _Twin:
    """A process that embeds for as long as this one lives, since importing torch takes seconds."""

    def __init__(self) -> None:
        self._ours, theirs = Pipe()
        code = f"from embedders.conformance.elsewhere import serve; serve({theirs.fileno()})"
        # another seed of hashes than ours, whichever that is: sets of str are in another order
        environment = {**_environment(), "PYTHONHASHSEED": str(1 + hash("seed") % 1_000_000)}
        self._process = subprocess.Popen(
            [sys.executable, "-c", code],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=environment,
        )
        theirs.close()
        atexit.register(self.close)

    def ask(self, request: bytes) -> tuple[str, Vectors]:
        """The problem, empty where there is none, and the vectors."""
        try:
            self._ours.send_bytes(request)
            answer: tuple[str, Vectors] = self._ours.recv()
        except (EOFError, OSError):
            died = self._process.wait()
            self.close()
            _twin.cache_clear()
            return f"it died with exit code {died}", np.empty((0, 0), np.float32)
        return answer

    def close(self) -> None:
        """End it; it has nothing to lose."""
        atexit.unregister(self.close)
        self._ours.close()
        self._process.kill()
        self._process.wait()


@functools.cache
def _twin() -> _Twin:
    return _Twin()


def serve(descriptor: int) -> None:
    """In the other process: answer requests until the pipe is closed."""
    pipe: Any = Connection(descriptor)
    while True:
        try:
            request = pipe.recv_bytes()
        except EOFError:
            return
        try:
            answer = "", _answer(*pickle.loads(request))
        except Exception as error:
            answer = f"{type(error).__name__}: {error}", np.empty((0, 0), np.float32)
        pipe.send(answer)


def _answer(
    there: tuple[list[str], str, dict[str, str]],
    registered: list[tuple[str, bytes]],
    packed: bytes,
    threads: int | None,
) -> Vectors:
    sys.path[:], folder, environment = there
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    importlib.invalidate_caches()
    vars(registry).update(vars(Registry()))  # of the last embedder nothing is known
    for name, cls in registered:
        registry.register(name, pickle.loads(cls))
    embedder: BaseEmbedder = pickle.loads(packed)
    if threads is not None:
        import torch

        torch.set_num_threads(threads)
    vectors = embedder.embed(embedder.examples(), device="cpu")
    module: Any = sys.modules.get("torch")
    if module is not None and module.cuda.is_initialized():
        raise ContractError("it wakes a GPU, though it was told to embed on the CPU")
    return vectors


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}

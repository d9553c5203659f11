"""Environments of their own for peers whose requirements conflict with ours, in the cache and never in the repo."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

__all__ = ["PEERS", "Venv", "environment", "prepare"]

SECONDS = 120
"""What installing a peer may take."""


@dataclass(frozen=True)
class Venv:
    """What is installed, and what ``prepare`` then makes: weights in the peer's own format."""

    packages: tuple[str, ...]
    reports: tuple[str, ...]
    """Distributions whose versions are told."""


PEERS: dict[str, Venv] = {
    "st-openvino": Venv(
        ("sentence-transformers", "optimum-intel[openvino]"), ("sentence-transformers", "optimum-intel", "openvino")
    ),
    "fastembed": Venv(
        ("fastembed", "onnx", "onnxscript", "transformers", "torchvision", "open-clip-torch"),
        ("fastembed", "onnxruntime"),
    ),
    # its CLIP imports pkg_resources
    "clip-retrieval": Venv(("clip-retrieval", "setuptools<81"), ("clip-retrieval", "open-clip-torch", "torch")),
}


def environment(name: str, cache: Path) -> Path | str:
    """The environment's Python, made where it is not there; or why there is none, in words."""
    folder = cache / "venvs" / name
    python, done = folder / "bin" / "python", folder / "installed"
    if done.is_file():
        return python
    # torch as it is here: its download is then in uv's cache already
    same = [f"{name}=={metadata.version(name)}" for name in ("torch", "torchvision")]
    wanted = [*PEERS[name].packages, *(same if name != "clip-retrieval" else ())]
    commands = (
        ["uv", "venv", "-q", "--clear", "--python", f"{sys.version_info[0]}.{sys.version_info[1]}", str(folder)],
        ["uv", "pip", "install", "-q", "--python", str(python), *wanted],
    )
    try:
        for command in commands:
            subprocess.run(command, check=True, capture_output=True, text=True, timeout=SECONDS)
    except subprocess.TimeoutExpired:
        return f"not installed within {SECONDS} s"
    except FileNotFoundError:
        return "uv is not installed"
    except subprocess.CalledProcessError as error:
        said = [line.strip() for line in error.stderr.splitlines() if line.strip()]
        return f"not installed: {' '.join(said)[:160]}"
    done.touch()
    return python


def versions(name: str, python: Path) -> dict[str, str]:
    """The versions of what the environment is there for."""
    code = "import sys, importlib.metadata as m\nfor name in sys.argv[1:]: print(name, m.version(name))"
    told = subprocess.run(
        [str(python), "-c", code, *PEERS[name].reports], check=True, capture_output=True, text=True
    ).stdout
    return dict(line.split() for line in told.splitlines())


def prepare(name: str, python: Path, weights: Mapping[str, str], cache: Path) -> dict[str, str] | str:
    """Weights in the format of the peer, made once by its own environment; or why there are none.

    ``weights`` are those that lie there already, by kind; what is added is returned: ``bert-onnx`` and so on.
    """
    made: dict[str, str] = {}
    for kind in EXPORTS.get(name, {}).keys() & weights.keys():
        target, function = EXPORTS[name][kind]
        folder = cache / "weights" / target
        if not folder.is_dir():
            half = folder.with_name(f"{target}.half")
            half.mkdir(parents=True, exist_ok=True)
            command = [str(python), "-m", "tests.benchmarks.speed.export", function, weights[kind], str(half)]
            run = subprocess.run(command, capture_output=True, text=True, timeout=600)
            if run.returncode:
                last = [line.strip() for line in run.stderr.splitlines() if line.strip()][-1:]
                return f"export: {''.join(last)[:160]}"
            half.rename(folder)
        made[target] = str(folder)
    return made


EXPORTS: dict[str, dict[str, tuple[str, str]]] = {
    "fastembed": {
        "resnet": ("resnet-onnx", "resnet"),
        "clip": ("clip-onnx", "clip"),
        "bert": ("bert-onnx", "bert"),
    },
    "st-openvino": {"bert": ("bert-openvino", "openvino")},
}

"""``embed doctor``: what this machine has, whether the libraries are new enough to be safe, what is installed.

Nothing of a plugin is imported. torch is, since only it can tell which devices it reaches.
"""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import textwrap
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import typer

from embedders.redaction import redacted
from embedders.registry import EMBEDDERS, MODALITIES, registry
from pipelines.cli.escaped import escaped

__all__ = ["doctor_command"]

WIDTH = 80

DISTRIBUTIONS = (
    *("multimodal-embedders", "torch", "torchvision", "torchaudio", "transformers", "tokenizers"),
    *("open-clip-torch", "safetensors", "huggingface-hub", "pillow", "soundfile", "soxr", "numpy", "pyarrow"),
)

FLOORS: Mapping[str, tuple[str, str]] = {
    "torch": ("2.10", "CVE-2026-24747: weights_only=True could run code"),
    "transformers": ("5.5", "CVE-2026-5241: trust_remote_code=False could run code"),
    "pillow": ("12.3.0", "CVE-2026-55798 and others: its parsers of rare formats"),
    "pyarrow": ("14.0.1", "CVE-2023-47248: a Parquet file could run code"),
    "libwebp": ("1.3.2", "CVE-2023-4863: a WebP picture could write out of bounds"),
}
"""Per library the first version without the hole that the advisory of that number describes."""

CODECS = ("libjpeg_turbo", "webp", "zlib_ng", "zlib", "libtiff", "jpg_2000", "avif")
"""As Pillow names what it brings along."""

CPU_FEATURES = ("avx2", "avx512f", "avx512_bf16", "avx_vnni", "amx_tile", "amx_int8", "amx_bf16", "asimd", "bf16")


def doctor_command(*, as_json: bool) -> int:
    """Print what was found; returns 0 where all is well, else 7 with the problems named last."""
    found = _examined()
    if as_json:
        typer.echo(json.dumps(found, indent=1, ensure_ascii=False))
    else:
        for line in _lines(found):
            typer.echo(line)
    return 7 if found["problems"] else 0


def _examined() -> dict[str, Any]:
    codecs, silent = _codecs()
    devices, unusable = _devices()
    versions = {name: _version(name) for name in DISTRIBUTIONS}
    floors = [
        {"library": name, "found": found, "needed": needed, "met": met, "why": why}
        for name, (needed, why) in FLOORS.items()
        for found in [codecs.get(name) if name == "libwebp" else versions[name]]
        for met in [found is None or _numbers(found) >= _numbers(needed)]  # what is missing is named once
    ]
    plugins = _plugins()
    problems = [f"{name} is not installed" for name, version in versions.items() if version is None]
    problems += [
        f"{f['library']} is {f['found']}; {f['needed']} is needed ({f['why']})" for f in floors if not f["met"]
    ]
    problems += [*silent, *unusable, *(plugin["problem"] for plugin in plugins if plugin["problem"])]
    return {
        "python": platform.python_version(),
        "system": platform.platform(),
        "versions": versions,
        "codecs": codecs,
        "floors": floors,
        "cpu": {"cores": _cores(), "features": _cpu_features()},
        "devices": devices,
        "memory": _memory(),
        **_caches(),
        "disk": {"here": shutil.disk_usage(".").free},
        "plugins": plugins,
        "problems": [redacted(problem) for problem in problems],
    }


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def _numbers(version: str) -> tuple[int, ...]:
    """``2.14.1+cu130`` as (2, 14, 1), without trailing zeros, so that 2.10 is 2.10.0."""
    found = re.match(r"\d+(\.\d+)*", version)
    numbers = [int(number) for number in found[0].split(".")] if found else []
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)


def _codecs() -> tuple[dict[str, str], list[str]]:
    """Versions of the C libraries that decode, and what could not be asked."""
    found: dict[str, str] = {}
    problems = []
    try:
        from PIL import features

        named = {"libwebp" if name == "webp" else name: name for name in CODECS if features.check(name)}
        found |= {ours: str(features.version(name)) for ours, name in named.items()}
    except Exception as error:  # whatever a broken installation raises is what we were asked to find
        problems.append(f"Pillow cannot be used: {type(error).__name__}: {error}")
    try:
        import soundfile
        import soxr

        found |= {"libsndfile": soundfile.__libsndfile_version__, "libsoxr": soxr.__libsoxr_version__}
    except Exception as error:
        problems.append(f"soundfile or soxr cannot be used: {type(error).__name__}: {error}")
    return found, problems


def _devices() -> tuple[dict[str, str], list[str]]:
    """Devices by torch's name with what they are; and why torch cannot be used, if it cannot."""
    found = {"cpu": platform.processor() or platform.machine()}
    try:
        import torch

        for number in range(torch.cuda.device_count()):
            properties = torch.cuda.get_device_properties(number)
            found[f"cuda:{number}"] = f"{properties.name}, {_gigabytes(properties.total_memory)}"
        if torch.backends.mps.is_available():
            found["mps"] = "Apple"
    except Exception as error:
        return found, [f"torch cannot be used: {type(error).__name__}: {error}"]
    return found, []


def _cpu_features() -> list[str]:
    """What the kernel says of vector and half-precision units; nothing where it has no such file."""
    described = _read("/proc/cpuinfo")
    line = re.search(r"^(?:flags|Features)\s*:(.*)$", described, re.MULTILINE)
    present = set(line[1].split()) if line else set()
    return [name for name in CPU_FEATURES if name in present]


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _memory() -> dict[str, int]:
    """Bytes: ``total``, ``free`` where the kernel says so, and a container's ``limit`` where there is one."""
    found = {"total": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")}
    available = re.search(r"^MemAvailable:\s+(\d+) kB$", _read("/proc/meminfo"), re.MULTILINE)
    if available:
        found["free"] = int(available[1]) * 1024
    for file in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        limit = _read(file).strip()
        if limit.isdigit() and int(limit) < found["total"]:
            found["limit"] = int(limit)
    return found


def _read(file: str) -> str:
    try:
        return Path(file).read_text("utf-8", "replace")
    except OSError:
        return ""


def _caches() -> dict[str, Any]:
    """Where weights are kept, with the free bytes there, and whether the hub may be asked for more."""
    from huggingface_hub import constants

    home = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    torch_home = Path(os.environ.get("TORCH_HOME", f"{home}/torch")).expanduser()
    places = {"hub": Path(constants.HF_HUB_CACHE), "torch": torch_home / "hub" / "checkpoints"}
    caches = {
        name: {"path": str(place), "exists": place.is_dir(), "free": shutil.disk_usage(_standing(place)).free}
        for name, place in places.items()
    }
    return {"caches": caches, "offline": bool(constants.HF_HUB_OFFLINE)}


def _standing(place: Path) -> Path:
    return next(folder for folder in (place, *place.absolute().parents) if folder.is_dir())


def _plugins() -> list[dict[str, Any]]:
    """All registered names by the package that declares them, read from metadata alone."""
    entries = [entry for group in (MODALITIES, EMBEDDERS) for entry in registry.entries(group).values()]
    return [{"name": e.name, "provider": e.provider, "class": e.target, "problem": e.problem} for e in entries]


def _gigabytes(count: float) -> str:
    return f"{count / 1e9:,.1f} GB"


def _lines(found: Mapping[str, Any]) -> Iterator[str]:
    """The findings for a person, at most 80 columns wide."""
    versions = {"python": found["python"], **found["versions"]}
    yield from _entry("versions", ", ".join(f"{name} {version or 'missing'}" for name, version in versions.items()))
    yield from _entry("decoders", ", ".join(f"{name} {version}" for name, version in found["codecs"].items()))
    for floor in found["floors"]:
        fine = "fine" if floor["met"] else "TOO OLD"
        yield from _entry("safe from", f"{floor['library']} {floor['needed']}: {fine} ({floor['why']})")
    yield from _entry("system", found["system"])
    features = " ".join(found["cpu"]["features"]) or "unknown"
    yield from _entry("cpu", f"{found['cpu']['cores']} cores to use; {features}")
    yield from _entry("devices", "; ".join(f"{name} ({what})" for name, what in found["devices"].items()))
    yield from _entry("memory", ", ".join(f"{_gigabytes(size)} {name}" for name, size in found["memory"].items()))
    yield from _entry("disk", f"{_gigabytes(found['disk']['here'])} free here")
    for name, cache in found["caches"].items():
        state = "" if cache["exists"] else ", not there yet"
        yield from _entry(f"cache: {name}", f"{cache['path']} ({_gigabytes(cache['free'])} free{state})")
    yield from _entry("hub", "offline: nothing is downloaded" if found["offline"] else "may be asked for weights")
    for provider in dict.fromkeys(plugin["provider"] for plugin in found["plugins"]):
        names = ", ".join(plugin["name"] for plugin in found["plugins"] if plugin["provider"] == provider)
        yield from _entry("installed", f"{provider}: {names}")
    for problem in found["problems"]:
        yield from _entry("PROBLEM", problem)
    if not found["problems"]:
        yield from _entry("all well", "no library is missing or known to be unsafe")


def _entry(label: str, words: str) -> list[str]:
    indent = " " * 13
    first = f"{label:<13}"
    return textwrap.wrap(
        escaped(words), WIDTH, initial_indent=first, subsequent_indent=indent, break_on_hyphens=False
    )

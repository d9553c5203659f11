"""What this machine is and how fast it multiplies: without it no figure means anything elsewhere."""

from __future__ import annotations

import datetime
import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

__all__ = ["describe", "gemm"]

FLAGS = ("amx_bf16", "amx_int8", "avx512_bf16", "avx512_fp16", "avx512_vnni", "avx512f", "avx2")
LIBRARIES = (
    "torch",
    "torchvision",
    "openvino",
    "open_clip_torch",
    "transformers",
    "sentence-transformers",
    "pillow",
    "numpy",
    "simplejpeg",
    "soundfile",
)

GEMM = """
import json, sys, time, torch
found = {}
for threads in sorted({1, int(sys.argv[1])}):
    torch.set_num_threads(threads)
    for name, kind in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        a, b = torch.randn(2048, 2048).to(kind), torch.randn(2048, 2048).to(kind)
        times = []
        for _ in range(8):
            began = time.perf_counter()
            a @ b
            times.append(time.perf_counter() - began)
        found[f"{name}, {threads} thread{'s' * (threads > 1)}"] = round(2 * 2048**3 / min(times) / 1e9)
print(json.dumps(found))
"""


def gemm(cores: int, env: Mapping[str, str]) -> dict[str, int]:
    """GFLOP/s of a square matrix product by precision and threads: the best of eight, in a process of its own."""
    run = subprocess.run(
        [sys.executable, "-c", GEMM, str(cores)], check=True, capture_output=True, text=True, env=dict(env)
    )
    return dict(json.loads(run.stdout))


def describe(cores: Sequence[int], env: Mapping[str, str]) -> dict[str, Any]:
    """The processor and its flags, cores, memory, measured GEMM rates, versions and the date."""
    info = Path("/proc/cpuinfo").read_text().splitlines()
    first = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in info) if value}
    flags = set(first.get("flags", "").split())
    return {
        "processor": first.get("model name", platform.processor()),
        "flags": [flag for flag in FLAGS if flag in flags],
        "cores": list(cores),
        "of_cores": os.cpu_count(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        "gemm_gflops": gemm(len(cores), env),
        "load": os.getloadavg(),
        "python": platform.python_version(),
        "versions": {name: metadata.version(name) for name in LIBRARIES if _installed(name)},
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }


def _installed(name: str) -> bool:
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True

"""The toy modality and embedders are there for every test, registered as a user would."""

from __future__ import annotations

import atexit
import os
import shutil
import subprocess
import sys
import tempfile

import pytest

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

if "PYTEST_XDIST_WORKER" in os.environ:  # as many processes as cores: one thread each
    os.environ.setdefault("OMP_NUM_THREADS", "1")

# what is converted in a test is not the user's to keep
CACHE = tempfile.mkdtemp(prefix="embed-cache-")
os.environ["EMBED_CACHE"] = CACHE
atexit.register(shutil.rmtree, CACHE, ignore_errors=True)

import embedders  # noqa: E402  # reads the environment set above
from tests import toy  # noqa: E402  # imports embedders

embedders.register("toy", toy.Toy)
embedders.register("shelf", toy.Shelf)
embedders.register("toy.letters", toy.Letters)
embedders.register("toy.unit", toy.Unit)


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run what is marked ``main_thread`` in a process of its own, where xdist has the main one."""
    if "PYTEST_XDIST_WORKER" not in os.environ or pyfuncitem.get_closest_marker("main_thread") is None:
        return None
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", pyfuncitem.nodeid]
    found = subprocess.run(command, cwd=pyfuncitem.config.rootpath, env=env, capture_output=True, text=True)
    assert found.returncode == 0, found.stdout + found.stderr
    return True

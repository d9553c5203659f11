"""The toy modality and embedders are there for every test, registered as a user would."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

# what is converted in a test is not the user's to keep
CACHE = tempfile.mkdtemp(prefix="embed-cache-")
os.environ["EMBED_CACHE"] = CACHE
atexit.register(shutil.rmtree, CACHE, ignore_errors=True)

import embedders
from tests import toy

embedders.register("toy", toy.Toy)
embedders.register("shelf", toy.Shelf)
embedders.register("toy.letters", toy.Letters)
embedders.register("toy.unit", toy.Unit)

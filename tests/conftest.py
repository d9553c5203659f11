"""The toy modality and embedders are there for every test, registered as a user would."""

from __future__ import annotations

import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import embedders
from tests import toy

embedders.register("toy", toy.Toy)
embedders.register("shelf", toy.Shelf)
embedders.register("toy.letters", toy.Letters)
embedders.register("toy.unit", toy.Unit)

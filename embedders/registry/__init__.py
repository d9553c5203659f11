"""From names to embedders and modalities; listing imports nothing.

A name is ``modality.variant``: ``image.clip``. The modality alone stands for its default. Built-ins come through
the same door as strangers, the entry-point groups below; ``register`` serves notebooks and tests, and
``package.module:Class`` needs no registration.

An encoding is an embedder that learnt nothing. It has a group of its own, so that a list can tell it apart without
importing it.
"""

from embedders.registry.entry import EMBEDDERS, ENCODINGS, MODALITIES, Entry
from embedders.registry.names import Registry
from embedders.registry.reference import parse

__all__ = [
    "EMBEDDERS",
    "ENCODINGS",
    "MODALITIES",
    "Entry",
    "Registry",
    "create",
    "entries",
    "find",
    "modalities",
    "modality",
    "parse",
    "register",
    "registry",
]

registry = Registry()
"""The registry of this process."""

create = registry.create
entries = registry.entries
find = registry.find
modalities = registry.modalities
modality = registry.modality
register = registry.register

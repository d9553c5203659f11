"""What a set records of its embedders: enough to name them, and to make them again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from embedders.registry import registry

if TYPE_CHECKING:
    from embedders import BaseEmbedder

__all__ = ["fingerprint_hash", "rebuilt"]


def rebuilt(fingerprint: Mapping[str, Any]) -> BaseEmbedder:
    """The embedder that a fingerprint records, from its class and options; loads no weights."""
    return registry.find(fingerprint["class"])(**fingerprint["options"])


def fingerprint_hash(fingerprint: Mapping[str, Any]) -> str:
    """Twelve hex digits that name a fingerprint: SHA-256 of its JSON with sorted keys and no spaces."""
    written = json.dumps(fingerprint, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(written.encode()).hexdigest()[:12]

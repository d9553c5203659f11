"""What decoding comes to, as one value: either media or the reason why not."""

from __future__ import annotations

from typing import Any

from embedders import BadInput, Decoded, Limits, Modality, Status


def outcome(modality: Modality, raw: Any, limits: Limits | None = None) -> Decoded | BadInput:
    """Any other exception passes: a modality raises nothing but BadInput."""
    try:
        return modality.decode(raw, limits)
    except BadInput as bad:
        return bad


def failure(modality: Modality, raw: Any, limits: Limits | None = None) -> tuple[Status, str]:
    """Status and code of an input that must fail."""
    found = outcome(modality, raw, limits)
    assert isinstance(found, BadInput), f"decoded to {found}"
    return found.status, found.code


def message(modality: Modality, raw: Any, limits: Limits | None = None) -> str:
    """The sentence that a user reads about an input that must fail."""
    found = outcome(modality, raw, limits)
    assert isinstance(found, BadInput), f"decoded to {found}"
    return str(found)

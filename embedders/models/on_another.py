"""Embedders that stand on another one: theirs is what comes before its inputs or after its vectors, no more."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

from embedders.base import BaseEmbedder

__all__ = ["OnAnother"]


class OnAnother(BaseEmbedder):
    """An embedder by means of another, ``below``: whatever decides a vector there is recorded for this one, too.

    Subclasses give ``below`` as a cached property, and what every embedder's author writes.
    """

    @property
    @abstractmethod
    def below(self) -> BaseEmbedder:
        """The embedder it stands on."""

    @property
    def weights_identity(self) -> Mapping[str, Any]:
        """That of the embedder below."""
        return self.below.weights_identity

    @property
    def identity(self) -> dict[str, Any]:
        """As every embedder's, with the versions of all libraries that the embedder below depends on."""
        found = super().identity
        return {**found, "versions": {**self.below.identity["versions"], **found["versions"]}}

    @property
    def batch_cost(self) -> int:  # type: ignore[override]  # known when the embedder below is
        """That of the embedder below, which needs the memory."""
        return self.below.batch_cost

    @property
    def accelerators(self) -> tuple[str, ...]:  # type: ignore[override]  # as well
        """Those of the embedder below."""
        return self.below.accelerators

    @property
    def worth_trying(self) -> int:  # type: ignore[override]  # as well
        """That of the embedder below."""
        return self.below.worth_trying

"""A second modality in the toy's space, registered for one test: words that stand in files ending in ``.sign``."""

from __future__ import annotations

from typing import ClassVar

import pytest

from embedders import EmbedderSpec
from embedders.registry import registry
from tests.toy import Letters, Toy


class Sign(Toy):
    name: ClassVar[str] = "sign"
    suffixes: ClassVar[frozenset[str]] = frozenset({".sign"})
    inline: ClassVar[bool] = False
    defaults: ClassVar[tuple[str, ...]] = ()


class Slogan(Sign):
    """Takes words inline, as the toy does."""

    name: ClassVar[str] = "slogan"
    suffixes: ClassVar[frozenset[str]] = frozenset()
    inline: ClassVar[bool] = True


class SignLetters(Letters):
    def __init__(self, *, scale: float = 1.0, colour: str = "red") -> None:
        super().__init__(scale=scale)

    @property
    def weights_identity(self) -> dict[str, int]:
        return {}

    @property
    def spec(self) -> EmbedderSpec:
        return EmbedderSpec("sign", f"toy:{self.scale}", 3, False)


class SloganLetters(SignLetters):
    @property
    def spec(self) -> EmbedderSpec:
        return EmbedderSpec("slogan", f"toy:{self.scale}", 3, False)


class Broken(SignLetters):
    """Its spec cannot be read, whatever the options."""

    @property
    def spec(self) -> EmbedderSpec:
        raise ValueError("no such sign")


@pytest.fixture
def signs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_classes", dict(registry._classes))
    monkeypatch.setattr(registry, "_instances", dict(registry._instances))
    monkeypatch.setattr(registry, "_registered", {g: dict(e) for g, e in registry._registered.items()})
    for name, cls in (("sign", Sign), ("sign.aaa", Broken), ("sign.letters", SignLetters)):
        registry.register(name, cls)


@pytest.fixture
def slogans(signs: None) -> None:
    registry.register("slogan", Slogan)
    registry.register("slogan.letters", SloganLetters)

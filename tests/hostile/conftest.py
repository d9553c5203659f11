"""What the suite of hostile inputs shares; its assertion is in :mod:`tests.hostile.containment`."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from embedders import Runtime
from tests.hostile import containment

Contained = Callable[..., containment.Row]


@pytest.fixture
def torchless(monkeypatch: pytest.MonkeyPatch) -> None:
    """The measures need no device, and looking for one costs seconds."""
    monkeypatch.setattr(Runtime, "of", classmethod(lambda cls, device="auto", precision="auto": cls()))


@pytest.fixture
def contained(torchless: None, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Contained:
    """``contained({field: raw}, status, code)``, in a folder of its own."""
    return partial(containment.contained, tmp_path, capture=capfd)

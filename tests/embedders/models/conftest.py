from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Checkpoints ``<name>.pt`` of the tiny CLIP architectures, which open_clip knows from then on."""
    from tests.embedders.models import tiny_clip

    return tiny_clip.checkpoints(tmp_path_factory.mktemp("open_clip"))

"""One small training serves many tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from pipelines.training.scenes import examples
from pipelines.training.starter import Options, plan, train
from pipelines.training.starter.plan import Plan, make_towers
from pipelines.training.starter.triples import Triples


@pytest.fixture(scope="session", autouse=True)
def single_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def few() -> Triples:
    """24 prepared examples of the training split."""
    return Triples.of(examples("train", 24), make_towers("random:0"))


@pytest.fixture(scope="session")
def short() -> Plan:
    """Six steps of eight, two of them validated."""
    made = Options(steps=6, batch=8).plan(1.0, 1)
    return plan.Plan(**{**made.to_json(), "validations": 3, "held_out": 8})


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any], list[str]]:
    """A finished training of two steps: its folder, what it returned and what it said."""
    out = tmp_path_factory.mktemp("trained") / "out"
    said: list[str] = []
    found = train(out, Options(steps=2, batch=8), device="cpu", say=said.append, rows=24, probe=0.0)
    return out, found, said

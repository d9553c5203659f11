"""What an embedder does to the process ends with its part (NUM-14)."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pipelines.engines.contained import contained
from tests.pipelines.engines.conftest import local, words
from tests.pipelines.engines.poison import DEEDS


def in_root() -> None:
    os.chdir("/")


def in_environment() -> None:
    os.environ["CUDA_VISIBLE_DEVICES"] = "none of them"
    os.environ.pop("HF_HUB_OFFLINE")


def in_handlers() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


@pytest.mark.parametrize(
    ("deed", "says"),
    [
        (in_root, "the working folder"),
        (in_environment, "the environment (CUDA_VISIBLE_DEVICES, HF_HUB_OFFLINE)"),
        (in_handlers, "the handler of SIGTERM"),
    ],
)
def test_num_14_what_is_changed_is_put_back_and_said(
    deed: Callable[[], None], says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    before = os.getcwd(), dict(os.environ), signal.getsignal(signal.SIGTERM)
    monkeypatch.setitem(DEEDS, "deed", deed)
    found = local().embed(words("bell", "!!deed"))
    assert (os.getcwd(), dict(os.environ), signal.getsignal(signal.SIGTERM)) == before
    assert found.notes == [f"An embedder changed {says}; it was put back"]


def test_num_14_the_default_dtype_is_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    torch: Any = SimpleNamespace(dtype="float32")
    torch.get_default_dtype = lambda: torch.dtype
    torch.set_default_dtype = lambda dtype: setattr(torch, "dtype", dtype)
    monkeypatch.setitem(sys.modules, "torch", torch)
    notes: list[str] = []
    with contained(notes):
        torch.set_default_dtype("float64")
    assert torch.dtype == "float32"
    assert notes == ["An embedder changed torch's default dtype; it was put back"]


def test_a_folder_that_is_gone_is_left_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path)
    with contained([]):
        os.chdir("gone")
        (tmp_path / "gone").rmdir()
    assert Path.cwd() == tmp_path


def test_it_is_put_back_when_the_part_fails() -> None:
    before = os.getcwd()

    def leave() -> None:
        with contained([]):
            os.chdir("/")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        leave()
    assert os.getcwd() == before


def test_nothing_changed_is_nothing_said() -> None:
    assert local().embed(words("bell")).notes == []

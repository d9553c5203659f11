"""Against numpy's own histogram, and by eye."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import PIL.Image
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedders import BaseEmbedder, UsageError
from embedders.models.encodings import image
from embedders.models.encodings.image import ColourHist
from tests.embedders.models.encodings.in_process import IN_PROCESS


def pixels(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("colours", ["hsv", "rgb"])
@pytest.mark.parametrize("bins", [2, 8, 16])
@pytest.mark.parametrize("block", [1, 100, 1 << 20])
def test_the_numbers_are_numpys_histogram(
    colours: str, bins: int, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image, "BLOCK", block)
    picture = pixels(13, 17)
    channels = np.asarray(PIL.Image.fromarray(picture).convert("HSV")) if colours == "hsv" else picture
    counts, _ = np.histogramdd(channels.reshape(-1, 3), bins=bins, range=[(0, 256)] * 3)
    expected = (counts / (13 * 17)).astype(np.float32).ravel()
    np.testing.assert_array_equal(ColourHist(colours=colours, bins=bins).prepare(picture), expected)


@given(st.integers(1, 30), st.integers(1, 30), st.integers(0, 99))
def test_shares_add_up_and_neither_place_nor_size_matters(height: int, width: int, seed: int) -> None:
    embedder, picture = ColourHist(), pixels(height, width, seed)
    found = embedder.prepare(picture)
    assert found.sum() == pytest.approx(1, abs=1e-5)
    np.testing.assert_array_equal(embedder.prepare(np.ascontiguousarray(picture[::-1, ::-1])), found)
    np.testing.assert_array_equal(embedder.prepare(picture.repeat(2, axis=0)), found)


def test_pure_red_is_one_bin() -> None:
    red = np.full((3, 3, 3), (255, 0, 0), np.uint8)
    assert np.flatnonzero(ColourHist(colours="rgb", bins=4).prepare(red)).tolist() == [(4 * 3 + 0) * 4 + 0]
    assert np.flatnonzero(ColourHist(colours="hsv", bins=4).prepare(red)).tolist() == [(4 * 0 + 3) * 4 + 3]


@pytest.mark.parametrize("options", [{"colours": "lab"}, {"bins": 3}, {"bins": True}, {"bins": 64}])
def test_options_that_cannot_be_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        ColourHist(**options)


@pytest.mark.parametrize("check", IN_PROCESS, ids=lambda check: check.__name__)
def test_contract(check: Callable[[BaseEmbedder], Any]) -> None:
    check(ColourHist())

"""Windows of a made-up ear whose features are the samples themselves: what is cut, counted and averaged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from embedders import BadInput, EmbedderSpec, Runtime, Waveform
from embedders.base import Forward
from embedders.modality import Samples
from embedders.models.fixed_windows import FixedWindows
from embedders.models.log_mel import Features


@dataclass(frozen=True)
class Plain:
    """Four samples a window, filled up with zeros."""

    rate: int = 8000
    window: int = 4

    def features(self, samples: Samples) -> Features:
        return np.pad(samples, (0, self.window - len(samples)))


class Sums(FixedWindows):
    """The sum of a window's samples and a constant, averaged by how many samples the window holds."""

    batch_cost: ClassVar[int] = 3

    def __init__(self) -> None:
        self.seen: list[int] = []

    @property
    def _ear(self) -> Plain:
        return Plain()

    def _held(self, samples: int) -> int:
        return samples

    @property
    def spec(self) -> EmbedderSpec:
        return EmbedderSpec("audio", "sums", 2, False)

    @property
    def weights_identity(self) -> Mapping[str, Any]:
        return {}

    def load(self, runtime: Runtime) -> Forward:
        def pooled(features: torch.Tensor, held: torch.Tensor) -> torch.Tensor:
            self.seen.append(len(features))
            return torch.stack([features.sum(1), torch.ones(len(features))], dim=1)

        return self._averaged(pooled, normalize=False, rows=self.batch_cost)


def clip(*samples: float, rate: int = 8000) -> Waveform:
    return Waveform(np.array(samples, np.float32), rate)


def test_a_window_counts_as_much_as_it_holds() -> None:
    # 1 + 1 + 1 + 1 over four samples, and 6 over two
    assert Sums().embed([clip(1, 1, 1, 1, 3, 3)], device="cpu")[0].tolist() == [
        pytest.approx((4 * 4 + 6 * 2) / 6),
        1,
    ]


def test_windows_of_several_clips_go_to_their_owners() -> None:
    vectors = Sums().embed([clip(1), clip(*[2.0] * 9), clip(3, 3)], device="cpu")
    assert vectors[:, 0].tolist() == pytest.approx([1, (8 * 4 + 8 * 4 + 2) / 9, 6])


def test_a_long_clip_is_embedded_a_few_windows_at_a_time() -> None:
    embedder = Sums()
    embedder.embed([clip(*[1.0] * 28)], device="cpu")
    assert embedder.seen == [3, 3, 1]


@given(st.integers(1, 60))
def test_nothing_is_left_out_and_nothing_is_counted_twice(samples: int) -> None:
    embedder, media = Sums(), clip(*np.arange(samples))
    sound = embedder.prepare(media)
    assert sum(sound.held) == samples
    assert sound.features.sum() == media.samples.sum()
    assert embedder.cost(sound) == -(-samples // 4)


def test_a_clip_that_was_cut_is_flagged() -> None:
    embedder = Sums()
    assert embedder.flags(embedder.prepare(clip(*[0.0] * 4))) == ()
    assert embedder.flags(embedder.prepare(clip(*[0.0] * 9))) == ("windows_3",)


def test_less_than_one_sample_is_refused() -> None:
    with pytest.raises(BadInput, match=r"0\.000003 seconds are less than one sample"):
        Sums().prepare(clip(1.0, rate=384_000))

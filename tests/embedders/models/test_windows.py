"""The cutting and pooling alone, with a model whose frames are means of two samples each."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from embedders import BadInput, EmbedderSpec, Runtime, Status, UsageError, Waveform
from embedders.base import Forward
from embedders.models.windows import Stem, WindowedAudio


class Pairs(WindowedAudio):
    """A frame is ``(mean of two samples, 1)``; remembers how many windows it was given at once."""

    batch_cost = 6

    def __init__(self, *, window_seconds: float | None = 0.6, standardise: bool = False) -> None:
        super().__init__(layer="last", normalize=False, window_seconds=window_seconds)
        self._standardise = standardise
        self.seen: list[tuple[int, ...]] = []
        self.lengths: list[list[int]] = []

    @property
    def _stem(self) -> Stem:
        return Stem((2,), (2,), 10, self._standardise, 1e-7)

    @property
    def spec(self) -> EmbedderSpec:
        return EmbedderSpec("audio", "pairs", 2, False, self._details())

    def load(self, runtime: Runtime) -> Forward:
        def trunk(waves: torch.Tensor, lengths: torch.Tensor) -> tuple[torch.Tensor, ...]:
            assert waves.is_contiguous()
            self.seen.append(tuple(waves.shape))
            self.lengths.append(lengths.tolist())
            means = waves[:, : waves.shape[1] // 2 * 2].view(len(waves), -1, 2).mean(2)
            return (torch.stack([means, torch.ones_like(means)], 2),)

        return self._pooled(trunk, runtime)


def _clip(*samples: float, rate: int = 10) -> Waveform:
    return Waveform(np.array(samples, dtype=np.float32), rate)


def _vectors(embedder: Pairs, *inputs: Waveform) -> Any:
    forward = embedder.forward(Runtime())
    return forward(embedder.collate([embedder.prepare(media) for media in inputs])).numpy()


def test_frames_follow_the_convolutions() -> None:
    stem = Stem((10, 3, 3, 3, 3, 2, 2), (5, 2, 2, 2, 2, 2, 2), 16_000, True, 1e-7)
    assert stem.shortest == 400
    assert [stem.frames(n) for n in (0, 399, 400, 719, 720, 16_000, 480_000)] == [0, 0, 1, 1, 2, 49, 1499]


def test_windows_count_by_their_frames() -> None:
    embedder = Pairs()
    (vector,) = _vectors(embedder, _clip(1, 1, 1, 1, 1, 1, 9, 9))
    assert vector.tolist() == [pytest.approx((1 + 1 + 1 + 9) / 4), 1]


def test_each_clip_gets_its_own_windows_back() -> None:
    long, short = _clip(*[1.0] * 12, 3, 3), _clip(5, 5)
    assert _vectors(Pairs(), short, long, short)[:, 0].tolist() == [5, pytest.approx((6 + 3) / 7), 5]


def test_a_rest_too_short_for_a_frame_is_left_out_and_flagged() -> None:
    embedder = Pairs()
    sample = embedder.prepare(_clip(1, 2, 3, 4, 5, 6, 1000))
    assert [len(window) for window in sample.windows] == [6]
    assert embedder.flags(sample) == ("rest_left_out",)


@pytest.mark.parametrize(("count", "flags"), [(6, ()), (8, ("windows_2",)), (13, ("windows_2", "rest_left_out"))])
def test_flags_say_how_many_windows(count: int, flags: tuple[str, ...]) -> None:
    embedder = Pairs()
    assert embedder.flags(embedder.prepare(_clip(*range(count)))) == flags


@pytest.mark.parametrize("off", [None, 0, 0.0])
def test_windows_can_be_switched_off(off: float | None) -> None:
    embedder = Pairs(window_seconds=off)
    sample = embedder.prepare(_clip(*range(100)))
    assert (len(sample.windows), embedder.cost(sample), embedder.flags(sample)) == (1, 50, ())


def test_cost_is_the_frames_of_all_windows() -> None:
    embedder = Pairs()
    assert embedder.cost(embedder.prepare(_clip(*range(16)))) == 8


def test_a_long_clip_is_forwarded_a_few_windows_at_a_time() -> None:
    embedder = Pairs()
    (vector,) = _vectors(embedder, _clip(*range(40)))
    assert embedder.seen == [(2, 6), (2, 6), (2, 6), (1, 4)]
    assert embedder.lengths == [[6, 6], [6, 6], [6, 6], [4]]
    assert vector[0] == pytest.approx(19.5)


def test_every_window_is_standardised_by_itself() -> None:
    windows = Pairs(standardise=True).prepare(_clip(0, 1, 0, 1, 0, 1, 100, 300, 100, 300, 100, 300)).windows
    assert np.allclose(windows[0], [-1, 1, -1, 1, -1, 1], atol=1e-5)
    assert np.allclose(windows[0], windows[1], atol=1e-5)


def test_too_short_a_clip_names_its_length_and_the_least() -> None:
    with pytest.raises(BadInput, match=r"0\.1000 seconds.*at least 0\.2000") as caught:
        Pairs().prepare(_clip(1))
    assert (caught.value.status, caught.value.code) == (Status.LIMIT, "AUD_TOO_SHORT")


def test_media_is_not_changed() -> None:
    media = _clip(*range(20))
    media.samples.flags.writeable = False
    embedder = Pairs()
    _vectors(embedder, media)
    assert media.samples.tolist() == list(range(20))


@pytest.mark.parametrize("seconds", [-1, float("inf"), "30", True])
def test_a_window_that_is_no_length_is_refused(seconds: Any) -> None:
    with pytest.raises(UsageError):
        Pairs(window_seconds=seconds)


def test_a_window_too_short_for_a_frame_is_refused() -> None:
    with pytest.raises(UsageError, match=r"needs 0\.2"):
        Pairs(window_seconds=0.1).prepare(_clip(*range(20)))

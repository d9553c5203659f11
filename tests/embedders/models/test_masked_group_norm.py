from __future__ import annotations

import numpy as np
import pytest
import torch

from embedders import SetupError
from embedders.models.masked_group_norm import MaskedGroupNorm
from tests.embedders.parity import relative_l2

FRAMES = [100, 2, 37, 64]


def _stem(seed: int = 0) -> torch.nn.Sequential:
    torch.manual_seed(seed)
    norm = torch.nn.GroupNorm(8, 8)
    torch.nn.init.normal_(norm.weight)
    torch.nn.init.normal_(norm.bias)
    return torch.nn.Sequential(torch.nn.Conv1d(1, 8, 3), norm, torch.nn.GELU()).requires_grad_(False)


def _hidden(offset: float = 0.0) -> torch.Tensor:
    return torch.randn(4, 8, 100, generator=torch.Generator().manual_seed(1)) + offset


@pytest.mark.parametrize("offset", [0.0, 5.0, -300.0])
def test_every_row_is_normalised_as_if_it_were_alone(offset: float) -> None:
    """Within the rounding of upstream's own, which grows with the offset: both against float64."""
    plain, exact = _stem()[1], _stem().double()[1]
    norm, hidden = MaskedGroupNorm.of(_stem()), _hidden(offset)
    together = norm(hidden.clone(), torch.tensor(FRAMES))
    for row, count in enumerate(FRAMES):
        alone = hidden[row : row + 1, :, :count]
        truth = exact(alone.double())[0]
        upstream = (plain(alone)[0] - truth).abs().max()
        assert (together[row, :, :count] - truth).abs().max() < 2 * upstream + 1e-5


def test_what_stands_in_the_padding_does_not_matter() -> None:
    norm, hidden = MaskedGroupNorm.of(_stem()), _hidden()
    loud = hidden.clone()
    for row, count in enumerate(FRAMES):
        loud[row, :, count:] = 1e4
    first, second = norm(hidden, torch.tensor(FRAMES)), norm(loud, torch.tensor(FRAMES))
    for row, count in enumerate(FRAMES):
        assert torch.equal(first[row, :, :count], second[row, :, :count])
    assert torch.isfinite(second).all()


def test_upstream_lets_the_padding_in() -> None:
    plain, hidden = _stem()[1], _hidden()
    padded = plain(hidden)[2, :, :37]
    alone = plain(hidden[2:3, :, :37])[0]
    assert relative_l2(np.asarray(padded), np.asarray(alone)) > 1e-2


def test_without_padding_it_is_upstreams_own() -> None:
    plain, norm, hidden = _stem()[1], MaskedGroupNorm.of(_stem()), _hidden()
    expected = plain(hidden)
    assert relative_l2(norm(hidden, torch.full((4,), 100)), expected) < 1e-6


def test_it_keeps_nothing_between_two_calls() -> None:
    norm = MaskedGroupNorm.of(_stem())
    before = norm(_hidden(), torch.tensor(FRAMES))
    norm(_hidden(3.0), torch.tensor([1, 2, 3, 4]))
    assert torch.equal(norm(_hidden(), torch.tensor(FRAMES)), before)


@pytest.mark.parametrize(
    "norms",
    [[], [torch.nn.GroupNorm(8, 8), torch.nn.GroupNorm(8, 8)], [torch.nn.GroupNorm(2, 8)]],
    ids=["none", "two", "channels that share a group"],
)
def test_any_other_number_or_kind_of_group_norms_is_refused(norms: list[torch.nn.Module]) -> None:
    with pytest.raises(SetupError, match="exactly one"):
        MaskedGroupNorm.of(torch.nn.Sequential(torch.nn.Conv1d(1, 8, 3), *norms))

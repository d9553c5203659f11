"""Token states to vectors of texts: padded batches of chunks, and how their states are pooled, in fp32."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from embedders.models.pooling import masked_mean
from embedders.models.tokens import Tokens

if TYPE_CHECKING:
    import torch

__all__ = ["Batch", "collated", "of_texts", "pool"]


@dataclass(frozen=True)
class Batch:
    """Token ids, types and masks ``(n, tokens)``, int64; ``pooled`` marks the tokens that make the vector.

    A row is a chunk of a text, and ``owners`` number the texts.
    """

    owners: list[int]
    ids: torch.Tensor
    types: torch.Tensor
    attended: torch.Tensor
    pooled: torch.Tensor

    @property
    def chunked(self) -> bool:
        """Whether a text has several rows."""
        return self.owners[-1] + 1 < len(self.owners)

    def pieces(self, cost: int) -> list[slice]:
        """Rows at a time: one long text of many chunks needs no more memory than a batch of others."""
        count, tokens = self.ids.shape
        rows = max(1, cost // tokens) if self.chunked else count
        return [slice(start, start + rows) for start in range(0, count, rows)]


def collated(samples: Sequence[Tokens], pad: int, unpooled: int) -> Batch:
    """All chunks of all texts, padded on the right; the first ``unpooled`` tokens of a text make no vector."""
    import torch

    chunks = [chunk for sample in samples for chunk in (sample, *sample.rest)]
    owners = [owner for owner, sample in enumerate(samples) for _ in range(1 + len(sample.rest))]
    shape = (len(chunks), max(len(chunk.ids) for chunk in chunks))
    ids = np.full(shape, pad, dtype=np.int64)
    types, attended = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.int64)
    for row, chunk in enumerate(chunks):
        ids[row, : len(chunk.ids)] = chunk.ids
        types[row, : len(chunk.ids)] = chunk.types
        attended[row, : len(chunk.ids)] = 1
    pooled = attended.copy()
    begins = [row for row, owner in enumerate(owners) if not row or owner != owners[row - 1]]
    pooled[begins, :unpooled] = 0
    arrays = (torch.from_numpy(array) for array in (ids, types, attended, pooled))
    return Batch(owners, *arrays)


def of_texts(vectors: torch.Tensor, batch: Batch, pooling: str) -> torch.Tensor:
    """The chunks' vectors averaged over each text, in fp32."""
    import torch

    if not batch.chunked:
        return vectors
    # summed on the CPU, where the order of additions is always the same
    chunks, owners = vectors.float().cpu(), torch.tensor(batch.owners)
    weights = batch.pooled.sum(1, keepdim=True).float() if pooling == "mean" else torch.ones(len(chunks), 1)
    sums = chunks.new_zeros(batch.owners[-1] + 1, chunks.shape[1]).index_add_(0, owners, chunks * weights)
    totals = weights.new_zeros(len(sums), 1).index_add_(0, owners, weights)
    return (sums / totals).to(vectors.device)


def pool(hidden: torch.Tensor, mask: torch.Tensor, pooling: str) -> torch.Tensor:
    """``hidden (n, tokens, dim)`` and the mask of pooled tokens ``(n, tokens)`` to ``(n, dim)`` in fp32."""
    import torch

    if pooling == "mean":
        return masked_mean(hidden, mask)
    steps = torch.arange(mask.shape[1], device=mask.device)
    # the first or last place where the mask is 1, wherever the others are
    place = (mask * (steps + 1)).argmax(1) if pooling == "last" else (mask * (len(steps) - steps)).argmax(1)
    return hidden[torch.arange(len(hidden), device=hidden.device), place].float()

"""Text encoders of transformers as modules without state: from a collated batch to the states of its tokens.

Imports torch: loaded by the embedder when it loads.
"""

from __future__ import annotations

from typing import Any

import torch

__all__ = ["TextEncoder"]


class TextEncoder(torch.nn.Module):
    """Ids, types and attended tokens ``(n, tokens)``, int64, to the last hidden state ``(n, tokens, dim)``.

    The model builds its masks itself, as every architecture wants its own. Asked to trace, transformers builds
    them for any values; otherwise it leaves out those that mask nothing.
    """

    def __init__(self, model: Any, takes_types: bool) -> None:
        super().__init__()
        self.model, self.takes_types = model, takes_types
        if getattr(model.config, "use_cache", False):  # of keys, for the next token, which nobody asks for
            model.config.use_cache = False

    def forward(self, ids: torch.Tensor, types: torch.Tensor, attended: torch.Tensor) -> torch.Tensor:
        """Types reach only models that were trained with them."""
        more = {"token_type_ids": types} if self.takes_types else {}
        found: torch.Tensor = self.model(input_ids=ids, attention_mask=attended, **more)[0]
        return found

"""Heads that are trained: layer norm, then no, one or two hidden layers, against the anchor's locked vectors."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from embedders.errors import UsageError, nearest
from embedders.models.aligned import EPSILON, Head, Layer
from embedders.weights import Seeded
from pipelines.training.align.judge import Score, applied, score
from pipelines.training.align.pairs import Pairs, Parts, Rows
from pipelines.training.starter.loss import contrastive

if TYPE_CHECKING:
    import torch

__all__ = ["LOSSES", "Learned", "Recipe", "learn", "sigmoid_loss"]

LOSSES = {"infonce": 0.07, "siglip": 0.1}
"""Losses, and the temperature each begins with: CLIP's (Radford et al. 2021) and SigLIP's (Zhai et al. 2023)."""
COLDEST = 100.0
"""The largest logit scale, as in CLIP."""
BIAS = -10.0
"""Where SigLIP's bias begins: nearly all pairs of a batch are negatives."""
MIXED = 0.5
"""Share of steps whose pairs are mixed."""
WARM_UP = 100
"""Steps in which the rate rises."""


@dataclass(frozen=True)
class Recipe:
    """Everything that decides a training besides its pairs and its seed.

    ``hidden`` layers of ``width``; AdamW with ``rate`` (cosine after a warm-up) and ``decay`` on matrices;
    ``mixing`` is FuseMix's alpha, 0 for none; at most ``steps`` of ``batch`` pairs, and ``epochs`` over all;
    validation looks ``looks`` times on the way, and stops after ``patience`` without a better one.
    """

    loss: str = "infonce"
    hidden: int = 1
    width: int = 1024
    dropout: float = 0.3
    rate: float = 1e-3
    decay: float = 0.1
    temperature: float = LOSSES["infonce"]
    mixing: float = 1.0
    batch: int = 1024
    steps: int = 2000
    epochs: int = 200
    looks: int = 50
    patience: int = 10

    @classmethod
    def of(cls, loss: str, **changes: Any) -> Recipe:
        """The default for a loss; raises UsageError for one that does not exist."""
        if loss not in LOSSES:
            raise UsageError(f"There is no loss {loss!r}", nearest(loss, LOSSES))
        return cls(**{"loss": loss, "temperature": LOSSES[loss], **changes})

    def bounded(self, count: int) -> Recipe:
        """The same with the number of steps that so many pairs leave."""
        return replace(self, steps=min(self.steps, self.epochs * max(1, count // self.batch)))

    @property
    def every(self) -> int:
        """Steps from one validation to the next."""
        return max(1, self.steps // self.looks)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


@dataclass(frozen=True)
class Learned:
    """The head of the best validation, its score, and where it was found."""

    head: Head
    score: Score
    step: int
    steps: int


def learn(
    pairs: Pairs,
    parts: Parts,
    recipe: Recipe,
    seed: int,
    *,
    device: str = "cpu",
    observe: Callable[[int, Score], None] = lambda step, found: None,
) -> Learned:
    """Train a head on the training part and return that of the best validation.

    Everything random comes from ``seed``; on one thread of a CPU two trainings have the same bits. ``observe`` is
    called after each validation, and may raise to stop.
    """
    import torch
    from torch.nn.functional import normalize

    rng = np.random.default_rng(seed)
    x, y = (torch.tensor(side[parts.train]) for side in (pairs.x, pairs.y))
    keys = torch.from_numpy(pairs.groups[parts.train])
    batches = _batches(len(keys), recipe.batch, rng)
    every = recipe.every
    best: Learned | None = None
    with Seeded(seed).generator():
        network = _network(x, y.shape[1], recipe).to(device)
        scale = torch.nn.Parameter(torch.tensor(math.log(1 / recipe.temperature), device=device))
        bias = torch.nn.Parameter(torch.tensor(BIAS, device=device))
        optimizer = _optimizer(network, [scale, bias], recipe)
        for step in range(1, recipe.steps + 1):
            rows = torch.from_numpy(next(batches))
            inputs, anchors, marks = _mixed(x[rows], y[rows], keys[rows], recipe.mixing, rng)
            found = normalize(network(inputs.to(device)), dim=-1)
            heat = scale.exp().clamp(max=COLDEST)
            anchors, marks = anchors.to(device), marks.to(device)
            if recipe.loss == "infonce":
                loss = contrastive(found, anchors, marks, heat)
            else:
                loss = sigmoid_loss(found, anchors, marks, heat, bias)
            for group in optimizer.param_groups:
                group["lr"] = _rate(recipe, step)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
            optimizer.step()
            if step % every and step < recipe.steps:
                continue
            network.eval()
            head = _head(network)
            network.train()
            reached = score(applied(head, pairs.x[parts.valid]), pairs, parts.valid)
            if best is None or reached > best.score:
                best = Learned(head, reached, step, step)
            best = Learned(best.head, best.score, best.step, step)
            observe(step, reached)
            if step - best.step >= recipe.patience * every:
                break
    assert best is not None
    return best


def sigmoid_loss(
    first: torch.Tensor, second: torch.Tensor, keys: torch.Tensor, scale: torch.Tensor, bias: torch.Tensor
) -> torch.Tensor:
    """SigLIP's loss where all rows of an equal key are each other's positives (Zhai et al. 2023, eq. 1).

    ``first`` and ``second`` are ``(n, dim)`` unit vectors, ``keys (n,)``; the sum over all pairs, per row.
    """
    from torch.nn.functional import logsigmoid

    sign = 2 * (keys[:, None] == keys[None, :]).to(first.dtype) - 1
    return -logsigmoid(sign * (scale * first @ second.T + bias)).sum() / len(first)


def _network(x: torch.Tensor, dim: int, recipe: Recipe) -> torch.nn.Sequential:
    """The layers, with a layer norm that begins as the standardisation of what it will see.

    Vectors of most embedders share a large mean; without this the first layer has to unlearn it.
    """
    import torch
    from torch import nn

    first = nn.LayerNorm(x.shape[1], eps=EPSILON)
    with torch.no_grad():
        seen = first(x)
        deviation = seen.std(dim=0)
        deviation = torch.where(deviation > 1e-3, deviation, torch.ones_like(deviation))
        first.weight.copy_(1 / deviation)
        first.bias.copy_(-seen.mean(dim=0) / deviation)
    layers: list[nn.Module] = [first]
    width = x.shape[1]
    for _ in range(recipe.hidden):
        layers += [nn.Linear(width, recipe.width), nn.GELU(), nn.Dropout(recipe.dropout)]
        width = recipe.width
    return nn.Sequential(*layers, nn.Linear(width, dim))


def _head(network: torch.nn.Sequential) -> Head:
    from torch import nn

    layers = []
    for module in network:
        if isinstance(module, nn.Dropout):
            continue
        if isinstance(module, nn.GELU):
            layers.append(Layer("gelu"))
            continue
        kind = "affine" if isinstance(module, nn.Linear) else "layernorm"
        values = (cast("torch.Tensor", tensor).detach().cpu().clone() for tensor in (module.weight, module.bias))
        layers.append(Layer(kind, *values))
    return Head(tuple(layers))


def _optimizer(
    network: torch.nn.Module, scalars: list[torch.nn.Parameter], recipe: Recipe
) -> torch.optim.Optimizer:
    import torch

    weights = list(network.parameters())
    groups = [
        {"params": [w for w in weights if w.ndim > 1], "weight_decay": recipe.decay},
        {"params": [*(w for w in weights if w.ndim <= 1), *scalars], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=recipe.rate)


def _rate(recipe: Recipe, step: int) -> float:
    warm = max(1, min(WARM_UP, recipe.steps // 10))
    if step <= warm:
        return recipe.rate * step / warm
    return recipe.rate * (1 + math.cos(math.pi * (step - warm) / max(1, recipe.steps - warm))) / 2


def _batches(count: int, batch: int, rng: np.random.Generator) -> Iterator[Rows]:
    """Rows of one step after another: every row once before any comes again."""
    while True:
        order = rng.permutation(count)
        size = min(batch, count)
        for start in range(0, count - size + 1, size):
            yield order[start : start + size]


def _mixed(
    x: torch.Tensor, y: torch.Tensor, keys: torch.Tensor, alpha: float, rng: np.random.Generator
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """FuseMix (Vouitsis et al. 2023): now and then each pair is mixed with another, by one share on both sides.

    One share for the whole batch, so that two mixes of equal groups are positives of each other.
    """
    import torch
    from torch.nn.functional import normalize

    if alpha == 0 or rng.random() >= MIXED:
        return x, y, keys
    share = float(rng.beta(alpha, alpha))
    other = torch.from_numpy(rng.permutation(len(keys)))
    both = keys * (int(keys.max()) + 1) + keys[other]
    return (
        share * x + (1 - share) * x[other],
        normalize(share * y + (1 - share) * y[other], dim=-1),
        both,
    )

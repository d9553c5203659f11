"""The training itself: steps that the plan and their number decide alone, so that a stop leaves no trace."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pipelines.training.starter.loss import AUGMENTATIONS, contrastive
from pipelines.training.starter.plan import PAIRS, Plan
from pipelines.training.starter.triples import Triples
from pipelines.uses.evaluation import positive_ranks

if TYPE_CHECKING:
    import torch

__all__ = ["Progress", "Training", "directions", "embed", "measure", "threads"]

COLDEST, WARMEST = 100.0, 1 / 0.07
"""The largest logit scale, and the first one (Radford et al. 2021)."""

BLOCK = 256
"""Rows embedded at once where no gradients are kept."""


@dataclass(frozen=True)
class Progress:
    """Where a training stands after a step."""

    step: int
    steps: int
    loss: float
    per_second: float
    """Examples a second since this process began."""
    score: float | None = None
    """The last validation: mean reciprocal rank over the six directions among held-out training scenes."""
    seconds_left: float = 0.0


class Training:
    """Networks, optimiser and position of one training; ``networks`` are changed in place."""

    def __init__(
        self, plan: Plan, networks: Mapping[str, torch.nn.Module], triples: Triples, held: Triples, device: str
    ) -> None:
        import torch

        self.plan, self.triples, self.held, self.device = plan, triples, held, device
        self.pairs = PAIRS[plan.pairs]
        self.networks = torch.nn.ModuleDict(dict(networks)).to(device)
        first = torch.full((len(self.pairs),), math.log(WARMEST), device=device)
        self.scales = torch.nn.Parameter(first)
        weights = list(self.networks.parameters())
        # norms, biases and scales are no directions to forget
        groups = [
            {"params": [w for w in weights if w.ndim > 1], "weight_decay": plan.decay},
            {"params": [*(w for w in weights if w.ndim <= 1), self.scales], "weight_decay": 0.0},
        ]
        self.optimizer = torch.optim.AdamW(groups, lr=plan.rate)
        self.step = 0
        self.best: dict[str, Any] | None = None
        self.history: list[dict[str, float]] = []

    def advance(self) -> float:
        """One step; returns its loss. Everything random in it comes from the plan's seed and the step's number."""
        import torch
        from torch.nn.functional import normalize

        plan = self.plan
        chance = torch.Generator().manual_seed(plan.seed * 1_000_003 + self.step)
        positions = self._positions()
        found = {}
        self.networks.train()
        with _halved(self.device):
            for field, rows in self.triples.rows(positions).items():
                changed = AUGMENTATIONS[field](rows, chance) if field in AUGMENTATIONS else rows
                found[field] = self.networks[field](_ready(changed).to(self.device))
        vectors = {field: normalize(rows.float(), dim=-1) for field, rows in found.items()}
        scales = self.scales.exp().clamp(max=COLDEST)
        losses = [
            contrastive(vectors[a], vectors[b], self.triples.keys((a, b), positions).to(self.device), scale)
            for (a, b), scale in zip(self.pairs, scales, strict=True)
        ]
        loss = torch.stack(losses).mean()
        for group in self.optimizer.param_groups:
            group["lr"] = self._rate()
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        self.optimizer.step()
        self.step += 1
        return float(loss.detach())

    def run(self, save: Callable[[], None], observe: Callable[[Progress], None], every: float) -> None:
        """Go on to the last step; ``save`` is called every so many seconds, and after each validation.

        The best of the validations is kept. They come after a number of steps, not of seconds, so that which one
        is best depends on neither the machine nor stops.
        """
        began = saved = time.perf_counter()
        before = self.step
        interval = math.ceil(self.plan.steps / self.plan.validations)
        while self.step < self.plan.steps:
            loss = self.advance()
            if due := self.step % interval == 0 or self.step == self.plan.steps:
                self._validate(loss)
            now = time.perf_counter()
            if due or now - saved >= every:
                save()
                saved = time.perf_counter()
            rate = (self.step - before) * self.plan.batch / (now - began)
            score = self.history[-1]["score"] if self.history else None
            left = (self.plan.steps - self.step) * self.plan.batch / rate
            observe(Progress(self.step, self.plan.steps, loss, rate, score, left))

    def state(self) -> dict[str, Any]:
        """Everything that going on needs, as tensors and plain values."""
        return {
            "plan": self.plan.to_json(),
            "step": self.step,
            "networks": self.networks.state_dict(),
            "scales": self.scales.detach(),
            "optimizer": self.optimizer.state_dict(),
            "best": self.best,
            "history": self.history,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Stand where the state was taken."""
        import torch

        self.networks.load_state_dict(state["networks"])
        with torch.no_grad():
            self.scales.copy_(state["scales"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.best, self.history = state["step"], state["best"], list(state["history"])

    def _validate(self, loss: float) -> None:
        vectors = embed(dict(self.networks.items()), self.held, self.device)
        graphs = self.held.graphs.numpy()
        ranks = [positive_ranks(vectors[a], vectors[b], graphs, graphs)[0] for a, b in directions(vectors)]
        score = float(np.mean([[1 / row[0] for row in found] for found in ranks]))
        self.history.append({"step": self.step, "loss": loss, "score": score})
        if self.best is None or score > self.best["score"]:
            state = {name: value.detach().cpu().clone() for name, value in self.networks.state_dict().items()}
            self.best = {"step": self.step, "score": score, "networks": state}

    def _positions(self) -> torch.Tensor:
        """The rows of this step: every epoch shows each row at most once, in an order of its own."""
        import torch

        per_epoch = max(1, len(self.triples) // self.plan.batch)
        epoch, within = divmod(self.step, per_epoch)
        order = np.random.default_rng([self.plan.seed, epoch]).permutation(len(self.triples))
        return torch.from_numpy(order[within * self.plan.batch : (within + 1) * self.plan.batch])

    def _rate(self) -> float:
        warm = max(1, round(self.plan.warm_up * self.plan.steps))
        if self.step < warm:
            return self.plan.rate * (self.step + 1) / warm
        done = (self.step - warm) / max(1, self.plan.steps - warm)
        return self.plan.rate * (1 + math.cos(math.pi * done)) / 2


@contextlib.contextmanager
def threads(count: int) -> Iterator[None]:
    """So many threads of torch on the CPU inside of the block."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def measure(training: Training, seconds: float) -> float:
    """Examples a second that this machine trains on, from steps of a training that is thrown away after it."""
    training.advance()  # the first step also sets up the device
    began = time.perf_counter()
    steps, taken = 0, 0.0
    while steps == 0 or (taken < seconds and steps < 50):
        training.advance()
        steps, taken = steps + 1, time.perf_counter() - began
    return steps * training.plan.batch / taken


def embed(
    networks: Mapping[str, torch.nn.Module], triples: Triples, device: str
) -> dict[str, npt.NDArray[np.float32]]:
    """Unit vectors ``(n, dim)`` of every field, in fp32."""
    import torch
    from torch.nn.functional import normalize

    found = {}
    for field, network in networks.items():
        network.eval()
        rows = triples.inputs[field]
        with torch.inference_mode():
            blocks = (_ready(rows[start : start + BLOCK]).to(device) for start in range(0, len(rows), BLOCK))
            pieces = [normalize(network(block), dim=-1).cpu() for block in blocks]
        found[field] = torch.cat(pieces).numpy()
    return found


def directions(fields: Mapping[str, Any]) -> list[tuple[str, str]]:
    """From each field to each other."""
    return [(a, b) for a in fields for b in fields if a != b]


def _ready(rows: torch.Tensor) -> torch.Tensor:
    """Rows as a network takes them: words widened, and without the steps that are padding in all rows."""
    import torch

    if rows.dtype == torch.int16:
        used = int((rows != 0).any(0).sum())
        return rows[:, :used].long()
    return rows


def _halved(device: str) -> contextlib.AbstractContextManager[Any]:
    """Bf16 where it is fast; fp32 on a CPU."""
    import torch

    if device.startswith("cuda"):
        return torch.autocast("cuda", dtype=torch.bfloat16)
    return contextlib.nullcontext()

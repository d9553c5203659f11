"""Device and precision of a forward; importing this loads no torch, running it does."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from embedders.errors import SetupError, UsageError, nearest

if TYPE_CHECKING:
    import torch

__all__ = ["Runtime"]

PRECISIONS = ("fp32", "bf16", "fp16")


@dataclass(frozen=True)
class Runtime:
    """Where and how to embed: ``device`` as torch names it (``cpu``, ``cuda:0``), ``precision`` of the forward.

    Made by :meth:`of`, which settles ``auto`` and refuses what this machine lacks.
    """

    device: str = "cpu"
    precision: str = "fp32"

    @classmethod
    def of(cls, device: str = "auto", precision: str = "auto") -> Runtime:
        """Settle ``auto``: the first CUDA device, else Apple's, else the CPU; precision fp32.

        Raises UsageError for an unknown word and SetupError for a device that is not there.
        """
        import torch

        if precision not in ("auto", *PRECISIONS):
            raise UsageError(f"There is no precision {precision!r}", nearest(precision, ("auto", *PRECISIONS)))
        kind = device.split(":")[0]
        if device != "auto" and kind not in ("cpu", "cuda", "mps", "xpu"):
            raise UsageError(f"There is no device {device!r}", nearest(kind, ("auto", "cpu", "cuda", "mps", "xpu")))
        if device == "auto":
            device = "cuda:0" if torch.cuda.is_available() else "mps" if torch.mps.is_available() else "cpu"
        elif device != "cpu":
            cls._check(device)
        if device == "cuda":
            device = "cuda:0"
        return cls(device, "fp32" if precision == "auto" else precision)

    @staticmethod
    def _check(device: str) -> None:
        import torch

        try:
            torch.empty(1, device=device)
        except (RuntimeError, AssertionError, ValueError) as error:
            reason = str(error).splitlines()[0]
            raise SetupError(f"The device {device!r} cannot be used ({reason})", "Try --device cpu") from error

    @contextlib.contextmanager
    def inference(self) -> Iterator[None]:
        """Run a forward without gradients and in this precision.

        Half precision comes by autocast over fp32 weights: matrix products and convolutions are halved, while
        normalisation layers and softmax keep fp32 as torch decides per operation. Pooling and unit length
        belong outside of it.
        """
        import torch

        with torch.inference_mode():
            if self.precision == "fp32":
                yield
            else:
                with torch.autocast(self.device.split(":")[0], dtype=self._dtype()):
                    yield

    def place(self, module: torch.nn.Module) -> torch.nn.Module:
        """The module on this device, in eval mode, without gradients: dropout and batch statistics are off."""
        return module.to(self.device).eval().requires_grad_(False)

    def describe(self) -> dict[str, Any]:
        """What the fingerprint records: two devices of a kind count as the same."""
        return {"device": self.device.split(":")[0], "precision": self.precision}

    def _dtype(self) -> torch.dtype:
        import torch

        return torch.bfloat16 if self.precision == "bf16" else torch.float16

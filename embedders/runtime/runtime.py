"""Device, precision and engine of a forward; importing this loads no torch, running it does."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from embedders.errors import SetupError, UsageError, nearest
from embedders.runtime.machine import cores

if TYPE_CHECKING:
    import torch

    from embedders.runtime.network import Network, Run

__all__ = ["ACCELERATORS", "PRECISIONS", "Runtime", "known"]

PRECISIONS = ("fp32", "bf16", "fp16")
ACCELERATORS = ("none", "compile", "openvino")

_lanes = threading.local()


@dataclass(frozen=True)
class Runtime:
    """Where and how to embed.

    ``device`` is named as torch does (``cpu``, ``cuda:0``); ``precision`` is the forward's; ``accel`` is what runs
    it: torch as it stands (``none``), torch compiled (``compile``), or ``openvino``. The default is exact: what the
    model's own library would compute on a CPU. :func:`embedders.runtime.choose` finds a faster one.
    """

    device: str = "cpu"
    precision: str = "fp32"
    accel: str = "none"
    batch_factor: int | None = None
    """What a trial found to fill the device, as :meth:`budget` multiplies by; None where none was made."""

    @classmethod
    def of(cls, device: str = "auto", precision: str = "fp32") -> Runtime:
        """Settle ``auto``: the first CUDA device, else Apple's, else the CPU; precision fp32.

        Raises UsageError for an unknown word and SetupError for a device that is not there.
        """
        known("precision", precision, PRECISIONS)
        kind = device.split(":")[0]
        if device != "auto" and kind not in ("cpu", "cuda", "mps", "xpu"):
            raise UsageError(f"There is no device {device!r}", nearest(kind, ("auto", "cpu", "cuda", "mps", "xpu")))
        if device == "auto":
            import torch

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

    @property
    def exact(self) -> bool:
        """Whether nothing is traded for speed: full precision, by the model's own code."""
        return self.precision == "fp32" and self.accel == "none"

    @property
    def lanes(self) -> int:
        """How many batches may be under way at once.

        OpenVINO computes a batch per core, which wastes none of them on waiting for one another and makes the
        vectors the same for any number of cores. On an accelerator a second batch is copied while the first is
        computed. torch on a CPU uses all cores for one batch.
        """
        if self.accel == "openvino":
            return cores()
        return 2 if self.device.startswith("cuda") else 1

    def budget(self, cost: int) -> int:
        """What a batch may cost here, of an embedder whose ``batch_cost`` is this.

        That is what keeps a core busy; a GPU wants many times as much.
        """
        return cost * (self.batch_factor or (16 if self.device.startswith("cuda") else 1))

    @contextlib.contextmanager
    def lane(self) -> Iterator[None]:
        """Work on one batch from start to end, in one thread: its copies and products queue behind no other's."""
        if not self.device.startswith("cuda"):
            yield
            return
        import torch

        streams = _lanes.__dict__.setdefault("streams", {})
        if self.device not in streams:
            streams[self.device] = torch.cuda.Stream(self.device)  # type: ignore[no-untyped-call]  # torch leaves it untyped
        with torch.cuda.device(self.device), torch.cuda.stream(streams[self.device]):
            yield

    def moved(self, tensor: torch.Tensor) -> torch.Tensor:
        """A batch's tensor on the device; through page-locked memory where that lets the copy run beside products.

        That memory belongs to the thread and is written again for its next batch, so a thread takes the vectors of
        one batch home before it begins another.
        """
        if not self.device.startswith("cuda"):
            return tensor.to(self.device)
        import torch

        buffers = _lanes.__dict__.setdefault("buffers", {})
        held = buffers.get((self.device, tensor.dtype, tensor.dim()))
        if held is None or held.numel() < tensor.numel():
            held = torch.empty(tensor.numel(), dtype=tensor.dtype, pin_memory=True)
            buffers[self.device, tensor.dtype, tensor.dim()] = held
        staged: torch.Tensor = held[: tensor.numel()].view(tensor.shape)
        torch.cuda.current_stream(self.device).synchronize()  # an earlier tensor may still be on its way
        staged.copy_(tensor)
        return staged.to(self.device, non_blocking=True)

    def network(self, network: Network) -> Run:
        """Load a network for this runtime: the callable takes a batch's tensors and returns a tuple of tensors."""
        from embedders.runtime.network import load

        return load(network, self)

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
        if self.device.startswith("cuda") and self.precision == "fp32":
            import torch

            # by default, convolutions of float32 keep ten bits of the mantissa
            torch.backends.cudnn.allow_tf32 = False
            torch.backends.cuda.matmul.allow_tf32 = False
        return module.to(self.device).eval().requires_grad_(False)

    def describe(self) -> dict[str, Any]:
        """What the fingerprint records: two devices of a kind count as the same."""
        found = {"device": self.device.split(":")[0], "precision": self.precision, "accel": self.accel}
        return {**found, "batch_factor": self.batch_factor} if self.batch_factor else found

    def _dtype(self) -> torch.dtype:
        import torch

        return torch.bfloat16 if self.precision == "bf16" else torch.float16


def known(option: str, word: str, words: tuple[str, ...]) -> None:
    """Raise UsageError for a word that is neither ``auto`` nor one of ``words``."""
    if word not in ("auto", *words):
        raise UsageError(f"There is no {option} {word!r}", nearest(word, ("auto", *words)))

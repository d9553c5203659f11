"""What an exception says about the embedder, the input or the device; read without importing torch."""

from __future__ import annotations

from embedders import SetupError

__all__ = ["DeviceLost", "is_device_lost", "is_out_of_memory", "said"]

OUT_OF_MEMORY = ("out of memory", "_alloc_failed", "defaultcpuallocator")
"""In lower case: torch for CUDA, HIP, XPU and MPS; cuDNN and cuBLAS (``..._STATUS_ALLOC_FAILED``); the host."""

DEVICE_LOST = ("cuda error:", "hip error:", "device-side assert")
"""In lower case: after one of these, every later call of the same process on the device fails too."""


class DeviceLost(SetupError):
    """The accelerator can no longer be used by this process; only a new process can tell whether it is broken."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a smaller batch might pass where this was raised."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return isinstance(error, RuntimeError) and any(text in said(error).lower() for text in OUT_OF_MEMORY)


def is_device_lost(error: BaseException) -> bool:
    """Whether nothing can pass any more in this process; never true for mere lack of memory."""
    lost = isinstance(error, RuntimeError) and any(text in said(error).lower() for text in DEVICE_LOST)
    return lost and not is_out_of_memory(error)


def said(error: BaseException) -> str:
    """``ValueError: its message``; the type alone where even the message raises."""
    try:
        return f"{type(error).__name__}: {error}"
    except Exception:  # a stranger's __str__
        return type(error).__name__

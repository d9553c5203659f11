"""The costly part of an embedder as a network without state, and the ways to run one."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias

from embedders.errors import SetupError

if TYPE_CHECKING:
    import torch

    from embedders.runtime.runtime import Runtime

__all__ = ["Network", "Run", "built_once", "load"]

_built: ContextVar[dict[str, torch.nn.Module] | None] = ContextVar("_built", default=None)

Run: TypeAlias = "Callable[..., tuple[torch.Tensor, ...]]"
"""Takes a batch's tensors as they were collated, on the CPU or already on the device; what comes back lies on the
device and may be of half precision. May be called by several threads at once."""


@dataclass(frozen=True)
class Network:
    """A torch module from tensors to tensors, and what an engine must know to run it without torch.

    ``build`` makes the module on the CPU; it is not called where a conversion is at hand. Its ``forward`` takes the
    tensors by position and returns one or a tuple, keeps no state between calls, and takes no decision that
    depends on their values or on the sizes of the axes in ``dynamic`` (one tuple per input). ``example`` is one set
    of inputs, small but with more than one row. ``key`` says what decides the module's weights and operations.
    ``exact`` networks run in fp32 whatever the runtime's precision: pooling, projections.
    """

    name: str
    key: Mapping[str, Any]
    build: Callable[[], torch.nn.Module]
    example: Callable[[], tuple[torch.Tensor, ...]]
    dynamic: tuple[tuple[int, ...], ...] = ((0,),)
    exact: bool = False

    def module(self) -> torch.nn.Module:
        """What ``build`` makes; within :func:`built_once` the same again."""
        built = _built.get()
        if built is None:
            return self.build()
        place = json.dumps([self.name, self.key], sort_keys=True, default=str)
        if place not in built:
            built[place] = self.build()
        return built[place]


@contextlib.contextmanager
def built_once() -> Iterator[None]:
    """Within this, loading one network for several runtimes reads its weights once: by name and key."""
    token = _built.set({})
    try:
        yield
    finally:
        _built.reset(token)


def load(network: Network, runtime: Runtime) -> Run:
    """The network on its runtime; raises SetupError for an engine that is not installed or does not take it."""
    if network.exact and runtime.precision != "fp32":
        runtime = replace(runtime, precision="fp32")
    if runtime.accel == "openvino":
        from embedders.runtime.graph import load_graph

        return load_graph(network, runtime)
    return _in_torch(network, runtime)


def _in_torch(network: Network, runtime: Runtime) -> Run:
    import torch

    module = runtime.place(network.module())
    if not runtime.exact and any(isinstance(part, torch.nn.Conv2d) for part in module.modules()):
        module = module.to(memory_format=torch.channels_last)
    call: Any = _compiled(module, runtime) if runtime.accel == "compile" else module

    def run(*tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        moved = [runtime.moved(tensor) for tensor in tensors]
        with runtime.inference():
            found = call(*moved)
        return tuple(found) if isinstance(found, tuple | list) else (found,)

    return run


def _compiled(module: torch.nn.Module, runtime: Runtime) -> Any:
    import torch

    try:
        # on a CPU weights are packed for its units once; an accelerator's kernels take them as they are
        options: Any = {"freezing": True} if runtime.device == "cpu" else None
        return torch.compile(module, dynamic=None, options=options)
    except RuntimeError as error:  # where there is no compiler for this Python or machine
        raise SetupError(f"torch cannot compile here: {error}", "Take --accel none") from error

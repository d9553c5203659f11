"""How a forward runs: on which device, in which precision."""

from embedders.runtime.runtime import Runtime

__all__ = ["Runtime"]

"""How a forward runs: on which device, in which precision, through which engine; and how that is chosen."""

from embedders.runtime.choice import Wish, choose
from embedders.runtime.network import Network, Run
from embedders.runtime.runtime import ACCELERATORS, PRECISIONS, Runtime, known

__all__ = ["ACCELERATORS", "PRECISIONS", "Network", "Run", "Runtime", "Wish", "choose", "known"]

"""Who runs the parts: this process, or worker processes that may die without taking the run along.

::

    run.py       parts in, commits out: any engine, several at once    breaker.py    when failures stop a run
    engine.py    what an engine is, and its settings                   make.py       how many, on which devices
    local.py     in this process                                       contained.py  what is put back afterwards
    workers.py   in a worker: who kills it twice is a row              packing.py    what is sent there
    child.py     one worker, seen from its parent                      watchdog.py   when it is taken for dead
    worker.py    the worker itself                                     ledger.py     what it was busy with
    signals.py   the first Ctrl-C finishes the part, the second stops now
"""

from pipelines.engines.engine import Engine, Settings
from pipelines.engines.local import LocalEngine
from pipelines.engines.make import described, make_engines
from pipelines.engines.run import Progress, failure_limit, run_parts
from pipelines.engines.workers import WorkerEngine

__all__ = [
    "Engine",
    "LocalEngine",
    "Progress",
    "Settings",
    "WorkerEngine",
    "described",
    "failure_limit",
    "make_engines",
    "run_parts",
]

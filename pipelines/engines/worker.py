"""A worker process: an engine at the end of a pipe.

Started as ``python -P -m pipelines.engines.worker PIPE LEDGER PARENT SECONDS``: two inherited descriptors, the
parent's process id, and how often to give a sign of life. Nothing of the parent but these, its environment and its
import path comes along; above all its script is not run again.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import pickle
import signal
import sys
import threading
import traceback
from multiprocessing.connection import Connection
from typing import Any

from pipelines.engines.ledger import Ledger

LOST = 71
"""Exit code of a worker that cannot go on but another could: the device is lost, memory ran out, it was told to."""

PR_SET_PDEATHSIG = 1  # linux/prctl.h


def main(pipe: int, memory: int, parent: int, seconds: float) -> None:
    """Answer requests until the pipe is closed; never returns."""
    for number in (signal.SIGINT, signal.SIGTERM):  # the parent decides what they mean; both may go to everybody
        signal.signal(number, signal.SIG_IGN)
    _die_with(parent)
    ledger = Ledger(memory)
    threading.Thread(target=_beat, args=(ledger, parent, seconds), daemon=True).start()
    with Connection(pipe) as connection:
        try:
            serve(connection, ledger)
        except (EOFError, BrokenPipeError, ConnectionResetError):
            pass
        except BaseException as error:
            os.write(2, f"{type(error).__name__}: {error.args[0] if error.args else ''}".encode())
            os._exit(LOST)
    os._exit(0)  # at once: a thread may hang in a decoder for ever


def serve(connection: Connection, ledger: Ledger) -> None:
    """One answer per request, in order, until nothing is said: ``("done", result)`` or ``("error", exception)``."""
    engine: Any = None
    while content := connection.recv_bytes():
        try:
            request, *given = pickle.loads(content)
            if request == "begin":
                engine, result = _begin(ledger, *given), None
            elif request == "embed":
                result = engine.embed(*given, lambda *counts: _send(connection, ("observed", counts)))
            elif request == "describe":
                result = engine.describe(), engine.settled[0].runtime.device
            else:
                result = engine.load()
        except Exception as error:
            _send(connection, ("error", _error(error)))
        else:
            _send(connection, ("done", result))


def _begin(ledger: Ledger, settings: Any, columns: bytes, registered: list[tuple[str, bytes]]) -> Any:
    from embedders import UsageError
    from embedders.registry import registry
    from pipelines.engines.local import LocalEngine

    if settings.memory is not None:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (settings.memory, resource.getrlimit(resource.RLIMIT_AS)[1]))
    for name, packed in registered:
        with contextlib.suppress(ImportError, AttributeError):  # of a class that no column may need
            registry.register(name, pickle.loads(packed))
    try:
        found = pickle.loads(columns)
    except (ImportError, AttributeError) as error:
        raise UsageError(
            f"A worker process cannot find an embedder: {error}",
            "Put it into a module that can be imported, or run without workers",
        ) from error
    return LocalEngine(found, settings, ledger.mark)


def _error(error: Exception) -> Exception:
    """The same error made of what the parent knows for sure; raises what only another worker could answer."""
    from embedders import BadInput, EmbedError
    from pipelines.embedding.failing import DeviceLost

    if isinstance(error, DeviceLost | MemoryError):
        raise error
    if isinstance(error, EmbedError) and not isinstance(error, BadInput):
        ours: type[EmbedError] = next(c for c in type(error).__mro__ if c.__module__ == "embedders.errors")
        return ours(str(error.args[0]), error.cure, error.details)
    return RuntimeError("".join(traceback.format_exception(error)))


def _send(connection: Connection, message: tuple[str, Any]) -> None:
    connection.send_bytes(pickle.dumps(message, pickle.HIGHEST_PROTOCOL))


def _die_with(parent: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before the line above
        os._exit(0)


def _beat(ledger: Ledger, parent: int, seconds: float) -> None:
    resting = threading.Event()
    while os.getppid() == parent:
        ledger.beat()
        resting.wait(seconds)
    os._exit(0)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]))

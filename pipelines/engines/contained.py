"""What foreign code changes of the process is put back, and said."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from typing import Any

__all__ = ["contained"]

LIBRARIES = frozenset({"TORCHINDUCTOR_CACHE_DIR"})
"""Variables that torch sets for itself where it first needs them: they stay, and nobody is told."""


@contextlib.contextmanager
def contained(notes: list[str]) -> Iterator[None]:
    """Undo, at the end, changes of the working folder, environment, signal handlers and torch's default dtype.

    An embedder that changes one of them would change what other embedders, relative paths or Ctrl-C mean. Every
    change is named in ``notes``. Signal handlers belong to the main thread; elsewhere they cannot change.
    """
    folder, environment, handlers, dtype = os.getcwd(), dict(os.environ), _handlers(), _default_dtype()
    try:
        yield
    finally:
        changed = []
        if _folder() != folder:
            os.chdir(folder)
            changed.append("the working folder")
        environment |= {name: os.environ[name] for name in LIBRARIES & {*os.environ} - {*environment}}
        if dict(os.environ) != environment:
            names = {k for k in {*environment, *os.environ} if environment.get(k) != os.environ.get(k)}
            os.environ.clear()
            os.environ.update(environment)
            changed.append(f"the environment ({', '.join(sorted(names)[:5])})")
        for number, now in _handlers().items():
            if now != handlers[number] and handlers[number] is not None:
                signal.signal(number, handlers[number])
                changed.append(f"the handler of {signal.Signals(number).name}")
        if dtype is not None and _default_dtype() != dtype:
            sys.modules["torch"].set_default_dtype(dtype)
            changed.append("torch's default dtype")
        if changed:
            notes.append(f"An embedder changed {', '.join(changed)}; it was put back")


def _folder() -> str | None:
    try:
        return os.getcwd()
    except FileNotFoundError:
        return None


def _handlers() -> dict[int, Any]:
    if threading.current_thread() is not threading.main_thread():
        return {}
    return {number: signal.getsignal(number) for number in signal.valid_signals()}


def _default_dtype() -> Any:
    torch: Any = sys.modules.get("torch")
    return torch.get_default_dtype() if hasattr(torch, "get_default_dtype") else None

"""What an embedder does to the process around it: seen, and put back."""

from __future__ import annotations

import contextlib
import io
import os
import random
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from embedders.conformance.equality import equal

__all__ = ["DRAWN", "Seen", "watched"]

DRAWN = "torch's random state"
"""What torch will draw next."""

LIBRARIES = frozenset({"TORCHINDUCTOR_CACHE_DIR"})
"""Variables that torch sets for itself wherever it needs them."""


@dataclass
class Seen:
    """What was noticed, filled when the watch ends."""

    changed: list[str] = field(default_factory=list)
    """What was changed and is put back, in words."""
    printed: str = ""
    """All that was written to stdout and stderr, by Python or below it."""


class _State(NamedTuple):
    """One thing that belongs to the whole process."""

    words: str
    read: Callable[[], Any]
    write: Callable[[Any], object]
    fresh: Any = ""
    """What it is where nobody touched it, if that is known; else an empty str."""


@contextlib.contextmanager
def watched() -> Iterator[Seen]:
    """Notice what is printed and what global state changes; at the end all of it is as it was."""
    seen = Seen()
    before = [(state, state.read()) for state in _states()]
    with _captured(seen):
        try:
            yield seen
        finally:
            known = {state.words for state, _ in before}
            before += [(state, state.fresh) for state in _torch() if state.words not in known and state.fresh != ""]
            for state, value in before:
                now = state.read()
                if not equal(now, value):
                    seen.changed.append(state.words.format(names=_names(value, now)))
                    state.write(value)


def _states() -> list[_State]:
    states = [
        _State("the working folder", _folder, os.chdir),
        _State("the environment ({names})", _environment, _set_environment),
        _State("Python's random state", random.getstate, random.setstate),
        _State("numpy's random state", np.random.get_state, np.random.set_state),
        _State("numpy's handling of errors", np.geterr, lambda value: np.seterr(**value)),
    ]
    if threading.current_thread() is threading.main_thread():
        states.append(_State("signal handlers", _handlers, _set_handlers))
    return states + _torch()


def _torch() -> list[_State]:
    """What torch keeps, where it is loaded; an embedder may be the first to load it."""
    torch: Any = sys.modules.get("torch")
    if torch is None:
        return []
    return [
        _State("torch's default dtype", torch.get_default_dtype, torch.set_default_dtype, torch.float32),
        _State("torch's default device", torch.get_default_device, torch.set_default_device, torch.device("cpu")),
        _State("torch's gradients", torch.is_grad_enabled, torch.set_grad_enabled, True),
        _State("torch's number of threads", torch.get_num_threads, torch.set_num_threads),
        _State("torch's seed", torch.initial_seed, torch.manual_seed),
        _State(DRAWN, torch.get_rng_state, torch.set_rng_state),
    ]


@contextlib.contextmanager
def _captured(seen: Seen) -> Iterator[None]:
    words = io.StringIO()
    with tempfile.TemporaryFile() as file:
        held = {number: os.dup(number) for number in (1, 2)}
        _flush()
        for number in held:
            os.dup2(file.fileno(), number)
        try:
            with contextlib.redirect_stdout(words), contextlib.redirect_stderr(words):
                yield
        finally:
            _flush()
            for number, copy in held.items():
                os.dup2(copy, number)
                os.close(copy)
            file.seek(0)
            seen.printed = words.getvalue() + file.read().decode("utf-8", "replace")


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()


def _folder() -> str | None:
    try:
        return os.getcwd()
    except FileNotFoundError:
        return None


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name not in LIBRARIES}


def _set_environment(value: dict[str, str]) -> None:
    for name in _environment().keys() - value.keys():
        del os.environ[name]
    os.environ.update(value)


def _handlers() -> dict[int, Any]:
    return {number: signal.getsignal(number) for number in signal.valid_signals()}


def _set_handlers(value: dict[int, Any]) -> None:
    for number, now in _handlers().items():
        if now != value[number] and value[number] is not None:
            signal.signal(number, value[number])


def _names(before: Any, now: Any) -> str:
    """Which entries of two mappings differ; nothing for other values."""
    if not isinstance(before, dict) or not isinstance(now, dict):
        return ""
    return ", ".join(sorted(str(k) for k in {*before, *now} if before.get(k) != now.get(k))[:5])

"""Ctrl-C and SIGTERM on the command line: the first finishes the part in work, the second stops now."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from types import FrameType

__all__ = ["Interrupted", "Stop", "stopping"]

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupted(KeyboardInterrupt):
    """A signal ended the run. ``exit_code`` is 130 for SIGINT and 143 for SIGTERM."""

    def __init__(self, number: int, *said: object) -> None:
        super().__init__(*said)
        self.exit_code = 128 + number


class Stop:
    """Whether a signal has asked for an end; handed to ``run_parts`` as its ``stop``."""

    def __init__(self) -> None:
        self.signal: int | None = None

    def __call__(self) -> bool:
        """True once a signal came."""
        return self.signal is not None


@contextlib.contextmanager
def stopping() -> Iterator[Stop]:
    """Catch SIGINT and SIGTERM until the block ends; the handlers before are then put back.

    The second one raises Interrupted at once. A KeyboardInterrupt of the block, with which it says that it has
    stopped as asked, becomes an Interrupted with the exit code of the signal.

    A signal that is ignored already (``nohup``, a background job) stays ignored, and outside of the main thread
    none can be caught: then the flag never rises.
    """
    stop = Stop()

    def caught(number: int, frame: FrameType | None) -> None:
        if stop.signal is not None:
            raise Interrupted(number)
        stop.signal = number
        # written by the system call: the handler may interrupt a print that is half done
        with contextlib.suppress(OSError):
            os.write(2, b"\nembed: finishing the part in work; again to stop now\n")

    before = {}
    if threading.current_thread() is threading.main_thread():
        before = {number: signal.getsignal(number) for number in SIGNALS}
        for number, handler in before.items():
            if handler is not signal.SIG_IGN:
                signal.signal(number, caught)
    try:
        yield stop
    except KeyboardInterrupt as error:
        if stop.signal is None or isinstance(error, Interrupted):
            raise
        raise Interrupted(stop.signal, *error.args) from error
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

"""One worker process as its parent sees it: started, asked, watched, put away."""

from __future__ import annotations

import contextlib
import os
import pickle
import queue
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing.connection import Connection, Pipe
from typing import Any, cast

from pipelines.embedding.part import Observer, Stage
from pipelines.engines.engine import Settings
from pipelines.engines.ledger import Ledger
from pipelines.engines.watchdog import Verdict, Watchdog

__all__ = ["Child", "Death", "Died"]

WORDS_KEPT = 2000
"""Bytes of a worker's output that are kept, from its end: the reason of a death comes last."""

WORDS_SHOWN = 220
"""Characters of them that stand in a row's reason, which is cut at 300."""

GOODBYE = b""
"""Said to an idle worker, which then ends."""

GOODBYE_SECONDS = 2.0
"""How long it may take for that before it is killed."""

DYING_SECONDS = 1.0
"""How long the system may take to end a worker whose pipe is closed already."""


@dataclass(frozen=True)
class Death:
    """How a worker ended: in words, what it printed last, and what it was busy with."""

    how: str
    words: str
    busy: dict[int, Stage]
    overdue: dict[int, Stage]
    from_outside: bool
    """Ended by a signal that nobody sends to himself: an operator, a service manager, a kernel short of memory."""

    def __str__(self) -> str:
        return f"{self.how}; it said: {self.words}" if self.words else self.how


class Died(Exception):
    """The worker is gone, and the answer with it."""

    def __init__(self, death: Death) -> None:
        super().__init__(str(death))
        self.death = death


class Child:
    """A worker process with an engine in it.

    Its output goes nowhere but into its last words. ``hands`` is the one thread that starts it and speaks to it:
    Linux ends the child with the thread that started it, and speaking to a worker that is stopped would block.
    """

    def __init__(self, settings: Settings, hands: ThreadPoolExecutor) -> None:
        self.settings = settings
        self.hands = hands
        self._ledger = Ledger()
        self._inbox: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._words = bytearray()
        self._busy = False
        self._burying = threading.Lock()
        self._death: Death | None = None
        self._connection, theirs = Pipe()
        listening, speaking = os.pipe()
        try:
            self._popen = hands.submit(self._start, theirs, speaking).result()
        except BaseException:
            os.close(listening)
            self._connection.close()
            self._ledger.close()
            raise
        finally:
            theirs.close()
            os.close(speaking)
        self._readers = [
            threading.Thread(target=self._receive, daemon=True),
            threading.Thread(target=self._listen, args=(listening,), daemon=True),
        ]
        for reader in self._readers:
            reader.start()

    @property
    def pid(self) -> int:
        """Its process id, and its process group's."""
        return self._popen.pid

    @property
    def dead(self) -> bool:
        """Whether it is known to be gone."""
        return self._death is not None

    def ask(self, request: tuple[Any, ...], rows: int = 0, observe: Observer = lambda done, failed: None) -> Any:
        """The answer to a request; raises what the worker raised, and Died if there is no answer any more.

        ``rows`` of a part are watched while it is at work.
        """
        if self._death is not None:
            raise Died(self._death)
        self._ledger.clear(rows)
        watchdog = Watchdog(self._ledger, self.settings, rows, time.monotonic())
        self._busy = True
        try:
            self._say(pickle.dumps(request, pickle.HIGHEST_PROTOCOL))
            while True:
                kind, content = self._next_message(watchdog, rows)
                if kind == "observed":
                    observe(*content)
                    continue
                self._busy = False
                if kind == "error":
                    raise content
                return content
        finally:
            if self._busy:  # interrupted: nobody will be there for the answer
                self._bury(0, Verdict("it was interrupted"))

    def close(self) -> None:
        """End it: with a goodbye where it is idle, at once where it is not; from any thread."""
        if self._death is None and not self._busy:
            self._say(GOODBYE)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._popen.wait(GOODBYE_SECONDS)
        self._bury(0, Verdict("it was ended"))

    def _next_message(self, watchdog: Watchdog, rows: int) -> tuple[str, Any]:
        while True:
            with contextlib.suppress(queue.Empty):
                message = self._inbox.get(timeout=watchdog.tick)
                if message is None:
                    raise Died(self._bury(rows))
                return cast("tuple[str, Any]", pickle.loads(message))
            verdict = watchdog.look(time.monotonic())
            if verdict is not None:
                raise Died(self._bury(rows, verdict))

    def _start(self, theirs: Connection, speaking: int) -> subprocess.Popen[bytes]:
        inherited = (theirs.fileno(), self._ledger.descriptor)
        arguments = map(str, (*inherited, os.getpid(), self.settings.beat_seconds))
        return subprocess.Popen(
            # -P: nothing is imported from the current folder, which may be full of foreign files
            [sys.executable, "-P", "-m", "pipelines.engines.worker", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=speaking,
            stderr=speaking,
            pass_fds=inherited,
            process_group=0,
            # Pillow keeps so many blocks of 1 MB for its next picture, instead of faulting new pages in
            env={
                "PILLOW_BLOCKS_MAX": "16",
                **os.environ,
                "PYTHONPATH": os.pathsep.join(path for path in sys.path if isinstance(path, str)),
            },
        )

    def _say(self, content: bytes) -> None:
        def send() -> None:
            with contextlib.suppress(OSError):  # a worker that is gone is noticed by who waits for its answer
                self._connection.send_bytes(content)

        self.hands.submit(send)

    def _receive(self) -> None:
        with contextlib.suppress(EOFError, OSError):
            while True:
                self._inbox.put(self._connection.recv_bytes())
        self._inbox.put(None)

    def _listen(self, descriptor: int) -> None:
        with open(descriptor, "rb", buffering=0) as words:
            while heard := words.read(1 << 16):
                self._words[:] = (self._words + heard)[-WORDS_KEPT:]

    def _bury(self, rows: int, verdict: Verdict | None = None) -> Death:
        with self._burying:
            if self._death is None:
                if verdict is None:  # it is about to be gone; its own exit says more than our signal would
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        self._popen.wait(DYING_SECONDS)
                self._kill()
                busy = self._ledger.busy(rows)
                code = self._popen.returncode
                self._death = Death(
                    verdict.why if verdict else _ending(code),
                    " ".join(self._words.decode(errors="replace").split())[-WORDS_SHOWN:],
                    busy,
                    verdict.overdue if verdict else {},
                    from_outside=verdict is None and code in (-signal.SIGKILL, -signal.SIGTERM),
                )
                self._busy = False
                self._ledger.close()
            return self._death

    def _kill(self) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)  # with whatever it has started
        self._popen.wait()
        for reader in self._readers:
            reader.join(DYING_SECONDS)
        self._connection.close()


def _ending(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"signal {signal.Signals(-code).name}"
    except ValueError:
        return f"signal {-code}"

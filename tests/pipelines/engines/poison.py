"""An embedder that does to its process what a word tells it to, and otherwise is the one of letters.

``!segfault`` and its like strike while the word is opened, ``!!segfault`` while it is in the forward.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from embedders import Runtime
from embedders.base import Forward
from tests.toy import Letters


class Odd(Exception):
    """Neither its message nor its pickle can be had."""

    def __str__(self) -> str:
        raise RuntimeError("no message")

    def __reduce__(self) -> Any:
        raise RuntimeError("no pickle")


class Panic(BaseException):
    """As libraries in Rust raise it."""


def flood() -> None:
    for _ in range(800):
        os.write(1, b"x" * (1 << 16))


def killed_by_an_operator() -> None:
    """Dies of SIGKILL as often as the file named by POISON_KILLS says, over all workers."""
    file = Path(os.environ["POISON_KILLS"])
    left = int(file.read_text())
    if left:
        file.write_text(str(left - 1))
        DEEDS["kill"]()


def raise_(error: BaseException) -> Callable[[], None]:
    def raised() -> None:
        raise error

    return raised


DEEDS: dict[str, Callable[[], object]] = {
    "segfault": lambda: ctypes.string_at(0),
    "exit": lambda: os._exit(0),
    "abort": os.abort,
    "operator": killed_by_an_operator,
    "kill": lambda: (os.kill(os.getpid(), signal.SIGKILL), time.sleep(10)),
    "hang": lambda: time.sleep(1000),
    "stop": lambda: (os.kill(os.getpid(), signal.SIGSTOP), time.sleep(10)),
    "hog": lambda: bytearray(1 << 40),
    "odd": raise_(Odd()),
    "panic": raise_(Panic("of another language")),
    "quit": raise_(SystemExit(0)),
    "die": lambda: (sys.stderr.write("no more\n"), sys.stderr.flush(), os._exit(3)),
    "lost": raise_(RuntimeError("CUDA error: an illegal memory access was encountered")),
    "flood": flood,
}


class Poison(Letters):
    """Does what it reads."""

    def __init__(self, *, pause: float = 0.0, weights: str = "none") -> None:
        super().__init__()
        self.pause = pause

    def prepare(self, media: str) -> str:
        if media.startswith("!") and not media.startswith("!!"):
            DEEDS[media[1:]]()
        return media

    def load(self, runtime: Runtime) -> Forward:
        letters = super().load(runtime)

        def forward(words: Sequence[str]) -> Any:
            for word in words:
                time.sleep(self.pause)
                if word.startswith("!!"):
                    DEEDS[word[2:]]()
            return letters(list(words))

        return forward

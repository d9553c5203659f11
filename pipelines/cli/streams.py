"""The command's own stdin, stdout and stderr: a run goes on whether or not anybody hears what it says.

A log on a full disk, a closed stderr or a reader that has gone must not cost a night's work. And a descriptor below
3 that was closed before us would be given to the next file opened: to a part, say, and warnings would go there.
"""

from __future__ import annotations

import io
import os
import sys
from typing import Any

from embedders.errors import StorageError

__all__ = ["guard_streams"]

STDOUT, STDERR = 1, 2


def guard_streams() -> None:
    """Open what is closed of the three, and give stdout and stderr the behaviour of this module.

    What cannot be said on stderr is dropped. What cannot be said on stdout is a StorageError, once: that was asked
    for. A BrokenPipeError stays what it is.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= STDERR:
        pass
    os.close(descriptor)
    sys.stdout = _text(_Output(STDOUT, "w", closefd=False), sys.stdout)
    sys.stderr = _text(_Unheard(STDERR, "w", closefd=False), sys.stderr)


class _Output(io.FileIO):
    """Says once that it cannot be written, and is then silent: the interpreter tries again at its end."""

    silent = False

    def write(self, content: Any) -> int:
        if self.silent:
            return len(content)
        try:
            return super().write(content)
        except BrokenPipeError:
            self.silent = True
            raise
        except OSError as error:
            self.silent = True
            raise StorageError(
                f"The output cannot be written: {error.strerror}", "What was written to the folder is safe"
            ) from error


class _Unheard(io.FileIO):
    """Never fails."""

    def write(self, content: Any) -> int:
        try:
            return super().write(content)
        except OSError:
            return len(content)


def _text(raw: io.FileIO, before: Any) -> io.TextIOWrapper:
    """The stream of text over ``raw``, speaking as the one before it did: that is None where it was closed."""
    encoding, errors = getattr(before, "encoding", None), getattr(before, "errors", None)
    return io.TextIOWrapper(io.BufferedWriter(raw), encoding, errors or "backslashreplace", line_buffering=True)

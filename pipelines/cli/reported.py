"""What every command does with an error."""

from __future__ import annotations

import functools
import signal
import sys
from collections.abc import Callable
from typing import Any

import typer

from embedders.errors import EmbedError
from embedders.redaction import redacted
from pipelines.cli.escaped import escaped

__all__ = ["reported"]


def reported(command: Callable[..., None]) -> Callable[..., None]:
    """Turn errors into one line on stderr, without secrets, and the exit code that their class documents."""

    @functools.wraps(command)
    def wrapped(*args: Any, **options: Any) -> None:
        try:
            command(*args, **options)
        except EmbedError as error:
            # a line break of ours, between details, stays; one that came with a stranger's name does not
            lines = str(error).split("\n") if error.details else [str(error)]
            typer.echo("embed: " + "\n".join(escaped(redacted(line)) for line in lines), err=True)
            raise typer.Exit(error.exit_code) from error
        except KeyboardInterrupt as error:
            typer.echo("\nembed: interrupted; nothing that was committed is lost", err=True)
            raise typer.Exit(getattr(error, "exit_code", 128 + signal.SIGINT)) from error
        except BrokenPipeError as error:  # the reader of our output, `head` say, has gone
            sys.stderr.close()
            raise typer.Exit(0) from error

    return wrapped

"""``embed`` called in this process, as the tests of hostile words and files call it."""

from __future__ import annotations

import re
from pathlib import Path

from typer.testing import CliRunner

from pipelines.cli.main import app

ESCAPES = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""What steers a terminal; a line feed alone does not."""


def invoke(*arguments: str | Path) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of ``embed``."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=True)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.stdout, result.stderr

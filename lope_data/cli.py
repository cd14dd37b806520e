"""`python -m lope_data`: the command line of the data half."""

from __future__ import annotations

import sys

import typer

from lope_data.errors import LopeDataError, one_line
from lope_data.verbs import build, ops, preview
from lope_data.verbs.app import app

__all__ = ["app", "build", "main", "ops", "preview", "run_app"]

_INTERRUPTED = 130


def main() -> None:
    """Runs the command line; a user's error is one line on stderr and exit code 2."""
    run_app(app, LopeDataError, "nothing half-written was kept")


def run_app(
    command_line: typer.Typer, expected: type[Exception] | tuple[type[Exception], ...], on_interrupt: str
) -> None:
    """Runs a command line: usage errors and `expected` ones are one line and exit code 2, an interrupt is 130."""
    try:
        code = command_line(standalone_mode=False)
    except typer.TyperException as error:
        if message := error.format_message():
            print(f"error: {one_line(message)}", file=sys.stderr)
        sys.exit(2)
    except expected as error:
        print(f"error: {one_line(str(error))}", file=sys.stderr)
        sys.exit(2)
    if code == _INTERRUPTED:  # what typer makes of a KeyboardInterrupt
        print(f"interrupted; {on_interrupt}", file=sys.stderr)
        sys.exit(code)

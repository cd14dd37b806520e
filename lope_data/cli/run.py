"""`python -m lope_data`: the command line of the data half."""

from __future__ import annotations

import os
import sys
from io import TextIOWrapper

import typer

from lope_data.cli import (  # noqa: F401  # each adds itself to the command line
    build,
    diff,
    export,
    gc,
    import_,
    ingest,
    list,  # noqa: A004
    ops,
    preview,
    push,
    report,
    show,
    tag,
    verify,
)
from lope_data.cli.app import app
from lope_data.errors import LopeDataError, one_line

__all__ = ["app", "main", "run_app"]

_INTERRUPTED = 130


def main() -> None:
    """Runs the command line; a user's error is one line on stderr and exit code 2."""
    run_app(app, LopeDataError, "the same command goes on with what is done")


def run_app(
    command_line: typer.Typer, expected: type[Exception] | tuple[type[Exception], ...], on_interrupt: str
) -> None:
    """Runs a command line: usage errors and `expected` ones are one line and exit code 2, an interrupt is 130."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal that cannot show a character is no failure
    try:
        code = command_line(standalone_mode=False)
        sys.stdout.flush()
    except typer.TyperException as error:
        if message := error.format_message():
            print(f"error: {one_line(message)}", file=sys.stderr)
        sys.exit(2)
    except expected as error:
        print(f"error: {one_line(str(error))}", file=sys.stderr)
        sys.exit(2)
    except BrokenPipeError:  # the reader, `head` for one, has what it wanted
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # so that the exit does not flush into it again
    except OSError as error:
        print(f"error: {one_line(str(error))}", file=sys.stderr)
        sys.exit(2)
    if code == _INTERRUPTED:  # what typer makes of a KeyboardInterrupt
        print(f"interrupted; {on_interrupt}", file=sys.stderr)
    if isinstance(code, int) and code:
        sys.exit(code)

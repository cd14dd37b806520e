"""`python -m lope_train`: the command line of the training half. Heavy imports are inside the commands."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from io import TextIOWrapper

import typer

from lope_train.cli import (  # noqa: F401  # each adds itself to the command line
    evaluate,
    export,
    generate,
    get_model,
    items,
    params,
    score,
    train,
)
from lope_train.cli.app import app
from lope_train.errors import LopeTrainError
from lope_train.world import World, one_voice

__all__ = ["app", "main"]

_INTERRUPTED = 130
_KEPT = {"train": "the same command goes on from its last checkpoint", "generate": "nothing was written"}


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command line; a user's error is one line on stderr and exit code 2."""
    words = sys.argv[1:] if arguments is None else list(arguments)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal that cannot show a character is no failure
    try:
        with one_voice():
            code = app(args=words, standalone_mode=False)
        sys.stdout.flush()
    except typer.TyperException as error:
        # without a message the help has been shown
        if message := error.format_message():
            _fail(f"{message} (see --help)")
        sys.exit(2)
    except BrokenPipeError:  # the reader, `head` for one, has what it wanted
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # so that the exit does not flush into it again
        return
    except (LopeTrainError, OSError) as error:  # a full disk and the like, with the path in its message
        _fail(str(error))
        sys.exit(2)
    if code == _INTERRUPTED:  # typer turns KeyboardInterrupt into this return value
        if World.here().main:
            verb = next((word for word in words if not word.startswith("-")), "")
            print(f"interrupted; {_KEPT.get(verb, 'nothing half-written was kept')}", file=sys.stderr)
        sys.exit(code)


def _fail(message: str) -> None:
    print(f"error: {' '.join(message.split())}", file=sys.stderr)

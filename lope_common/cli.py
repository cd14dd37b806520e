"""What every command line does alike: one line for an error, exit codes, an interrupt, a reader that has gone."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from io import TextIOWrapper
from pathlib import Path

import typer

from lope_common.errors import LopeError
from lope_common.places import local_path

_USER_ERROR = 2
_INTERRUPTED = 130  # what typer returns for a KeyboardInterrupt


def path(text: str) -> Path:
    """The `parser` of options and arguments that are paths: `~` is the home folder wherever a shell leaves it.

    Raises:
        LopeError: it is a URL.
    """
    return local_path(text)


def new_app(help_: str) -> typer.Typer:
    """A command line that verbs add themselves to."""
    return typer.Typer(
        help=help_,
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode="rich",
        pretty_exceptions_enable=False,
    )


def run_app(
    command_line: typer.Typer,
    after_interrupt: Callable[[str], str],
    arguments: Sequence[str] | None = None,
    around: AbstractContextManager[object] | None = None,
) -> None:
    """Runs a command line and exits: 2 and one line on stderr for a user's error, 130 for an interrupt.

    Args:
        after_interrupt: what to say of a verb that was interrupted; nothing where that is empty.
        arguments: in place of `sys.argv`.
        around: a context in which the verb runs.
    """
    words = sys.argv[1:] if arguments is None else list(arguments)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal that cannot show a character is no failure
    try:
        with around or nullcontext():
            code = command_line(args=words, standalone_mode=False)
        sys.stdout.flush()
    except typer.TyperException as error:
        if message := error.format_message():  # without one the help has been shown
            _fail(f"{message} (see --help)")
        sys.exit(_USER_ERROR)
    except BrokenPipeError:  # the reader, `head` for one, has what it wanted
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # so that the exit does not flush into it again
        return
    except (LopeError, OSError) as error:  # a full disk and the like, with the path in its message
        _fail(str(error))
        sys.exit(_USER_ERROR)
    if code == _INTERRUPTED:
        verb = next((word for word in words if not word.startswith("-")), "")
        if said := after_interrupt(verb):
            print(f"interrupted; {said}", file=sys.stderr)
    if isinstance(code, int) and code:
        sys.exit(code)


def _fail(message: str) -> None:
    from lope_common.shown import one_line  # which takes longer to import than --help takes to show

    print(f"error: {one_line(message)}", file=sys.stderr)

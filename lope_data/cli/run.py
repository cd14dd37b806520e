"""`python -m lope_data`: the command line of the data half."""

from __future__ import annotations

from lope_common.cli import run_app
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
from lope_data.cli.lean import process

__all__ = ["app", "main"]


def main() -> None:
    """Runs the command line; a user's error is one line on stderr and exit code 2."""
    run_app(app, lambda _: "the same command resumes from what is done", around=process())

"""The command line itself, which verbs add themselves to."""

from __future__ import annotations

import typer

app = typer.Typer(
    help="Versioned noisy datasets: exact, recorded and reproducible noise for text.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)

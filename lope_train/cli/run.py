"""`python -m lope_train`: the command line of the training half. Heavy imports are inside the commands."""

from __future__ import annotations

from collections.abc import Sequence

from lope_common.cli import run_app
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
from lope_train.world import World, one_voice

__all__ = ["app", "main"]

_KEPT = {
    "train": "the same command resumes from its last checkpoint",
    "score": "the same command resumes from the rows that were measured",
    "generate": "nothing was written",
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command line; a user's error is one line on stderr and exit code 2."""
    run_app(app, _after_interrupt, arguments, one_voice())


def _after_interrupt(verb: str) -> str:
    """Of processes that train together the main one speaks."""
    return _KEPT.get(verb, "nothing half-written was kept") if World.here().main else ""

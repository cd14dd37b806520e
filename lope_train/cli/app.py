"""The command line itself, which verbs add themselves to, and the options that several of them share."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path
from typing import Annotated

import typer

from lope_common.cli import new_app, path
from lope_common.places import STORE_HELP
from lope_train.libraries import check_verb

app = new_app("Train on noisy versions with LoPE or a baseline, and evaluate what the noise did.")

OUTPUT = "Output"
SETS = "On what"

JsonOption = Annotated[
    bool,
    typer.Option(
        "--json", help="Print one JSON object as the last line of stdout, for scripts.", rich_help_panel=OUTPUT
    ),
]
RunArgument = Annotated[
    Path, typer.Argument(metavar="RUN", parser=path, help="The run folder that train wrote.", show_default=False)
]
StoreOption = Annotated[
    Path | None,
    typer.Option(parser=path, help=STORE_HELP, rich_help_panel=SETS),
]


def start(verb: str) -> None:
    """Before what a verb needs is imported: raises LibraryError where it is not installed, and quiets the libraries."""
    check_verb(verb)
    quiet_libraries()


def quiet_libraries() -> None:
    """No progress bars and notices of the libraries."""
    import datasets
    from transformers.utils import logging as transformers_logging

    datasets.disable_progress_bars()
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    warnings.filterwarnings("ignore", category=FutureWarning, module="transformers")
    warnings.filterwarnings("ignore", message="Position ids are not supported", module="peft")
    for library in ("transformers", "bitsandbytes"):
        logging.getLogger(library).setLevel(logging.ERROR)

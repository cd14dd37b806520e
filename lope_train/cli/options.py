"""Options that several verbs share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lope_common.places import STORE_HELP

OUTPUT = "Output"
SETS = "On what"

JsonOption = Annotated[
    bool,
    typer.Option(
        "--json", help="Print one JSON object as the last line of stdout, for scripts.", rich_help_panel=OUTPUT
    ),
]
RunArgument = Annotated[
    Path, typer.Argument(metavar="RUN", help="The run folder that train wrote.", show_default=False)
]
StoreOption = Annotated[
    Path | None,
    typer.Option(help=STORE_HELP, rich_help_panel=SETS),
]

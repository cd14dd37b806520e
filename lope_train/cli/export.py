"""`export`: a run as a folder for others, and for the hub."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lope_common.cli import path
from lope_common.shown import SafeConsole
from lope_train.cli.app import OUTPUT, RunArgument, app, start
from lope_train.errors import RunError, SettingsError

_EXAMPLES = """
[bold]Examples[/bold]

  python -m lope_train export runs/lope --out share/lope

  HF_TOKEN=hf_... python -m lope_train export runs/lope --out share/lope --push me/lope --private
"""

_HUB = "Hugging Face hub"


@app.command(epilog=_EXAMPLES)
def export(
    run: RunArgument,
    out: Annotated[Path, typer.Option(parser=path, help="A new folder.", show_default=False, rich_help_panel=OUTPUT)],
    hub_id: Annotated[
        str | None,
        typer.Option(
            "--push", metavar="USER/NAME", help="Send the folder there too, in one commit.", rich_help_panel=_HUB
        ),
    ] = None,
    private: Annotated[
        bool,
        typer.Option("--private", help="If the repository is made now, only for you.", rich_help_panel=_HUB),
    ] = False,
) -> None:
    """Writes the adapter with a model card and its record, without paths of this machine.

    The token for --push is $HF_TOKEN, or what [bold]hf auth login[/bold] keeps.
    """
    if private and hub_id is None:
        raise SettingsError("--private is of the repository that --push makes: give --push USER/NAME")
    start("export")
    from lope_common.hub import check_push
    from lope_train.publish.folder import export as exported
    from lope_train.publish.folder import push

    if hub_id is not None:
        check_push(hub_id, RunError)
    console = SafeConsole()
    console.print(str(exported(run, out)), style="bold", markup=False, soft_wrap=True)
    if hub_id is not None:
        console.print(push(out, hub_id, private), markup=False, soft_wrap=True)

"""`import`: an exported folder as a version of the store."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lope_common.cli import path
from lope_common.shown import SafeConsole
from lope_data.cli.app import StoreOption, app

_EXAMPLES = """
[bold]Examples[/bold]

  python -m lope_data export nois --as version --out share
  python -m lope_data import share --store elsewhere

  hf download --repo-type dataset me/nois --local-dir nois      [dim]# what push has sent[/dim]
  python -m lope_data import nois
"""


@app.command("import", epilog=_EXAMPLES)
def import_(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="DIR", parser=path, help="What export --as version wrote, or a copy of a version's folder."
        ),
    ],
    store: StoreOption = None,
) -> None:
    """Makes an exported folder the version again that it was: the same id, and a content digest that is checked."""
    from lope_common.progress import bar
    from lope_data.store.store import Store
    from lope_data.transfer.importing import import_folder

    console = SafeConsole()
    with bar() as shown:
        version = import_folder(folder, Store(store), shown.notice, shown.progress)
    if version.existed:
        console.print(f"{version.ref} exists: nothing to do", markup=False)
    console.print(version.ref, style="bold", markup=False)
    console.print(str(version.folder), markup=False, soft_wrap=True)

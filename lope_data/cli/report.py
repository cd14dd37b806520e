"""`report`: a version on one HTML page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lope_common.cli import path
from lope_common.shown import SafeConsole
from lope_data.cli.app import RefArgument, StoreOption, app

_EXAMPLES = """
[bold]Examples[/bold]

  python -m lope_data report sample-hynoise

  python -m lope_data report sample-hynoise@d44a --out noise.html --samples 30
"""


@app.command(epilog=_EXAMPLES)
def report(
    ref: RefArgument,
    out: Annotated[
        Path | None,
        typer.Option(parser=path, help="The file to write; default: NAME-VERSION.html here.", show_default=False),
    ] = None,
    count: Annotated[int, typer.Option("--samples", min=0, max=1000, help="How many sample rows to show.")] = 12,
    store: StoreOption = None,
) -> None:
    """Writes an HTML page about a version: lineage, rates, edits, sample rows. It needs no network."""
    from lope_data.report.html import write_report
    from lope_data.store.store import Store

    version = Store(store).resolve(ref)
    SafeConsole().print(str(write_report(version, out, count)), markup=False, soft_wrap=True)

"""`list`: what is in the store."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from lope_common.shown import SafeConsole
from lope_data.cli.app import StoreOption, app

_EXAMPLES = """
[bold]Examples[/bold]

  python -m lope_data list

  python -m lope_data list sample-hynoise --json
"""


@app.command("list", epilog=_EXAMPLES)
def list_(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="The versions of this dataset only.", show_default=False)
    ] = None,
    store: StoreOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON array, for scripts.")] = False,
) -> None:
    """Lists the versions of the store: rows, ratios, sizes on disk, tags and parents."""
    from lope_common.shown import safe, say
    from lope_data.report.listing import entries, show_entries, unfinished
    from lope_data.store.store import Store

    opened = Store(store)
    found = entries(opened, name)
    if as_json:
        print(json.dumps([entry.record for entry in found]))
        return
    console = SafeConsole()
    if found:
        show_entries(console, found)
    else:
        say(console, f"no versions in {safe(str(opened.root))}; to build one: python -m lope_data build --ratio 0.2")
    if count := unfinished(opened, name):
        builds = "1 unfinished build" if count == 1 else f"{count:,} unfinished builds"
        say(console, f"{builds}: building again goes on with it, gc removes it", style="dim")

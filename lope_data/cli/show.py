"""`show`: a version and its lineage."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from lope_common.shown import SafeConsole
from lope_data.cli.app import RefArgument, StoreOption, app

if TYPE_CHECKING:
    from lope_data.store.version import Version

_EXAMPLES = """
[bold]Examples[/bold]

  python -m lope_data show sample-hynoise

  python -m lope_data show sample-hynoise@d44a --samples 5

  python -m lope_data show sample-hynoise --json
"""


@app.command(epilog=_EXAMPLES)
def show(
    ref: RefArgument,
    samples: Annotated[int, typer.Option(min=0, max=1000, help="Touched rows to show, clean beside noisy.")] = 0,
    store: StoreOption = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the manifest with its lineage as one JSON object, for scripts.")
    ] = False,
) -> None:
    """Shows a version: its lineage from the source on, what was made from it, rates asked and realised."""
    from lope_data.report.lineage import lineage, show_lineage
    from lope_data.store.store import Store

    opened = Store(store)
    version = opened.resolve(ref)
    found = lineage(version, opened)
    if as_json:
        print(json.dumps(found.record))
        return
    console = SafeConsole()
    show_lineage(console, found)
    if samples:
        _show_samples(console, version, samples)


def _show_samples(console: Console, version: Version, count: int) -> None:
    from lope_common.shown import say
    from lope_data.report.sample_rows import show_samples, version_samples
    from lope_data.report.statistics import edit_statistics

    console.print()
    if version.manifest.parents:
        show_samples(console, version_samples(version, edit_statistics(version), count))
    else:
        say(console, "an ingested version has no noise to show", style="dim")

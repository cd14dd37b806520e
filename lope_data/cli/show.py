"""`show`: a version and its lineage."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from lope_common.shown import SafeConsole
from lope_data.cli.app import RefArgument, StoreOption, app

if TYPE_CHECKING:
    from lope_data.report.lineage import Lineage

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
        _show_samples(console, found, samples)


def _show_samples(console: Console, found: Lineage, count: int) -> None:
    from lope_common.shown import say
    from lope_data.errors import StoreError
    from lope_data.report.report import sample_edits, show_samples

    version = found.version
    console.print()
    if not version.manifest.parents:
        say(console, "an ingested version has no noise to show", style="dim")
        return
    parent = found.chain[-2]
    if parent.found is None:
        raise StoreError(f"no samples: the parent {parent.ref} is not to be had ({parent.problem})")
    show_samples(console, sample_edits(version.rows, parent.found.rows, version.edits, count))

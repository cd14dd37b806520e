"""`diff`: what differs between two versions."""

from __future__ import annotations

import json
import sys
from typing import Annotated

import typer

from lope_common.shown import SafeConsole
from lope_data.cli.app import StoreOption, app

_EXAMPLES = """
[bold]Examples[/bold]

  python -m lope_data diff sample sample-hynoise

  python -m lope_data diff sample-hynoise@d44a sample-hynoise --rows 20

  python -m lope_data diff nois@paper nois --json

[bold]Exit code[/bold]: 0 the same content, 1 other content, 2 an error.
"""

_REF = "NAME, NAME@VERSION, NAME@TAG or a path."


@app.command(epilog=_EXAMPLES)
def diff(
    a: Annotated[str, typer.Argument(metavar="A", help=_REF)],
    b: Annotated[str, typer.Argument(metavar="B", help=_REF)],
    rows: Annotated[int, typer.Option(min=0, max=1000, help="How many rows that differ to show.")] = 5,
    store: StoreOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object, for scripts.")] = False,
) -> None:
    """Compares two versions: manifests, recipes, rates, and the rows by their ids, word by word."""
    from lope_data.report.diff_view import show_difference, show_rows
    from lope_data.report.difference import manifest_difference
    from lope_data.store.store import Store

    opened = Store(store)
    versions = opened.resolve(a), opened.resolve(b)
    refs = versions[0].ref, versions[1].ref
    difference = manifest_difference(versions[0].manifest, versions[1].manifest)
    console = SafeConsole()
    if not as_json:
        show_difference(console, difference, refs)
    found = None
    if not difference.same_content:
        from lope_data.report.diff_rows import row_difference

        found = row_difference(*versions, rows)
    if as_json:
        record = {"a": refs[0], "b": refs[1], **difference.record, "rows": found.record if found else None}
        print(json.dumps(record, default=str))
    elif found:
        show_rows(console, found)
    if not difference.same_content:
        sys.stdout.flush()
        sys.exit(1)

"""`export`: a version in another format, with all that says what it is."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from lope_common.cli import path
from lope_common.shown import SafeConsole
from lope_data.cli.app import RefArgument, StoreOption, app

_EXAMPLES = """
[bold]Examples[/bold]

  python -m lope_data export nois --to parquet

  python -m lope_data export nois@paper --to jsonl --out share/nois

  python -m lope_data import share/nois --store elsewhere      [dim]# the same version again[/dim]
"""


class Format(StrEnum):
    """What rows can be exported to."""

    PARQUET = "parquet"
    JSONL = "jsonl"
    CSV = "csv"
    HF = "hf"


@app.command(epilog=_EXAMPLES)
def export(
    ref: RefArgument,
    to: Annotated[
        Format,
        typer.Option(help="parquet, jsonl, csv (one file of rows each), or hf: what datasets.load_from_disk opens."),
    ] = Format.PARQUET,
    out: Annotated[Path | None, typer.Option(parser=path, help="A new folder; default: ./NAME-VERSION-FORMAT.")] = None,
    store: StoreOption = None,
) -> None:
    """Writes a version's rows in another format, beside them its manifest, edits, card and Croissant description.

    [bold]import[/bold] makes the same version of a folder in parquet, jsonl or hf. csv is one way: it does not tell
    types; lists are JSON text in it, text is quoted, null is not. Text is exact, even where a spreadsheet takes it for
    a formula.
    """
    from lope_common.progress import bar
    from lope_data.store.store import Store
    from lope_data.transfer.exporting import export as exported

    version = Store(store).resolve(ref)
    manifest = version.manifest
    target = out or Path(f"{manifest.name}-{manifest.version}-{to.value}")
    with bar() as shown:
        exported(version, to.value, target, shown.progress)
    console = SafeConsole()
    console.print(f"{version.ref}, {manifest.rows:,} rows as {to.value}", style="bold", markup=False)
    console.print(str(target), markup=False, soft_wrap=True)

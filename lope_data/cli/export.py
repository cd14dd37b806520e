"""`export`: a version's rows in a form that other tools read, or the version whole."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from lope_common.cli import path
from lope_common.errors import shown as quoted
from lope_common.errors import suggest
from lope_common.shown import SafeConsole
from lope_data.cli.app import JsonOption, RefArgument, StoreOption, app
from lope_data.errors import StoreError
from lope_data.forms.kinds import FORMS

_WHOLE = "version"
_SHAPES = list(dict.fromkeys(shape for form in FORMS.values() for shape in form.takes or ()))
_FORMS_OF = {
    shape: ", ".join(name for name, form in FORMS.items() if form.takes and shape in form.takes) for shape in _SHAPES
}
_TABLE = "\n\n".join(f"  {shape:<18} {names}" for shape, names in _FORMS_OF.items())
_ABOUT = "\n\n".join(f"  {name:<18} {form.about}" for name, form in FORMS.items())
_EPILOG = f"""
[bold]Forms (--as)[/bold]

{_ABOUT}

  {_WHOLE:<18} a folder with rows, edits and manifest: what [bold]import[/bold] takes and [bold]push[/bold] sends

[bold]What rows of a shape can be[/bold] [dim](and source and version, always)[/dim]

{_TABLE}

Columns of the source that do not go into a form stay behind it: of multiple_choice, whose right choice is the answer,
choices and answer; of classification as text, the label. A row that a form cannot hold is refused with its id.

[bold]Examples[/bold]

  python -m lope_data export nois --out nois.jsonl

  python -m lope_data export nois --as messages --to parquet

  python -m lope_data export nois@paper --as version --out share/nois

  python -m lope_data import share/nois --store elsewhere      [dim]# the same version again[/dim]
"""


class Format(StrEnum):
    """What rows can be exported to."""

    JSONL = "jsonl"
    PARQUET = "parquet"
    CSV = "csv"
    HF = "hf"


@app.command(epilog=_EPILOG)
def export(
    ref: RefArgument,
    as_: Annotated[
        str, typer.Option("--as", metavar="FORM", help=f"{', '.join(FORMS)}, or {_WHOLE}: see below.")
    ] = "source",
    to: Annotated[
        Format | None,
        typer.Option(
            help="jsonl, parquet or csv, or hf: a folder for datasets.load_from_disk. Default: as --out ends, else "
            "jsonl; of --as version parquet.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            parser=path,
            help="A new file; of hf and --as version a new folder. Default: NAME-VERSION.FORMAT here, of other forms "
            "than the source's NAME-VERSION-FORM.FORMAT.",
            show_default=False,
        ),
    ] = None,
    lope_columns: Annotated[
        bool, typer.Option("--lope-columns", help="Add lope_row_id, lope_shape, lope_ops and any lope_weight.")
    ] = False,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Writes a version's rows for other tools, as their source had them or converted; or the version whole.

    jsonl has each row's own keys in their own order, and JSON as it was. parquet and hf have the types, names of
    classes too, but null where a key is missing. csv has lists and objects as JSON text, text quoted and null not. JSON
    has no dates, NaN or infinities: those of typed columns are text in it. Text is exact, even where a spreadsheet
    takes it for a formula.
    """
    from lope_common.progress import bar
    from lope_data.store.store import Store

    if as_ != _WHOLE and as_ not in FORMS:
        raise StoreError(f"--as {quoted(as_)}: there is no such form{suggest(as_, [*FORMS, _WHOLE])}")
    if as_ == _WHOLE and lope_columns:
        raise StoreError("--lope-columns is for rows alone; --as version has these columns anyway")
    kind = _format(as_, to, out)
    version = Store(store).resolve(ref)
    manifest = version.manifest
    target = out or Path(_name(manifest.name, manifest.version, as_, kind))
    with bar() as shown:
        if as_ == _WHOLE:
            from lope_data.transfer.exporting import export as exported

            exported(version, kind, target, shown.progress)
        else:
            from lope_data.transfer.rows_out import export_rows

            export_rows(version, FORMS[as_], kind, target, shown.progress, lope_columns=lope_columns)
    console = SafeConsole(stderr=as_json)
    console.print(f"{version.ref}, {manifest.rows:,} rows as {as_}, {kind}", style="bold", markup=False)
    console.print(str(target), markup=False, soft_wrap=True)
    if as_json:
        print(json.dumps({"path": str(target), "ref": version.ref, "rows": manifest.rows, "form": as_, "format": kind}))


def _format(as_: str, to: Format | None, out: Path | None) -> str:
    """What was asked for, or what the name of the file says."""
    if to is not None:
        return to.value
    if as_ == _WHOLE:
        return Format.PARQUET.value
    suffix = "" if out is None else out.suffix.lower()[1:]
    return suffix if suffix in (Format.PARQUET, Format.CSV) else Format.JSONL.value


def _name(name: str, version: str, as_: str, kind: str) -> str:
    """Of a file with an ending, of a folder without."""
    stem = f"{name}-{version}" if as_ in (_WHOLE, "source") else f"{name}-{version}-{as_}"
    return f"{stem}-{kind}" if as_ == _WHOLE or kind == Format.HF else f"{stem}.{kind}"

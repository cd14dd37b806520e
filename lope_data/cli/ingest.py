"""`ingest`: a clean source as a version."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from lope_common.shown import SafeConsole
from lope_data.cli.app import (
    RECIPE_HELP,
    ColumnsOption,
    EncodingOption,
    ImportOption,
    JsonOption,
    LimitOption,
    PatternOption,
    SeedOption,
    ShardRowsOption,
    StoreOption,
    WorkersOption,
    app,
    overrides,
)

_EXAMPLES = """
[bold]Examples[/bold]

  python -m lope_data ingest data.jsonl

  python -m lope_data ingest data.jsonl --limit 5000            [dim]# a keyed sample, a version of its own[/dim]

  python -m lope_data ingest table.csv --encoding latin-1 --recipe columns.toml

  python -m lope_data ingest piqa.jsonl --recipe items          [dim]# of lope_train items[/dim]
"""


@app.command(epilog=_EXAMPLES)
def ingest(
    source: Annotated[
        str,
        typer.Argument(help="A file, a folder of shards, a saved dataset, a hub id, or: sample.", show_default=False),
    ],
    recipe: Annotated[str | None, typer.Option(help=f"{RECIPE_HELP}, with shape, \\[columns] and \\[source].")] = None,
    limit: LimitOption = None,
    imports: ImportOption = None,
    seed: SeedOption = None,
    columns: ColumnsOption = None,
    encoding: EncodingOption = None,
    pattern: PatternOption = None,
    store: StoreOption = None,
    workers: WorkersOption = None,
    shard_rows: ShardRowsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Writes a clean source as a version, which noise is then put on. `build` does the same when it is given one."""
    from lope_common.progress import bar
    from lope_data import api
    from lope_data.noise.imports import import_ops
    from lope_data.recipe.recipe import named_recipe
    from lope_data.rows.columns import Columns

    import_ops(imports or ())
    mapped = Columns.parsed(columns)
    resolved = named_recipe(recipe, overrides(None, None, seed, None, encoding, pattern))
    with bar() as shown:
        version = api.ingest(
            source,
            resolved,
            columns=mapped,
            limit=limit,
            store=store,
            workers=workers,
            shard_rows=shard_rows,
            progress=shown.progress,
            notice=shown.notice,
        )
    manifest = version.manifest
    console = SafeConsole(stderr=as_json)
    if version.existed:
        console.print(f"{version.ref} exists: nothing to do", markup=False)
    shapes = ", ".join(f"{count:,} {shape}" for shape, count in sorted(manifest.shapes.items()))
    console.print(f"{version.ref}  ({manifest.rows:,} rows: {shapes})", style="bold", markup=False)
    console.print(str(version.folder), markup=False, soft_wrap=True)
    if as_json:
        said = {
            "path": str(version.folder),
            "name": manifest.name,
            "version": manifest.version,
            "rows": manifest.rows,
            "shapes": manifest.shapes,
            "content_digest": manifest.content_digest,
            "existed": version.existed,
        }
        print(json.dumps(said))

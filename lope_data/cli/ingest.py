"""`ingest`: a clean source as a version."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from lope_data.cli.app import (
    RECIPE_HELP,
    ColumnsOption,
    ConfigOption,
    ImportOption,
    JsonOption,
    LimitOption,
    RevisionOption,
    SeedOption,
    ShardRowsOption,
    SplitOption,
    StoreOption,
    WithoutOption,
    WorkersOption,
    app,
    overrides,
)
from lope_data.cli.lean import settle, without_pandas
from lope_data.cli.reading_options import one_split, reading_options, typed_reading

_EXAMPLES = """
[bold]Examples[/bold]

  python -m lope_data ingest data.jsonl

  python -m lope_data ingest data.jsonl --limit 5000            [dim]# a keyed sample, a version of its own[/dim]

  python -m lope_data ingest train.jsonl --without quiz          [dim]# a test set, ingested before[/dim]

  python -m lope_data ingest imdb/ --split train                [dim]# imdb/train.jsonl, as imdb-train[/dim]

  python -m lope_data ingest imdb/ --split all                  [dim]# imdb-train, imdb-test, ...[/dim]

  python -m lope_data ingest nyu-mll/glue --config sst2 --split train --revision main

  python -m lope_data ingest table.csv --encoding latin-1 --recipe columns.toml

  python -m lope_data ingest said.tsv --quoting none         [dim]# a quote is text like any other[/dim]

  jq -c .rows[] all.json | python -m lope_data ingest -         [dim]# JSON lines on standard input[/dim]

  python -m lope_data ingest https://example.com/data.jsonl.gz

  python -m lope_data ingest piqa.jsonl --recipe items          [dim]# of lope_train items[/dim]
"""


@app.command(epilog=_EXAMPLES)
@reading_options
def ingest(
    source: Annotated[
        str,
        typer.Argument(
            help="A file, a folder or pattern of files, a saved dataset, a hub id, files by hf://, the URL of a "
            "file, - for JSON lines on standard input, or: sample.",
            show_default=False,
        ),
    ],
    recipe: Annotated[str | None, typer.Option(help=f"{RECIPE_HELP}, with shape, \\[columns] and \\[source].")] = None,
    split: SplitOption = None,
    config: ConfigOption = None,
    revision: RevisionOption = None,
    name: Annotated[
        str | None,
        typer.Option(
            help="Name of the version; default: the source's. With --split all, NAME-train and so on.",
            show_default=False,
        ),
    ] = None,
    limit: LimitOption = None,
    without: WithoutOption = None,
    imports: ImportOption = None,
    seed: SeedOption = None,
    columns: ColumnsOption = None,
    store: StoreOption = None,
    workers: WorkersOption = None,
    shard_rows: ShardRowsOption = None,
    as_json: JsonOption = False,
    **typed: Any,
) -> None:
    """Writes a clean source as a version, which noise is then put on. `build` does the same when it is given one."""
    without_pandas(source, None, imports)

    from lope_common.progress import bar
    from lope_data import api
    from lope_data.cli.said import tell
    from lope_data.noise.imports import import_ops
    from lope_data.recipe.recipe import named_recipe
    from lope_data.rows.columns import Columns
    from lope_data.sources import ALL

    import_ops(imports)
    mapped = Columns.parsed(columns)
    resolved = named_recipe(recipe, overrides(seed=seed, **typed_reading(typed, source)))
    settle(resolved)
    each = (split or resolved.source.split) == ALL
    one_split(without, each=each)
    with bar() as shown:
        asked: dict[str, Any] = {
            "columns": mapped,
            "config": config,
            "revision": revision,
            "name": name,
            "limit": limit,
            "store": store,
            "workers": workers,
            "shard_rows": shard_rows,
            "progress": shown.progress,
            "notice": shown.notice,
        }
        versions = (
            api.ingest_splits(source, resolved, **asked)
            if each
            else {"": api.ingest(source, resolved, split=split, without=without, **asked)}
        )
    tell(versions, each=each, as_json=as_json)

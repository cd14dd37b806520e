"""`build`: a source or a version, and noise on it."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from lope_data.cli.app import (
    BUILD_RECIPE_HELP,
    ColumnsOption,
    ConfigOption,
    EditionOption,
    ImportOption,
    JsonOption,
    LevelOption,
    LimitOption,
    MixOption,
    RatioOption,
    RevisionOption,
    SeedOption,
    ShardRowsOption,
    SourceOption,
    SplitOption,
    StoreOption,
    WithoutOption,
    WorkersOption,
    app,
    overrides,
)
from lope_data.cli.lean import settle, without_pandas
from lope_data.cli.reading_options import one_split, reading_options, typed_reading
from lope_data.errors import RecipeError

_EXAMPLES = """
[bold]Examples[/bold]

  python -m lope_data build --ratio 0.2

  python -m lope_data build --source data.jsonl --name nois --ratio 0.05 --mix char=1,word=1

  python -m lope_data build --from nois --ratio 0.05          [dim]# HyNoIse on top of Nois[/dim]

  python -m lope_data build --source imdb/ --split train

  python -m lope_data build --source imdb/ --split all           [dim]# noise on train, the others clean[/dim]

  python -m lope_data build --mix human --level 0.03           [dim]# typing errors as people make them[/dim]

  python -m lope_data build --import shout.py --mix word.shout   [dim]# an op of your own[/dim]

  python -m lope_data build --from nois --drop worst.csv      [dim]# without the rows of a list[/dim]

  python -m lope_data build --recipe hynoise --json
"""


@app.command(epilog=_EXAMPLES)
@reading_options
def build(
    source: SourceOption = None,
    columns: ColumnsOption = None,
    split: SplitOption = None,
    noise_splits: Annotated[
        str | None,
        typer.Option(
            metavar="NAME,...",
            help="With --split all, the splits to put noise on; default: train. The others are clean versions.",
            show_default=False,
        ),
    ] = None,
    config: ConfigOption = None,
    revision: RevisionOption = None,
    from_: Annotated[
        str | None,
        typer.Option("--from", metavar="NAME[@VERSION]", help="Build on an existing version instead."),
    ] = None,
    recipe: Annotated[str | None, typer.Option(help=BUILD_RECIPE_HELP)] = None,
    ratio: RatioOption = None,
    mix: MixOption = None,
    level: LevelOption = None,
    edition: EditionOption = None,
    imports: ImportOption = None,
    seed: SeedOption = None,
    drop: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="With --from: leave out the rows that a list names (csv, jsonl, parquet, with row_id). No noise.",
            show_default=False,
        ),
    ] = None,
    relabel: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="With --from: give rows other targets, by a list with row_id and target. No noise.",
            show_default=False,
        ),
    ] = None,
    weight: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="With --from: what rows count for in training, by a list with row_id and weight, from 0 on. No noise.",
            show_default=False,
        ),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(help="Name of the version; default: PARENT-RECIPE. With --split all, NAME-train and so on."),
    ] = None,
    store: StoreOption = None,
    limit: LimitOption = None,
    without: WithoutOption = None,
    workers: WorkersOption = None,
    shard_rows: ShardRowsOption = None,
    allow_shortfall: Annotated[
        bool,
        typer.Option("--allow-shortfall", help="Change what there is where too few rows can be changed."),
    ] = False,
    as_json: JsonOption = False,
    **typed: Any,
) -> None:
    """Corrupts exactly [bold]round(ratio * rows)[/bold] rows and writes a version. An existing one is found."""
    without_pandas(source, from_, imports)

    from lope_common.progress import bar
    from lope_data import api
    from lope_data.cli.said import tell
    from lope_data.noise.imports import import_ops
    from lope_data.recipe.recipe import named_recipe
    from lope_data.rows.columns import Columns
    from lope_data.sources import ALL

    lists = {"drop": drop, "relabel": relabel, "weight": weight}
    if any(one is not None for one in lists.values()):
        others: dict[str, Any] = {"recipe": recipe, "ratio": ratio, "mix": mix, "level": level, "edition": edition}
        others |= {"seed": seed, "import": imports, "allow_shortfall": allow_shortfall, "source": source}
        others |= {"columns": columns, "split": split, "noise_splits": noise_splits, "config": config}
        _check_lists(from_, others | {"revision": revision, "limit": limit, "without": without, **typed})
        with bar() as shown:
            made = api.curate(
                str(from_),
                **lists,
                name=name,
                store=store,
                workers=workers,
                shard_rows=shard_rows,
                progress=shown.progress,
                notice=shown.notice,
            )
        tell({"": made}, each=False, as_json=as_json)
        return
    import_ops(imports)
    mapped = Columns.parsed(columns)
    noise: dict[str, Any] = {"ratio": ratio, "level": level, "seed": seed, "mix": mix, "edition": edition}
    resolved = named_recipe(recipe, overrides(**noise, **typed_reading(typed, source)))
    settle(resolved)
    each = split == ALL or (split is None and from_ is None and resolved.source.split == ALL)
    one_split(without, each=each)
    if noise_splits is not None and not each:
        raise RecipeError(f"--noise-splits is for --split {ALL}, which makes a version of each split")
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
            "allow_shortfall": allow_shortfall,
            "progress": shown.progress,
            "notice": shown.notice,
        }
        if each and source is not None and from_ is None:
            noisy = api.NOISE_SPLITS if noise_splits is None else [one.strip() for one in noise_splits.split(",")]
            versions = api.build_splits(source, resolved, noise_splits=noisy, **asked)
        else:
            versions = {"": api.build(resolved, source=source, split=split, parent=from_, without=without, **asked)}
    tell(versions, each=each, as_json=as_json)


def _check_lists(from_: str | None, others: dict[str, Any]) -> None:
    """That a list acts on a version, and nothing else is asked for at the same time."""
    if from_ is None:
        raise RecipeError("--drop, --relabel and --weight act on a version; name it with --from")
    if given := [name for name, value in others.items() if not (value is None or value is False or value == [])]:
        raise RecipeError(
            f"--{given[0].replace('_', '-')} does not go with --drop, --relabel and --weight, which make no "
            "noise: make the version by the list first, then `build --from` that one"
        )

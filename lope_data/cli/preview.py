"""`preview`: what a recipe would do to a source, without writing anything."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from lope_common.shown import SafeConsole
from lope_data.cli.app import (
    BUILD_RECIPE_HELP,
    ColumnsOption,
    ConfigOption,
    EditionOption,
    ImportOption,
    LevelOption,
    MixOption,
    RatioOption,
    RevisionOption,
    SeedOption,
    SourceOption,
    SplitOption,
    app,
    overrides,
)
from lope_data.cli.lean import settle, without_pandas
from lope_data.cli.reading_options import reading_options, typed_reading

_EXAMPLES = """
[bold]Examples[/bold]

  python -m lope_data preview -n 5

  python -m lope_data preview hynoise --source data.jsonl

  python -m lope_data preview --source imdb/ --split train

  python -m lope_data preview --mix char.ocr=1 --level 0.3

  python -m lope_data preview --import shout.py --mix word.shout   [dim]# an op of your own[/dim]
"""


@app.command(epilog=_EXAMPLES)
@reading_options
def preview(
    recipe: Annotated[
        str | None,
        typer.Argument(metavar="[RECIPE]", help=BUILD_RECIPE_HELP, show_default=False),
    ] = None,
    source: SourceOption = None,
    columns: ColumnsOption = None,
    split: SplitOption = None,
    config: ConfigOption = None,
    revision: RevisionOption = None,
    count: Annotated[int, typer.Option("-n", min=1, max=1000, help="How many touched rows to show.")] = 5,
    ratio: RatioOption = None,
    mix: MixOption = None,
    level: LevelOption = None,
    edition: EditionOption = None,
    imports: ImportOption = None,
    seed: SeedOption = None,
    **typed: Any,
) -> None:
    """Shows rows that `build` would touch, clean beside noisy, and writes nothing."""
    without_pandas(source, None, imports)

    from lope_common.progress import bar
    from lope_data import api
    from lope_data.noise.imports import import_ops
    from lope_data.recipe.recipe import named_recipe
    from lope_data.report.sample_rows import samples, show_samples
    from lope_data.rows.columns import Columns
    from lope_data.text import kernels

    import_ops(imports)
    mapped = Columns.parsed(columns)
    noise: dict[str, Any] = {"ratio": ratio, "level": level, "seed": seed, "mix": mix, "edition": edition}
    resolved = named_recipe(recipe, overrides(**noise, **typed_reading(typed, source)))
    settle(resolved)
    with bar() as shown, kernels.telling(shown.notice):
        found = api.preview(resolved, source=source, columns=mapped, split=split, config=config, revision=revision)
    console = SafeConsole()
    show_samples(console, samples(found.noisy, found.edits, count))
    console.print(
        f"{len(found.clean):,} of {found.rows:,} rows would be touched; nothing was written",
        style="dim",
        highlight=False,
    )
    if found.shortfall:
        console.print(
            f"{found.shortfall:,} rows fewer than asked: no op of the mix can change more, and `build` refuses this "
            "without --allow-shortfall",
            style="yellow",
        )

"""`build`: a source or a version, and noise on it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lope_common.shown import SafeConsole
from lope_data.cli.app import (
    RECIPE_HELP,
    ColumnsOption,
    EditionOption,
    EncodingOption,
    ImportOption,
    JsonOption,
    LevelOption,
    LimitOption,
    MixOption,
    PatternOption,
    RatioOption,
    SeedOption,
    ShardRowsOption,
    SourceOption,
    StoreOption,
    WorkersOption,
    app,
    overrides,
)

if TYPE_CHECKING:
    from lope_data.store.version import Version

_EXAMPLES_SHOWN = 5

_EXAMPLES = """
[bold]Examples[/bold]

  python -m lope_data build --ratio 0.2

  python -m lope_data build --source data.jsonl --name nois --ratio 0.05 --mix char=1,word=1

  python -m lope_data build --from nois --ratio 0.05          [dim]# HyNoIse on top of Nois[/dim]

  python -m lope_data build --mix human --level 0.03           [dim]# typing errors as people make them[/dim]

  python -m lope_data build --import shout.py --mix word.shout   [dim]# an op of your own[/dim]

  python -m lope_data build --recipe hynoise --json
"""


@app.command(epilog=_EXAMPLES)
def build(
    source: SourceOption = None,
    columns: ColumnsOption = None,
    encoding: EncodingOption = None,
    pattern: PatternOption = None,
    from_: Annotated[
        str | None,
        typer.Option("--from", metavar="NAME[@VERSION]", help="Build on an existing version instead."),
    ] = None,
    recipe: Annotated[str | None, typer.Option(help=f"{RECIPE_HELP}; default: HyNoIse.")] = None,
    ratio: RatioOption = None,
    mix: MixOption = None,
    level: LevelOption = None,
    edition: EditionOption = None,
    imports: ImportOption = None,
    seed: SeedOption = None,
    name: Annotated[str | None, typer.Option(help="Name of the version; default: PARENT-RECIPE.")] = None,
    store: StoreOption = None,
    limit: LimitOption = None,
    workers: WorkersOption = None,
    shard_rows: ShardRowsOption = None,
    allow_shortfall: Annotated[
        bool,
        typer.Option("--allow-shortfall", help="Change what there is where too few rows can be changed."),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Corrupts exactly [bold]round(ratio * rows)[/bold] rows and writes a version. An existing one is found."""
    from lope_common.progress import bar
    from lope_data import api
    from lope_data.noise.imports import import_ops
    from lope_data.recipe.recipe import named_recipe
    from lope_data.report.rates import show_rates
    from lope_data.rows.columns import Columns

    import_ops(imports or ())
    mapped = Columns.parsed(columns)
    resolved = named_recipe(recipe, overrides(ratio, level, seed, mix, encoding, pattern, edition))
    console = SafeConsole(stderr=as_json)
    with bar() as shown:
        version = api.build(
            resolved,
            source=source,
            columns=mapped,
            parent=from_,
            name=name,
            limit=limit,
            store=store,
            workers=workers,
            shard_rows=shard_rows,
            allow_shortfall=allow_shortfall,
            progress=shown.progress,
            notice=shown.notice,
        )
    show_rates(console, version.manifest)
    if version.existed:
        console.print(f"{version.ref} exists: nothing to do", markup=False)
    else:
        from lope_data.report.sample_rows import samples, show_samples

        show_samples(console, samples(version.rows, version.edits, _EXAMPLES_SHOWN))
    console.print(f"{version.ref}  (parent {version.manifest.parents[0].ref})", style="bold", markup=False)
    console.print(str(version.folder), markup=False, soft_wrap=True)
    if as_json:
        print(json.dumps(_summary(version)))


def _summary(version: Version) -> dict[str, Any]:
    manifest = version.manifest
    assert manifest.kind == "build"
    return {
        "path": str(version.folder),
        "name": manifest.name,
        "version": manifest.version,
        "parent": manifest.parents[0].ref,
        "rows": manifest.rows,
        "touched": manifest.touched,
        "shortfall": manifest.shortfall,
        "content_digest": manifest.content_digest,
        "existed": version.existed,
        "realised": {
            line.op if len(manifest.recipe.steps) == 1 else f"{line.step}/{line.op}": {
                "rows": line.rows,
                "rows_asked": line.rows_asked,
                "units": line.units,
                "expected": line.expected,
                "changed": line.changed,
                "interval": line.interval,
                "cer": line.cer,
            }
            for line in manifest.report
        },
    }

"""`evaluate`: what the noise did to accuracy."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from lope_train.verbs.app import app
from lope_train.verbs.options import JsonOption
from lope_train.verbs.quiet import quiet_libraries

_EXAMPLES = """
[bold]Examples[/bold]

  python -m lope_train evaluate runs/lope

  python -m lope_train evaluate runs/lope runs/hydra --base --noise heldout-noisy --json

  python -m lope_train evaluate runs/lope --tasks piqa,arc_easy --data-dir ./data --limit 300
"""

_SUBJECTS = "What is evaluated"
_SETS = "On what"


@app.command(epilog=_EXAMPLES)
def evaluate(
    runs: Annotated[
        list[Path], typer.Argument(metavar="RUN...", help="Run folders that train wrote.", show_default=False)
    ],
    base: Annotated[
        bool,
        typer.Option("--base", help="Also the untrained base model of the first run.", rich_help_panel=_SUBJECTS),
    ] = False,
    model: Annotated[
        str | None,
        typer.Option(help="The runs' base model, where it has moved since training.", rich_help_panel=_SUBJECTS),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            metavar="NAME[@VERSION]",
            help="Clean version with options; default: sample-heldout, unless --tasks is given.",
            rich_help_panel=_SETS,
        ),
    ] = None,
    noise: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME[@VERSION]",
            help="A version made from --data by text noise alone. Repeat for several.",
            rich_help_panel=_SETS,
        ),
    ] = None,
    tasks: Annotated[
        str | None, typer.Option(help="piqa, arc_easy, or both, with a comma between.", rich_help_panel=_SETS)
    ] = None,
    data_dir: Annotated[
        Path | None, typer.Option(help="Folder with piqa/ and arc_easy/.", rich_help_panel=_SETS)
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(help="Items of each set: a fixed sample, the same for every run.", rich_help_panel=_SETS),
    ] = None,
    store: Annotated[
        Path | None,
        typer.Option(help="Folder of the versions; default: $LOPE_STORE, else ./lope-store.", rich_help_panel=_SETS),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Accuracy by log-likelihood over options, clean and noisy, in one table.

    A lope run is evaluated with its poisoning expert masked and compensated for, masked, and not masked.
    """
    quiet_libraries()
    from rich import progress

    from lope_train import evaluate as evaluation
    from lope_train.eval_sets import build_sets
    from lope_train.results_table import results_table, summary

    names = [name.strip() for name in (tasks or "").split(",") if name.strip()]
    subjects = evaluation.find_subjects(runs, base, model)
    sets = build_sets(data, noise or [], names, data_dir, store, limit)
    bar = progress.Progress(
        progress.TextColumn("{task.description}"),
        progress.BarColumn(),
        progress.MofNCompleteColumn(),
        progress.TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )
    with bar:
        task = bar.add_task("evaluating", total=evaluation.count_steps(subjects, sets))
        results = list(evaluation.evaluate(subjects, sets, lambda done: bar.advance(task, done)))
    console = Console(stderr=as_json, highlight=False)
    console.print(results_table(results, sets))
    for one in sets:
        if left := {reason: count for reason, count in one.skipped.items() if count}:
            console.print(
                f"{one.name}: not evaluated: " + ", ".join(f"{n} rows {reason}" for reason, n in left.items())
            )
    if as_json:
        print(json.dumps(summary(results, sets)))

"""`evaluate`: what the noise did to accuracy."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from lope_common.cli import path
from lope_common.progress import counted
from lope_common.shown import SafeConsole
from lope_train.cli.app import SETS, JsonOption, StoreOption, app, start
from lope_train.tuner.inference import Inference, inference_modes

_EXAMPLES = """
[bold]Examples[/bold]

  python -m lope_train evaluate runs/lope

  python -m lope_train evaluate runs/lope runs/hydra --base --noise heldout-noisy --json

  python -m lope_train evaluate runs/lope --tasks piqa,arc_easy --data-dir ./data --limit 300

  python -m lope_train evaluate runs/lope --tasks piqa --data-dir ./data --noise piqa-noisy

  python -m lope_train evaluate runs/lope --tasks hellaswag --inference compensated --experts 1 --experts 2

  python -m lope_train evaluate --base --model smollm2-135m --tasks mmlu --data-dir ./data
"""

_SUBJECTS = "What is evaluated"


@app.command(epilog=_EXAMPLES)
def evaluate(
    runs: Annotated[
        list[Path] | None,
        typer.Argument(metavar="RUN...", parser=path, help="Run folders that train wrote.", show_default=False),
    ] = None,
    base: Annotated[
        bool,
        typer.Option(
            "--base", help="Also the untrained base model of the first run, or --model.", rich_help_panel=_SUBJECTS
        ),
    ] = False,
    model: Annotated[
        str | None,
        typer.Option(help="The runs' base model, where it has moved since training.", rich_help_panel=_SUBJECTS),
    ] = None,
    dtype: Annotated[
        str | None,
        typer.Option(
            metavar="DTYPE",
            help="Of --base --model without a run: float32 (the default), bfloat16 or float16. Runs keep that of "
            "their training.",
            rich_help_panel=_SUBJECTS,
        ),
    ] = None,
    inference: Annotated[
        list[str] | None,
        typer.Option(
            metavar="WORD",
            help=f"What a lope run does with its poisoning expert: {', '.join(Inference)}; default: each. "
            "Several with commas between, or repeated.",
            rich_help_panel=_SUBJECTS,
        ),
    ] = None,
    experts: Annotated[
        list[int] | None,
        typer.Option(
            metavar="K",
            help="Also a lope run compensated with K experts, instead of its own number. Repeat for several.",
            rich_help_panel=_SUBJECTS,
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            metavar="NAME[@VERSION]",
            help="Clean version with options; default: sample-heldout, unless --tasks is given.",
            rich_help_panel=SETS,
        ),
    ] = None,
    noise: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME[@VERSION]",
            help="A version made by text noise alone from --data, or from a task's items. Repeat for several.",
            rich_help_panel=SETS,
        ),
    ] = None,
    tasks: Annotated[
        str | None,
        typer.Option(
            metavar="NAME,...",
            help="Tasks, groups or tags of lm-evaluation-harness, with commas between.",
            rich_help_panel=SETS,
        ),
    ] = None,
    data_dir: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            parser=path,
            help="Folder with piqa/, siqa/, arc_easy/, mmlu/, gsm8k/ as published; default: the hub's data.",
            rich_help_panel=SETS,
        ),
    ] = None,
    chat_template: Annotated[
        bool,
        typer.Option("--chat-template", help="Ask tasks in the model's chat template.", rich_help_panel=SETS),
    ] = False,
    limit: Annotated[
        int | None,
        typer.Option(
            help="Items of each set: a fixed sample, the same for every run; a larger limit keeps them, though GSM8K's "
            "five worked examples are drawn anew.",
            rich_help_panel=SETS,
        ),
    ] = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Accuracy on the same items, clean and noisy, in one table.

    Rows of versions are asked in the prompts of training, and the likeliest option counts. Tasks are asked and scored
    by lm-evaluation-harness; where that is missing, --tasks says what to install.
    """
    start("evaluate")
    from lope_train.evaluation import results as evaluation
    from lope_train.evaluation.sets import build_sets
    from lope_train.evaluation.table import results_table, summary
    from lope_train.inference.subjects import find_subjects

    modes = inference_modes(_words(inference or []), experts or [])
    subjects = find_subjects(runs or [], base, model, modes, dtype)
    heads = any(subject.classes is not None for subject in subjects)
    sets = build_sets(data, noise or [], _words([tasks or ""]), data_dir, store, limit, heads)
    with counted("evaluating", evaluation.count_steps(subjects, sets)) as advance:
        results = list(evaluation.evaluate(subjects, sets, advance, chat_template))
    console = SafeConsole(stderr=as_json)
    console.print(results_table(results, sets))
    for one in sets:
        if left := {reason: count for reason, count in one.skipped.items() if count}:
            console.print(
                f"{one.name}: not evaluated: " + ", ".join(f"{n} rows {reason}" for reason, n in left.items())
            )
    for result in results:
        if cut := result.score.cut:
            console.print(f"{result.subject.name} ({result.mode}) on {result.set.name}: {cut} texts were cut: too long")
    if as_json:
        print(json.dumps(summary(results, sets)))


def _words(typed: list[str]) -> list[str]:
    """What stands between commas, in all that was typed."""
    return [word.strip() for words in typed for word in words.split(",") if word.strip()]

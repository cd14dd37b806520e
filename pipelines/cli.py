"""`python -m pipelines run demo`, `python -m pipelines run paper/table1`."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from lope_common.cli import new_app, path, run_app
from lope_common.places import STORE_HELP, store_folder
from lope_common.shown import SafeConsole, neutral, safe
from pipelines.errors import PipelineError

app = new_app("Whole experiments from one recipe: build, train, evaluate, report.")


_STUDY = "Of a study"

_EXAMPLES = """
[bold]Examples[/bold]

  python -m pipelines run demo

  python -m pipelines run paper/table1 --data-dir ./data --scale small

  python -m pipelines run paper/table4 --data-dir ./data --scale gpu --model HuggingFaceTB/SmolLM2-360M

  python -m pipelines run paper/trec --data-dir ./data --rows 600 --questions 200 --seeds 2 --arms lope,lora
"""


@app.command(epilog=_EXAMPLES)
def run(
    pipeline: Annotated[
        str, typer.Argument(help="A recipe: a name (demo, paper/table1, ...) or a TOML file.", show_default=False)
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            parser=path, help="Folder of runs, results and the page; default: runs/NAME, runs/paper for all of paper/."
        ),
    ] = None,
    store: Annotated[Path | None, typer.Option(parser=path, help=STORE_HELP)] = None,
    data_dir: Annotated[
        Path | None,
        typer.Option(parser=path, help="Folder with the source and the tasks' data.", rich_help_panel=_STUDY),
    ] = None,
    scale: Annotated[
        str, typer.Option(help="How large: smoke, small, gpu, paper, or one of the study's.", rich_help_panel=_STUDY)
    ] = "small",
    model: Annotated[
        list[str] | None,
        typer.Option(help="Base model. Repeat for several. Default: the scale's.", rich_help_panel=_STUDY),
    ] = None,
    rows: Annotated[
        int | None, typer.Option(help="Rows to train on, in place of the scale's.", rich_help_panel=_STUDY)
    ] = None,
    questions: Annotated[
        int | None, typer.Option(help="Questions of each task, in place of the scale's.", rich_help_panel=_STUDY)
    ] = None,
    seeds: Annotated[
        int | None, typer.Option(help="Seeds, counted from 614, in place of the scale's.", rich_help_panel=_STUDY)
    ] = None,
    arms: Annotated[
        str | None, typer.Option(help="Only these methods of the study, commas between.", rich_help_panel=_STUDY)
    ] = None,
    conditions: Annotated[
        str | None,
        typer.Option(help="Only these conditions of the study's data, commas between.", rich_help_panel=_STUDY),
    ] = None,
    tasks: Annotated[
        str | None, typer.Option(help="Only these tasks of the study, commas between.", rich_help_panel=_STUDY)
    ] = None,
    record: Annotated[
        Path | None,
        typer.Option(
            parser=path,
            help="A file of JSON lines with finished runs: what it has is not trained again, what is new is added.",
            rich_help_panel=_STUDY,
        ),
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option(
            min=1, help="Commands at once. Default: a GPU each, or as cores and memory allow.", rich_help_panel=_STUDY
        ),
    ] = None,
) -> None:
    """Runs what has no result yet, and writes a page; a second call does only what is missing.

    A study whose runs failed in part shows what failed, and ends with exit code 1.
    """
    from pipelines.steps.recipe import Pipeline, check_libraries, load

    recipe = load(pipeline)
    check_libraries(recipe, pipeline)
    console = SafeConsole()
    console.print(neutral(recipe.title), style="bold", markup=False)
    console.print(neutral(recipe.about), markup=False)
    started = time.monotonic()
    failed = 0
    if isinstance(recipe, Pipeline):
        given = {"data_dir": data_dir, "model": model, "rows": rows, "questions": questions, "seeds": seeds}
        _refuse(
            {**given, "arms": arms, "conditions": conditions, "tasks": tasks, "jobs": jobs, "record": record}, pipeline
        )
        from pipelines.steps.report import write_report
        from pipelines.steps.runner import run as follow

        folder = out or Path("runs") / Path(pipeline).stem
        page = write_report(recipe, follow(recipe, folder, store, console), folder)
    else:
        from pipelines.page.page import write_page
        from pipelines.page.terminal import summary_table
        from pipelines.study.recipe import PAPER
        from pipelines.study.run import Order, choose_scale, page_name, run_study

        if data_dir is None:
            raise PipelineError(
                f"{pipeline} is a study: name the folder that holds {recipe.source.file} with --data-dir"
            )
        sizes = {"rows": rows, "questions": questions, "seeds": seeds}
        parts = {"arms": _names(arms), "conditions": _names(conditions), "tasks": _names(tasks)}
        chosen = choose_scale(recipe, scale, sizes, parts)
        stem = Path(pipeline).stem
        folder = out or Path("runs") / ("paper" if (PAPER.parent / f"{pipeline}.toml").parent == PAPER else stem)
        name = page_name(stem, scale, {**sizes, **parts, "models": model})
        models = tuple(model or ())
        order = Order(recipe, name, scale, chosen, models, data_dir, folder, store_folder(store), jobs, record)
        if chosen.depth is None:
            outcome = run_study(order, console)
        else:
            from pipelines.anatomy.run import run_anatomy

            outcome = run_anatomy(order, record or folder / f"{name}.jsonl")
        page = folder / f"{name}.html"
        write_page(outcome, page)
        console.print(summary_table(outcome))
        failed = len(outcome.failed)
    seconds = time.monotonic() - started
    console.print(f"\n{page}  open it in a browser ({seconds:.0f} s in all)", style="bold", markup=False)
    if failed:
        print(f"error: {failed} steps failed or could not run; {safe(str(page))} says which and why", file=sys.stderr)
        raise typer.Exit(1)


_RESULTS_EXAMPLES = """
[bold]Examples[/bold]

  python -m pipelines results study/noisy-labels

  python -m pipelines results paper/trec --record trec.jsonl --out trec.md --scale small --seeds 5
"""


@app.command(epilog=_RESULTS_EXAMPLES)
def results(
    study: Annotated[
        str, typer.Argument(help="A study: a name (study/noisy-labels, ...) or a TOML file.", show_default=False)
    ],
    record: Annotated[
        Path | None,
        typer.Option(parser=path, help="What `run --record` has written. Default: docs/results/NAME.jsonl."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(parser=path, help="The page. Default: beside the record, NAME.md.")
    ] = None,
    scale: Annotated[str, typer.Option(help="Of what the study plans: its seeds, rows, arms.")] = "small",
    seeds: Annotated[int | None, typer.Option(help="Seeds that are planned, in place of the scale's.")] = None,
) -> None:
    """Writes the page of a study from its record alone, as Markdown, with a figure beside it.

    No model and no data is read. What is missing, was made with other settings or by other code is said on the page.
    """
    from pipelines.page.markdown import write_markdown
    from pipelines.steps.recipe import Pipeline, load
    from pipelines.study.recorded import from_record
    from pipelines.study.run import choose_scale, typed

    recipe = load(study)
    if isinstance(recipe, Pipeline):
        raise PipelineError(f"{study} is a list of steps; only studies have records")
    stem = Path(study).stem
    file = record or Path("docs/results") / f"{stem}.jsonl"
    page = out or file.with_suffix(".md")
    chosen = choose_scale(recipe, scale, {"seeds": seeds}, {})
    outcome = from_record(recipe, stem, scale, chosen, file, typed())
    if not outcome.runs:
        raise PipelineError(f"{file} has no run of {study} at scale {scale!r}{_first(outcome.set_aside)}")
    try:
        write_markdown(outcome, page)
    except OSError as error:
        raise PipelineError(f"cannot write {page} ({error.strerror}); choose another --out") from error
    SafeConsole().print(f"{page}  {len(outcome.runs)} runs", style="bold", markup=False)
    for one in outcome.set_aside:
        print(f"set aside: {safe(one)}", file=sys.stderr)


def _first(aside: list[str]) -> str:
    return f"; set aside: {aside[0]}" + f" (and {len(aside) - 1} more)" * (len(aside) > 1) if aside else ""


def _names(text: str | None) -> tuple[str, ...]:
    return tuple(name.strip() for name in (text or "").split(",") if name.strip())


def _refuse(given: dict[str, object], pipeline: str) -> None:
    """Raises PipelineError where an option of studies was typed for what is none."""
    for name, value in given.items():
        if value is not None and value != []:
            raise PipelineError(f"--{name.replace('_', '-')} is for studies; {pipeline} is a list of steps")


def main() -> None:
    """Runs the command line; a user's error is one line on stderr and exit code 2."""
    run_app(app, lambda _: "finished steps are kept; run it again to resume")

"""`python -m pipelines run demo`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from lope_data.cli import run_app
from lope_data.errors import LopeDataError
from pipelines.errors import PipelineError

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="rich")


@app.callback()
def _root() -> None:
    """Whole experiments from one recipe: build, train, evaluate, report."""


@app.command(epilog="[bold]Example[/bold]\n\n  python -m pipelines run demo")
def run(
    pipeline: Annotated[str, typer.Argument(help="A recipe in pipelines/, without .toml, or a file.")],
    out: Annotated[
        Path | None, typer.Option(help="Folder of runs, results and report.html; default: runs/NAME.")
    ] = None,
    store: Annotated[
        Path | None, typer.Option(help="Folder of the versions; default: $LOPE_STORE, else ./lope-store.")
    ] = None,
) -> None:
    """Runs what has no result yet, and writes report.html; a second call does only what is missing."""
    from pipelines.recipe import load
    from pipelines.report import write_report
    from pipelines.runner import run as follow

    recipe = load(pipeline)
    folder = out or Path("runs") / Path(pipeline).stem
    console = Console(highlight=False, stderr=False)
    console.print(recipe.title, style="bold", markup=False)
    console.print(recipe.about, markup=False)
    started = time.monotonic()
    done = follow(recipe, folder, store, console)
    report = write_report(recipe, done, folder)
    seconds = time.monotonic() - started
    console.print(f"\n{report}  open it in a browser ({seconds:.0f} s in all)", style="bold", markup=False)


def main() -> None:
    """Runs the command line; a user's error is one line on stderr and exit code 2."""
    run_app(app, (PipelineError, LopeDataError), "finished steps are kept, run it again to go on")


if __name__ == "__main__":
    main()

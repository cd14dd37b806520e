"""`score`: which rows are likely wrong."""

from __future__ import annotations

import json
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from lope_common.cli import path
from lope_common.progress import counted
from lope_common.shown import SafeConsole, brief
from lope_train.cli.app import OUTPUT, SETS, JsonOption, StoreOption, app, start

if TYPE_CHECKING:
    from lope_train.detector.scores import Scored

_EXAMPLES = """
[bold]Examples[/bold]

  python -m lope_train score --model smollm2-135m --data sample

  python -m lope_train score --model smollm2-135m --data nois --top 100 --to jsonl --out worst

  python -m lope_data build --from nois --drop worst/rows.jsonl   [dim]# without those rows[/dim]

  python -m lope_train score --model minilm --data imdb-flipped       [dim]# labels, with the likeliest other one[/dim]

  python -m lope_train score --run runs/lope --data nois     [dim]# its base judges; its router is one column[/dim]
"""
LABELS = "Models that judge labels"
_SHOWN = 10
"""Rows in the terminal."""


@app.command(epilog=_EXAMPLES)
def score(
    data: Annotated[
        str,
        typer.Option(metavar="NAME[@VERSION]", help="The version.", show_default=False, rich_help_panel=SETS),
    ],
    model: Annotated[
        str | None,
        typer.Option(
            help="A model folder, a hub id, or a name that get-model knows; with --run, where its base has moved.",
            rich_help_panel=SETS,
        ),
    ] = None,
    run: Annotated[
        Path | None,
        typer.Option(
            parser=path,
            help="A run of lope: its base is the model, and its router's weight is one more column.",
            rich_help_panel=SETS,
        ),
    ] = None,
    store: StoreOption = None,
    limit: Annotated[
        int | None,
        typer.Option(help="Rows of the version: a fixed sample, the same for every model.", rich_help_panel=SETS),
    ] = None,
    max_length: Annotated[
        int, typer.Option(help="Tokens a row; longer rows are left out and counted.", rich_help_panel=SETS)
    ] = 1024,
    dtype: Annotated[
        str | None, typer.Option(help="Of the model: float32, bfloat16. Default: float32.", rich_help_panel=SETS)
    ] = None,
    head: Annotated[
        Literal["lm", "classification"] | None,
        typer.Option(
            help="lm: judge responses. classification: judge labels, by models with a head. Default: as in train.",
            rich_help_panel=SETS,
        ),
    ] = None,
    folds: Annotated[
        int, typer.Option(help="Parts of the rows, each judged by a model of the others.", rich_help_panel=LABELS)
    ] = 5,
    epochs: Annotated[int, typer.Option(help="Passes over its rows, of each model.", rich_help_panel=LABELS)] = 6,
    lr: Annotated[float, typer.Option(help="Its learning rate.", rich_help_panel=LABELS)] = 1e-3,
    seed: Annotated[int, typer.Option(help="Keys folds and training.", rich_help_panel=LABELS)] = 614,
    top: Annotated[int | None, typer.Option(help="List that many rows. Default: all.", rich_help_panel=OUTPUT)] = None,
    to: Annotated[
        Literal["csv", "parquet", "jsonl"], typer.Option(help="Format of the list.", rich_help_panel=OUTPUT)
    ] = "csv",
    out: Annotated[
        Path | None,
        typer.Option(
            parser=path,
            help="A new folder, or one with the scores of the same request; default: scores-NAME.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Ranks rows by how likely their response or label is wrong. Needs no run.

    [bold]Responses[/bold], by a language model as it is: how little the instruction helps to predict the response's
    first tokens, the surprisal of its end, and the largest surprisal of a digit in it.

    [bold]Labels[/bold] of classification rows, by models with a head that are trained on the version's own rows: the
    probability of the label out of fold, the loss of one trained with gce, and the area under the margin.

    The largest counts, on a common scale. Where the version has edit records, the table says how well that finds the
    rows with noise, by op: AUROC with 95 % intervals by a bootstrap over rows, beside the mean surprisal or the loss
    in training.

    Writes the list (rank, row_id, score, reason, measures), scores.json, and report.html with the worst rows. Killed,
    it resumes; with another --top or --to, a finished folder is only listed again.
    """
    start("score")
    from lope_train.detector import output
    from lope_train.detector import scores as detector
    from lope_train.detector.folder import REPORT, ScoreFolder
    from lope_train.detector.request import Fitting, ask

    output.check_top(top)
    fitting = Fitting(folds, epochs, lr, seed)
    request = ask(data, model, run, store, head=head, fitting=fitting, limit=limit, max_length=max_length, dtype=dtype)
    folder = ScoreFolder(out or Path(f"scores-{request.data.name}"), request.plain)
    with folder.opened():
        # models that are trained show their own progress
        bar = counted("scoring rows", request.rows) if request.head == "lm" else nullcontext(lambda _: None)
        with bar as advance:
            scored = detector.score(request, folder, advance)
        record = output.write(folder, request, scored, to, top)
    console = SafeConsole(stderr=as_json)
    _show(console, scored, record)
    console.print(str(folder.out / record["list"]), style="bold", markup=False, soft_wrap=True)
    console.print(f"the worst rows, and why: {folder.out / REPORT}", markup=False, soft_wrap=True)
    if as_json:
        print(json.dumps({"path": str(folder.out), **record}))


def _short(area: float) -> str:
    """`.71`, `1`"""
    return f"{area:.2f}".removeprefix("0").replace("1.00", "1")


def _show(console: Console, scored: Scored, record: dict[str, Any]) -> None:
    table = Table(title="The worst rows", title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name in ("rank", "row", "score"):
        table.add_column(name, justify="right" if name != "row" else "left", no_wrap=True)
    table.add_column("why")
    for rank, row in enumerate(scored.ranking.order[:_SHOWN].tolist(), start=1):
        score = f"{scored.ranking.score[row]:.2f}"
        table.add_row(str(rank), brief(scored.ids[row], 16), score, Text(scored.reasons[row]))
    console.print(table)
    if scored.groups:
        console.print(_areas(scored))
        for sentence in record["verdicts"]:
            console.print(sentence, markup=False, soft_wrap=True)
    else:
        console.print("no edit is recorded in these rows, so how good the ranking is cannot be said")
    if scored.left_out:
        left = ", ".join(f"{count} {why}" for why, count in scored.left_out.items())
        console.print(f"rows left out: {left}", markup=False, soft_wrap=True)


def _areas(scored: Scored) -> Table:
    title = "AUROC with its 95 % interval, of rows that an op touched against those that none did"
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("op\n  rows", overflow="fold")
    for label in scored.labels.values():
        table.add_column(label, justify="right")
    for group in scored.groups:
        cells = [
            f"{_short(figure.value)}\n{_short(figure.low)}–{_short(figure.high)}"
            for figure in (group.figures.get(name) for name in scored.labels)
            if figure is not None
        ]
        name = f" {group.op.partition('.')[2]}" if group.op else group.name
        table.add_row(Text(f"{name}\n  {group.positives:,}"), *(cells or ["too few"]), style="" if group.op else "bold")
    return table

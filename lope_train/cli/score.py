"""`score`: the poisoning expert as a noise detector."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from lope_common.cli import path
from lope_common.progress import counted
from lope_common.shown import SafeConsole
from lope_train.cli.app import OUTPUT, SETS, JsonOption, RunArgument, StoreOption, app, start

if TYPE_CHECKING:
    from lope_train.detector.scores import Scored

_EXAMPLES = """
[bold]Examples[/bold]

  python -m lope_train score runs/lope --data heldout-noisy

  python -m lope_train score runs/lope --data heldout-noisy --choose-on sample-hynoise   [dim]# the best layer too[/dim]

  python -m lope_train score runs/lope --data heldout-noisy --limit 100 --out scores --json

In Python: polars.read_ipc("runs/lope-scores-heldout-noisy/tokens.arrow")
"""

_HEADS = {
    "weight_mean": "weight\nmean",
    "weight_best": "weight\nbest\nlayer",
    "surprisal": "sur-\nprisal",
    "subwords": "sub-\nwords",
    "untrained_mean": "un-\ntrained\nmean",
    "untrained_best": "un-\ntrained\nbest\nlayer",
}
"""The detectors, for columns that fit a terminal."""


@app.command(epilog=_EXAMPLES)
def score(
    run: RunArgument,
    data: Annotated[
        str,
        typer.Option(
            metavar="NAME[@VERSION]",
            help="A noisy version, best one that the run was not trained on.",
            show_default=False,
            rich_help_panel=SETS,
        ),
    ],
    choose_on: Annotated[
        str | None,
        typer.Option(
            metavar="NAME[@VERSION]",
            help="Another noisy version, on which the best layer is chosen; without it there is none.",
            rich_help_panel=SETS,
        ),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(help="Rows of each version: a fixed sample, the same for every run.", rich_help_panel=SETS),
    ] = None,
    store: StoreOption = None,
    model: Annotated[
        str | None,
        typer.Option(help="The run's base model, where it has moved since training.", rich_help_panel=SETS),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            parser=path,
            help="A new folder, or one with the scores of the same request; default: RUN-scores-NAME.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Weighs every token by the poisoning expert's share in the router, and judges the weights by the edit records.

    Writes tokens.arrow, rows.arrow, scores.json and report.html, a page with the suspicious tokens coloured. The
    table is AUROC with 95 % intervals by a bootstrap over rows, beside what a detector has to beat: the base model's
    surprisal, the number of sub-words of a word, and the router before training.

    More than one layer to choose from is an advantage: the untrained router's best layer is chosen in the same way.
    """
    start("score")
    from lope_train.detector import scores as detector
    from lope_train.detector.output import REPORT, SCORES, ScoreFolder

    request = detector.ask(run, data, choose_on, store, limit, model)
    folder = ScoreFolder(out, request)
    with counted("scoring rows", request.rows) as advance:
        scored = detector.score(request, advance)
    path = folder.write(scored)
    console = SafeConsole(stderr=as_json)
    _show(console, scored)
    console.print(str(path), style="bold", markup=False, soft_wrap=True)
    console.print(f"the rows, coloured: {path / REPORT}", markup=False, soft_wrap=True)
    if as_json:
        print(json.dumps({"path": str(path), **json.loads((path / SCORES).read_text(encoding="utf-8"))}))


def _short(area: float) -> str:
    """`.71`, `1`"""
    return f"{area:.2f}".removeprefix("0").replace("1.00", "1")


def _show(console: Console, scored: Scored) -> None:
    for unit, title in (("tokens", "edits of text, by token"), ("rows", "edits of targets, by row")):
        groups = [group for group in scored.groups if group.unit == unit]
        if not groups:
            continue
        names = [name for name in _HEADS if name in scored.tokens]
        table = Table(
            title=f"AUROC with its 95 % interval: {title}",
            title_justify="left",
            box=box.SIMPLE_HEAD,
            padding=(0, 1, 0, 0),
        )
        table.add_column(f"edited {unit}", overflow="fold")
        for name in names:
            table.add_column(_HEADS[name], justify="right")
        for group in groups:
            cells = [
                f"{_short(figure.value)}\n{_short(figure.low)}–{_short(figure.high)}"
                for figure in (group.detectors.get(name) for name in names)
                if figure is not None
            ]
            name = f" {group.op.partition('.')[2]}" if group.op else group.name
            head = Text(f"{name}\n  {group.positives:,}")
            table.add_row(head, *(cells or ["too few"]), style="" if group.op else "bold")
        console.print(table)
    for verdict in scored.verdicts:
        console.print(verdict.sentence, markup=False, soft_wrap=True)
    if not scored.groups:
        console.print("no edit is recorded in these rows: AUROC needs edits, the weights are written all the same")
    if scored.best is not None:
        best = scored.best
        console.print(f"best layer: {best.layer}, AUROC {best.auroc:.2f} where it was chosen", soft_wrap=True)
        console.print(f"untrained: {best.untrained_layer}, {best.untrained_auroc:.2f}", soft_wrap=True)
        if scored.best.shared_rows:
            console.print(f"{scored.best.shared_rows} rows stand in both versions: the choice has seen their like")
    left = {"unusable": "without a prompt or target", "too_long": "too long", "unaligned": "changed by the template"}
    counts = [(getattr(scored.lines.skipped, name), why) for name, why in left.items()]
    if any(count for count, _ in counts):
        console.print("rows left out: " + ", ".join(f"{count} {why}" for count, why in counts if count))

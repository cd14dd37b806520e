"""`params`: how many parameters an adapter would have."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich import box
from rich.table import Table

from lope_common.shown import SafeConsole
from lope_train.cli.app import JsonOption, app, start
from lope_train.cli.setting_options import setting_options, typed_settings
from lope_train.settings.settings import TrainSettings

if TYPE_CHECKING:
    from lope_train.inspection.parameters import Count

_EXAMPLES = """
[bold]Examples[/bold]

  python -m lope_train params --model smollm2-135m

  python -m lope_train params --model ./llama-2-7b --method lope --num-experts 4 --rank 4       [dim]# 0.062 %[/dim]

  python -m lope_train params --model ./llama-2-7b --method hydralora --num-experts 3 --json

./llama-2-7b need hold no more than config.json.
"""

_SETTINGS = (
    "method",
    "head",
    "r",
    "target_modules",
    "num_experts",
    "num_poisoning",
    "router_input",
    "num_virtual_tokens",
)


@app.command(epilog=_EXAMPLES)
@setting_options(_SETTINGS)
def params(
    model: Annotated[
        str,
        typer.Option(
            metavar="DIR|ID",
            help=f"{TrainSettings.model_fields['model'].description} Its config.json is enough.",
            rich_help_panel="Data and model",
        ),
    ],
    classes: Annotated[
        int, typer.Option(min=2, help="Of a classification head.", rich_help_panel="Data and model")
    ] = 2,
    as_json: JsonOption = False,
    **typed: Any,
) -> None:
    """Counts the parameters of an adapter from the model's config alone: no weights are read."""
    settings = TrainSettings(data="none", model=model, out=Path("none"), **typed_settings(typed))
    start("params")
    from lope_train.inspection.parameters import count

    counted = count(settings, classes)
    if as_json:
        print(json.dumps(counted.as_dict()))
    else:
        SafeConsole().print(_table(counted))


def _table(counted: Count) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column(f"{counted.method} on {counted.model}".replace("[", r"\["), overflow="fold")
    table.add_column("parameters", justify="right")
    table.add_column("% of the base", justify="right")

    def line(what: str, number: int, style: str = "") -> None:
        table.add_row(what, f"{number:,}", f"{100 * number / counted.total:.4f}", style=style)

    line("base", counted.total)
    table.add_section()
    for name, number in counted.adapter.items():
        line(f"adapter: {name}", number)
    table.add_section()
    for stage, number in counted.trainable_by_stage.items():
        line(f"trains in {stage}", number)
    line("trains in any stage: the true number", counted.trainable)
    table.add_section()
    line("used at inference: the paper's %Param, without router, poisoning expert and head", counted.inference, "bold")
    return table

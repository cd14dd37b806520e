"""`ops`: what noise there is."""

from __future__ import annotations

from typing import Annotated

import typer

from lope_common.shown import SafeConsole
from lope_data.cli.app import app

_EXAMPLES = """
[bold]Examples[/bold]

  python -m lope_data ops

  python -m lope_data ops char.delete
"""


@app.command(epilog=_EXAMPLES)
def ops(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="One op, in full.", show_default=False)] = None,
) -> None:
    """Lists the ops; of one, its parameters, what its level means, and an example."""
    from lope_data.noise.catalogue import list_ops, op_info
    from lope_data.report.op_card import op_card, op_table

    console = SafeConsole()
    if name is None:
        console.print(op_table(list_ops()))
    else:
        for part in op_card(op_info(name)):
            console.print(part)

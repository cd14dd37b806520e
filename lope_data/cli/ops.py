"""`ops`: what noise there is."""

from __future__ import annotations

from typing import Annotated

import typer

from lope_common.shown import SafeConsole
from lope_data.cli.app import ImportOption, app

_EXAMPLES = """
[bold]Examples[/bold]

  python -m lope_data ops

  python -m lope_data ops char.delete

  python -m lope_data ops word.shout --import shout.py
"""


@app.command(epilog=_EXAMPLES)
def ops(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="One op, in full.", show_default=False)] = None,
    imports: ImportOption = None,
) -> None:
    """Lists the ops; of one, its parameters, what its level means, and an example."""
    from lope_data.noise.catalogue import list_ops, offered, op_info
    from lope_data.noise.imports import import_ops
    from lope_data.report.op_card import op_card, op_table

    import_ops(imports)
    console = SafeConsole()
    if name is None:
        console.print(op_table(list_ops(), offered()))
    else:
        for part in op_card(op_info(name)):
            console.print(part)

"""`gc`: removes what nothing needs."""

from __future__ import annotations

from typing import Annotated

import typer

from lope_common.shown import SafeConsole
from lope_data.cli.app import StoreOption, app

_EXAMPLES = """
[bold]Examples[/bold]

  python -m lope_data gc --dry-run

  python -m lope_data gc
"""


@app.command(epilog=_EXAMPLES)
def gc(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be removed, and remove nothing.")] = False,
    store: StoreOption = None,
) -> None:
    """Removes versions that no tag, no `latest` and no child of such a one needs, and what killed builds left."""
    from rich.filesize import decimal

    from lope_common.shown import safe
    from lope_data.store.gc import find_garbage, remove_garbage
    from lope_data.store.store import Store

    console = SafeConsole()
    where = Store(store)
    garbage = find_garbage(where) if dry_run else remove_garbage(where)
    for piece in garbage:
        path = safe(str(piece.path.relative_to(where.root)))
        console.print(f"{path}  ({decimal(piece.size)}): {piece.why}", markup=False, soft_wrap=True)
    total = decimal(sum(piece.size for piece in garbage))
    done = "would be removed" if dry_run else "removed"
    console.print(f"{len(garbage):,} {done}, {total}" if garbage else "nothing to remove", style="bold")

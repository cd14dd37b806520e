"""`push`: a version to a Hugging Face hub."""

from __future__ import annotations

from typing import Annotated

import typer

from lope_common.shown import SafeConsole
from lope_data.cli.app import RefArgument, StoreOption, app

_EXAMPLES = """
[bold]Examples[/bold]

  HF_TOKEN=hf_... python -m lope_data push nois@paper me/nois --private

  python -c "import datasets; print(datasets.load_dataset('me/nois'))"      [dim]# anywhere[/dim]
"""


@app.command(epilog=_EXAMPLES)
def push(
    ref: RefArgument,
    hub_id: Annotated[str, typer.Argument(metavar="HUB_ID", help="The dataset repository: OWNER/NAME.")],
    private: Annotated[bool, typer.Option("--private", help="If the repository is made now, only for you.")] = False,
    store: StoreOption = None,
) -> None:
    """Sends a version to the hub: what [bold]export --as version[/bold] writes, in one commit.

    The token is $HF_TOKEN, or what [bold]hf auth login[/bold] keeps.
    """
    from lope_common.hub import check_push
    from lope_common.progress import bar
    from lope_data.errors import StoreError
    from lope_data.store.store import Store
    from lope_data.transfer.pushing import push as pushed

    check_push(hub_id, StoreError)
    version = Store(store).resolve(ref)
    with bar() as shown:
        address = pushed(version, hub_id, private, shown.progress)
    console = SafeConsole()
    console.print(f"{version.ref}, {version.manifest.rows:,} rows", style="bold", markup=False)
    console.print(address, markup=False, soft_wrap=True)

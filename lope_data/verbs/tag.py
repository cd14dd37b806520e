"""`tag`: names of one's own for versions."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console

from lope_data.errors import StoreError
from lope_data.verbs.app import app
from lope_data.verbs.options import RefArgument, StoreOption

_EXAMPLES = """
[bold]Examples[/bold]

  python -m lope_data tag sample-hynoise paper          [dim]# then: sample-hynoise@paper[/dim]

  python -m lope_data tag sample-hynoise@1f2e paper --force

  python -m lope_data tag sample-hynoise paper --delete
"""


@app.command(epilog=_EXAMPLES)
def tag(
    ref: RefArgument,
    name: Annotated[str, typer.Argument(metavar="TAG", help="The tag.", show_default=False)],
    force: Annotated[bool, typer.Option("--force", help="Move the tag, if it names another version.")] = False,
    delete: Annotated[bool, typer.Option("--delete", help="Take the tag away; the version stays.")] = False,
    store: StoreOption = None,
) -> None:
    """Gives a version a name of your own, [bold]NAME@TAG[/bold]; `gc` keeps what has one, and all it was made from."""
    from lope_data.names import check_tag
    from lope_data.store import Store

    console = Console(highlight=False)
    check_tag(name)
    where = Store(store)
    version = where.resolve(ref)
    dataset, wanted = version.manifest["name"], version.manifest["version"]
    if where.find(dataset, wanted) is None:
        raise StoreError(f"{version.folder} is not in the store {where.root}; tags are for versions in it")
    now = where.refs(dataset).get(name)
    if delete:
        if now is None:
            raise StoreError(f"{dataset} has no tag {name!r}")
        where.drop_ref(dataset, name)
        console.print(f"{dataset}@{name} is gone; it was {dataset}@{now}", markup=False)
        return
    if now not in (None, wanted) and not force:
        raise StoreError(f"{dataset}@{name} is {dataset}@{now}; move it to {wanted} with --force")
    where.set_ref(dataset, name, wanted)
    console.print(f"{dataset}@{name} is {version.ref}", markup=False)

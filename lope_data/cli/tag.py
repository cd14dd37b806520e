"""`tag`: names of one's own for versions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from lope_common.shown import SafeConsole
from lope_data.cli.app import RefArgument, StoreOption, app
from lope_data.errors import StoreError
from lope_data.names import check_name

if TYPE_CHECKING:
    from lope_data.store.store import Store

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
    from lope_data.store.locks import in_use
    from lope_data.store.store import Store

    console = SafeConsole()
    check_tag(name)
    where = Store(store)
    with in_use(where, console.print):
        if delete:
            _delete(where, ref, name, console)
            return
        version = where.resolve(ref)
        dataset, wanted = version.manifest.name, version.manifest.version
        if where.find(dataset, wanted) is None:
            raise StoreError(f"{version.folder} is not in the store {where.root}; tags are for versions in it")
        now = where.refs(dataset).get(name)
        if now not in (None, wanted) and not force:
            raise StoreError(f"{dataset}@{name} is {dataset}@{now}; move it to {wanted} with --force")
        where.set_ref(dataset, name, wanted)
    console.print(f"{dataset}@{name} is {version.ref}", markup=False)


def _delete(store: Store, ref: str, name: str, console: Console) -> None:
    """By the dataset's name, so that a damaged version's tag can be taken away too."""
    dataset, _, wanted = ref.partition("@")
    now = store.refs(check_name(dataset)).get(name)
    if now is None:
        raise StoreError(f"{dataset} has no tag {name!r}")
    if wanted and store.locate(ref).name != now:
        raise StoreError(f"{dataset}@{name} is {dataset}@{now}, not {ref}")
    store.drop_ref(dataset, name)
    console.print(f"{dataset}@{name} is gone; it was {dataset}@{now}", markup=False)

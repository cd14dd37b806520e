"""`verify`: whether a version, and what it was made from, is as it was written."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from lope_common.shown import SafeConsole
from lope_data.cli.app import ImportOption, RefArgument, StoreOption, WorkersOption, app
from lope_data.errors import StoreError

_EXAMPLES = """
[bold]Examples[/bold]

  python -m lope_data verify sample-hynoise

  python -m lope_data verify sample-hynoise@paper --replay

  python -m lope_data verify nois --replay --source data.jsonl    [dim]# where the source is now[/dim]

  python -m lope_data verify nois --replay --import shout.py      [dim]# made with an op of your own[/dim]

[dim]Exit code: 0 if all is as it was written, 1 if not, 2 for what cannot be checked.[/dim]
"""


@app.command(epilog=_EXAMPLES)
def verify(
    ref: RefArgument,
    replay: Annotated[
        bool, typer.Option("--replay", help="Build it all again from the source, and compare the digests.")
    ] = False,
    source: Annotated[
        str | None, typer.Option(help="Where the source is, for --replay; default: where it was.", show_default=False)
    ] = None,
    imports: ImportOption = None,
    store: StoreOption = None,
    workers: WorkersOption = None,
) -> None:
    """Checks every file, the rows and the edits of a version and of all it was made from, by their hashes."""
    from lope_common.places import is_path
    from lope_common.progress import bar
    from lope_common.shown import safe
    from lope_data.builds.replay import replay as replayed
    from lope_data.noise.imports import import_ops
    from lope_data.sources import SourceIndex
    from lope_data.store.store import Store
    from lope_data.store.verify import Finding, verify_link, verify_version
    from lope_data.store.version import Version

    if source is not None and not replay:
        raise StoreError("--source is for --replay, which reads it")
    if imports and not replay:
        raise StoreError("--import is for --replay, which makes the noise again")
    import_ops(imports)
    console = SafeConsole()
    where = Store(store)
    checked: list[Version] = []
    findings: list[Finding] = []
    absent = ""
    with bar() as shown:
        folder: Path | None = where.locate(ref)
        if folder is not None and not folder.is_dir():
            raise StoreError(f"{folder} is not a version: there is no such folder")
        while folder is not None:
            version, found = verify_version(folder, shown.progress)
            findings += found
            if version is None:
                break
            checked.append(version)
            place = (folder.absolute().parent.name, folder.name)
            if len(checked) == 1 and not is_path(ref) and place != (version.manifest.name, version.manifest.version):
                findings.append(Finding(version.ref, "manifest.json", f"stands in {'/'.join(place)}"))
            try:
                parent = version.parent
            except StoreError as error:
                link = version.manifest.parents[0]
                if (folder.absolute().parents[1] / link.name / link.version / "manifest.json").is_file():
                    findings.append(Finding(version.ref, "parent", str(error)))
                else:
                    absent = str(error)
                break
            if parent is not None:
                findings += verify_link(version, parent)
            folder = None if parent is None else parent.folder
        if replay and not findings:
            if absent:
                raise StoreError(f"cannot replay: {absent}")
            head = checked[-1].manifest
            source = source or SourceIndex(where.root).find(head.source.fingerprint)
            curated = head.kind == "ingest" and head.curated is not None  # of a version, which is in a store
            if source is None and not curated:
                raise StoreError(
                    f"cannot replay: it is not known where the source {head.source.name!r} is; say --source, or, if it "
                    "was an object in memory, build on it again in Python"
                )
            threads = workers or os.cpu_count() or 1
            findings += replayed(checked[0], source or "", threads, shown.progress, shown.notice, where.root)
    for finding in findings:
        text = safe(f"{finding.ref}  {finding.where}: {finding.what}")
        console.print(text, style="red", markup=False, soft_wrap=True)
    broken = {finding.ref for finding in findings}
    for version in checked:
        if version.ref not in broken:
            files = len(version.manifest.files)
            again = ", and comes out the same when built again" if replay and not findings else ""
            console.print(f"{version.ref}: {files:,} files as they were written{again}", style="green", soft_wrap=True)
    if absent:
        console.print(f"not checked: {absent}", style="yellow", markup=False, soft_wrap=True)
    if findings:
        console.print("damaged: build it again, or import it from a copy", style="bold red")
        raise typer.Exit(1)

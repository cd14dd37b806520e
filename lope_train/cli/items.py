"""`items`: a task's questions, for noise to be put on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from lope_common.cli import path
from lope_common.files import write_whole
from lope_common.shown import SafeConsole
from lope_train.cli.app import OUTPUT, JsonOption, app

_EXAMPLES = """
[bold]Examples[/bold]

  python -m lope_train items piqa --data-dir ./data --out piqa.jsonl

  python -m lope_train items mmlu_history --data-dir ./data --out history.jsonl --json

Then:

  python -m lope_data ingest piqa.jsonl --recipe items

  python -m lope_data build --from piqa --name piqa-noisy --ratio 1.0 --mix char=1,word=1
"""


@app.command(epilog=_EXAMPLES)
def items(
    task: Annotated[str, typer.Argument(metavar="TASK", help="A task or group of local files.", show_default=False)],
    data_dir: Annotated[
        Path,
        typer.Option(
            metavar="DIR",
            parser=path,
            help="Folder with piqa/, siqa/, arc_easy/, mmlu/, gsm8k/.",
            rich_help_panel="Data",
        ),
    ],
    out: Annotated[
        Path, typer.Option(metavar="FILE.jsonl", parser=path, help="Is written over.", rich_help_panel=OUTPUT)
    ],
    as_json: JsonOption = False,
) -> None:
    """Writes the items of a task, a line each: id, question, choices and answer.

    Of gsm8k: id, instruction, input and output. [bold]evaluate --noise[/bold] takes versions that are built on them.
    """
    from lope_train.evaluation.tasks.local import load_task

    rows = load_task(task, data_dir)
    left_out = ("lope_row_id", "lope_shape", "subject")
    lines = [
        json.dumps({"id": row["lope_row_id"], **{key: value for key, value in row.items() if key not in left_out}})
        for row in rows
    ]
    out.parent.mkdir(parents=True, exist_ok=True)
    write_whole(out, "\n".join(lines) + "\n")
    console = SafeConsole(stderr=as_json)
    console.print(f"{out}  ({len(rows):,} items of {task})", markup=False, soft_wrap=True)
    if as_json:
        print(json.dumps({"path": str(out), "task": task, "items": len(rows)}))

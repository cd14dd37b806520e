"""The ops for the terminal: all in a table, or one in full with an example made on the spot."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
from rich import box
from rich.console import RenderableType
from rich.markup import escape
from rich.table import Table

from lope_common.shown import safe
from lope_data.errors import LopeDataError
from lope_data.inject.planning import noisy_rows
from lope_data.noise.catalogue import OpInfo
from lope_data.recipe.recipe import Recipe, validated
from lope_data.report.sample_rows import before_and_after_text, samples
from lope_data.rows.canonical import ingest_table
from lope_data.rows.columns import Columns

_EXAMPLES: dict[str, list[dict[str, Any]]] = {
    "text": [
        {
            "instruction": "Which of these three numbers is the largest? Answer quickly, please.",
            "input": "The first is 1,204, the second is 976.5 and the last one is 88.",
            "output": "The largest number is 1,204.",
        }
    ],
    "response": [
        {"instruction": "How many legs do 12 spiders have?", "output": "Each spider has 8 legs, so they have 96 legs."},
        {"instruction": "Name a colour of the sky.", "output": "On a clear day the sky is blue."},
        {"instruction": "Say hello in French.", "output": "Bonjour, which means good day."},
    ],
    "choice": [{"question": "Which one is a fruit?", "choices": ["apple", "hammer", "cloud"], "answer": 0}],
    "class": [
        {"text": "My parcel is late.", "label": "delivery"},
        {"text": "I was charged twice.", "label": "billing"},
        {"text": "The app does not start.", "label": "technical"},
    ],
}


def op_table(ops: Sequence[OpInfo], offered: Mapping[str, str]) -> Table:
    """One line an op; `offered` are those of installed packages that nothing has named yet, and whose they are."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    table.add_column("op", no_wrap=True)
    for header in ("what it does", "unit of its level"):
        table.add_column(header)
    for op in ops:
        of = f"{op.module}: " if op.module else ""
        table.add_row(op.name, escape(of + op.summary), escape(op.unit))
    for name, package in offered.items():
        table.add_row(escape(safe(name)), escape(safe(f"{package}: imported when it is named")), "")
    return table


def op_card(op: OpInfo) -> Iterator[RenderableType]:
    """One op in full."""
    of = f", of {op.module}" if op.module else ""
    yield f"[bold]{op.name}[/bold]  [dim]version {op.version}{escape(of)}[/dim]"
    yield escape(op.summary) + "."
    for paragraph in op.details.split("\n\n"):
        if paragraph:
            yield "\n" + escape(paragraph)
    yield ""
    facts = Table.grid(padding=(0, 2))
    facts.add_row("level", _level(op))
    facts.add_row("needs", escape(op.needs))
    if not op.in_default:
        facts.add_row("mix", "only by its own name, never as part of its level")
    for parameter in op.parameters:
        default = "required" if parameter.required else f"default: {parameter.default!r}"
        facts.add_row(parameter.name, escape(f"{parameter.about} ({default})"))
    yield facts
    yield "\n[dim]example[/dim]"
    yield _example(op)
    option, argument = (f" --import {op.module}", f', imports="{op.module}"') if op.module else ("", "")
    yield f"[dim]python -m lope_data build --mix {op.name}=1{option}[/dim]"
    if op.kind == "text":
        yield f'[dim]lope_data.corrupt(texts, "{op.name}", level=0.1{argument})[/dim]'


def _level(op: OpInfo) -> str:
    if op.kind != "text":
        return f"does not apply: the unit is the row's {op.kind}, which changes"
    return f"the share of a row's units that change, in a build at least one; its unit: {op.unit}"


def _example(op: OpInfo) -> RenderableType:
    rows = _EXAMPLES[op.kind]
    table = ingest_table(
        pa.table({name: [row[name] for row in rows] for name in rows[0]}), "example", None, Columns(), None, 0
    )
    recipe = {"steps": [{"ratio": 1.0, "level": 0.15, "mix": {op.name: 1.0}}]}
    try:
        done = noisy_rows(table, validated(Recipe, recipe, "example"))
    except LopeDataError as error:
        return escape(f"  not here: {error}")
    shown = samples(done.noisy, done.edits, 1)
    return before_and_after_text(shown[0]) if shown else escape(f"  not here: the example lacks {op.needs}")

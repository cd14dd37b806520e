"""A study's accuracies and verdicts on a terminal."""

from __future__ import annotations

from rich import box
from rich.table import Table
from rich.text import Text

from lope_common.shown import neutral
from pipelines.page.tables import Cell, Column, accuracy_tables
from pipelines.results.findings import Comparison, Key, analyse
from pipelines.results.labels import arm_label, points
from pipelines.results.power import POWER
from pipelines.study.outcome import Outcome

_STYLES = {"at floor": "dim", "not significant": "dim", "failed": "bold red", "no result": "dim"}


def summary_table(outcome: Outcome) -> Table:
    """Rows are arm, condition and model, columns tasks: accuracy in % and the difference from the reference.

    Questions are clean; differences of modes and noise are on the page.
    """
    findings = analyse(outcome)
    against = {one.key: one for one in findings.of("arm")}
    tables = [table for table in accuracy_tables(outcome, findings) if table.noise == 0]
    reference = arm_label(outcome.study, outcome.study.reference)
    shown = Table(
        title=_text(
            f"accuracy in % [95 % interval]; difference from {reference}, in points\n"
            f"sees: the smallest difference found with power {POWER:g}, two-sided, before Holm's correction"
        ),
        title_justify="left",
        box=box.SIMPLE_HEAD,
    )
    several = len({table.model for table in tables}) > 1
    for name in ("model", "trained on", "method") if several else ("trained on", "method"):
        shown.add_column(name, overflow="fold")
    columns = {column.task: column for table in tables for column in table.columns}
    for column in columns.values():
        shown.add_column(_text(column.label), justify="right", overflow="fold")
    for table in tables:
        model = [_text(table.model)]
        for condition, rows in table.groups:
            for row in rows:
                cells = {c.task: cell for c, cell in zip(table.columns, row.cells, strict=True)}
                label = f"{row.label}\n{row.mode}" if row.mode else row.label
                parts = [_cell(cells.get(task), against) for task in columns]
                shown.add_row(*model[:several], _text(condition), _text(label), *parts)
        chance = {column.task: column for column in table.columns}
        shown.add_section()
        shown.add_row(*model[:several], "", "chance", *(_chance(chance.get(task)) for task in columns), style="dim")
        shown.add_section()
    return shown


def _cell(cell: Cell | None, against: dict[Key, Comparison]) -> Text:
    if cell is None or cell.accuracy is None:
        why = cell.why if cell else ""
        return Text(why, style=_STYLES.get(why, ""))
    one = cell.accuracy
    low, high = one.interval
    text = Text(f"{100 * one.mean:.1f} [{100 * low:.1f}, {100 * high:.1f}]")
    if cell.seeds:
        text.append(f"\n{cell.seeds}", style="bold red")
    if found := against.get(one.key):
        style = "bold green" if found.significant else "dim"
        text.append(f"\n{points(found.difference)}: {found.verdict}", style=style)
        if found.holm is not None and found.detectable is not None:
            text.append(f"; sees {100 * found.detectable:.1f}", style="dim")
    return text


def _chance(column: Column | None) -> str:
    if column is None:
        return ""
    return "–" if column.chance is None else f"{100 * column.chance:.1f}"


def _text(text: str) -> Text:
    return Text(neutral(text))

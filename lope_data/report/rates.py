"""Rates, asked against realised, as tables and lines for the terminal. Reads manifests only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from lope_common.shown import safe

if TYPE_CHECKING:
    from lope_data.store.manifest_model import Line, Manifest


def plain_table(title: str | None = None) -> Table:
    """A table as all of ours look: no edges, a line under the head. Its title is no markup."""
    shown = None if title is None else Text(safe(title))
    return Table(title=shown, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)


def show_rates(console: Console, manifest: Manifest) -> None:
    """Prints what a build realised: the tables of ops, and what was left untouched and why."""
    console.print(manifest.ref, style="bold", highlight=False)
    for table in ops_tables(manifest.report):
        console.print(table)
    for line in remarks(manifest):
        console.print(Text(safe(line)), style="dim", soft_wrap=True)
    console.print()


def ops_tables(report: Sequence[Line]) -> list[Table]:
    """A table for each step: for each op rows asked and dealt; the level expected under the floor of one unit, the one
    realised with half its 95 % interval, and the character error rate.
    """
    return [_ops_table(lines) for lines in by_step(report).values()]


def by_step(report: Sequence[Line]) -> dict[str, list[Line]]:
    """The lines of each step, in order."""
    steps: dict[str, list[Line]] = {}
    for line in report:
        steps.setdefault(line.step, []).append(line)
    return steps


def _ops_table(lines: Sequence[Line]) -> Table:
    table = plain_table(f"{lines[0].step}, level {lines[0].level:.4g}")
    table.add_column("op", no_wrap=True)
    for header in ("rows\nasked", "rows", "level\nexpected", "realised\nwith 95 %", "CER", "units"):
        table.add_column(header, justify="right", no_wrap=True)
    for line in lines:
        table.add_row(
            Text(safe(line.op)),
            f"{line.rows_asked:,.1f}",
            f"{line.rows:,}",
            expected(line),
            realised(line),
            cer(line),
            Text(safe(f"{line.units:,} {_short(line.unit)}s")),
        )
    return table


def brief_table(lines: Sequence[Line]) -> Table:
    """The table of a step where there is little room: rows, and levels expected and realised."""
    table = plain_table()
    table.show_edge = False
    table.add_column("op")
    for header in ("rows", "expected", "realised", "CER"):
        table.add_column(header, justify="right", no_wrap=True)
    for line in lines:
        table.add_row(Text(safe(line.op)), f"{line.rows:,}", expected(line), realised(line), cer(line))
    return table


def _short(unit: str) -> str:
    """`word with a known misspelling` in a narrow column."""
    noun = (unit.split() or [""])[0]
    return {"character": "char"}.get(noun, noun)


def expected(line: Line) -> str:
    """The share of units to be changed, under the floor of one a row."""
    return f"{line.expected / line.units:.1%}" if line.units else "–"


def realised(line: Line) -> str:
    """The share of units changed, with half its 95 % interval."""
    if not line.units:
        return "–"
    text = f"{line.changed / line.units:.1%}"
    if line.interval is None or line.unit == "target":
        return text
    low, high = line.interval
    return f"{text} ±{50 * (high - low):.1f}"


def cer(line: Line) -> str:
    """The character error rate."""
    return "–" if line.cer is None else f"{line.cer:.1%}"


def remarks(manifest: Manifest) -> list[str]:
    """What was left untouched and why: a sentence each, untrusted as the manifest is."""
    touched, rows = manifest.touched, manifest.rows
    lines = [f"{touched:,} of {rows:,} rows touched, {rows - touched:,} left as they were."]
    if manifest.kind == "build" and manifest.shortfall:
        lines.append(f"{manifest.shortfall:,} rows fewer than asked: no op of the mix can change more.")
    for line in manifest.report:
        op, examined, eligible = line.op, line.examined, line.eligible
        if examined > eligible:
            lines.append(f"  {op} could change {eligible:,} of {examined:,} ranked rows: it needs {line.needs}")
        if line.rows < line.rows_asked - 1:
            lines.append(
                f"  {op} got {line.rows:,} rows of the {line.rows_asked:,.1f} of its share; others took the rest"
            )
        if line.cer_unmeasured:
            lines.append(f"  {op}: the CER leaves out {line.cer_unmeasured:,} texts that are very long")
    return lines

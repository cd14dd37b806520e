"""The difference of two versions for the terminal, in 80 columns, with colours or with marks."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text

from lope_common.shown import brief, changed, has_colours, safe, say
from lope_data.report.difference import Difference, Keys
from lope_data.report.rates import cer, plain_table, realised

if TYPE_CHECKING:
    from lope_data.report.diff_rows import Pair, RowDifference
    from lope_data.store.manifest_model import Line

_AROUND = 40  # characters shown on each side of a change
_CHANGE = 300  # characters shown of one
_CHANGES = 20  # changes shown of one text
_VALUE = 300  # characters shown of a value of a recipe
_LEAVES = 20  # places shown of one row
_MISSING = object()


def show_difference(console: Console, difference: Difference, refs: tuple[str, str]) -> None:
    """Prints what differs in the manifests."""
    for side, ref in zip("AB", refs, strict=True):
        say(console, Text(f"{side}  ").append(ref, style="bold"))
    if difference.same_content:
        say(console, "The same content: the same rows and edits.", style="bold green")
    _show_keys(console, "manifest", difference.facts)
    _show_keys(console, "recipe", difference.recipe)
    if difference.rates:
        _show_rates(console, difference)


def _show_keys(console: Console, title: str, keys: Keys) -> None:
    console.print()
    if not (keys.changed or keys.only_a or keys.only_b):
        say(console, Text(title, style="bold").append(f": the same, {keys.same:,} keys", style="not bold"))
        return
    head = f"{len(keys.changed):,} changed, {len(keys.only_a):,} only in A, {len(keys.only_b):,} only in B"
    say(console, Text(title, style="bold").append(f": {keys.same:,} keys the same, {head}", style="not bold"))
    colours = has_colours(console)
    for key in sorted({*keys.changed, *keys.only_a, *keys.only_b}):
        line = Text(f"{safe(key)}: ", style="")
        before, after = keys.changed.get(key, (keys.only_a.get(key), keys.only_b.get(key)))
        _append(line, brief(before or "", _VALUE), brief(after or "", _VALUE), colours, apart=" ")
        say(console, line, indent=2)


def _append(line: Text, a: str, b: str, colours: bool, apart: str = "") -> None:
    """What only one side has, red and struck out for A, green for B; in marks where there are no colours."""
    before, after = changed(a, b)
    if before:
        line.append(before, style="red strike") if colours else line.append(f"[-{before}-]")
    if before and after:
        line.append(apart)
    if after:
        line.append(after, style="bold green") if colours else line.append(f"{{+{after}+}}")


def _show_rates(console: Console, difference: Difference) -> None:
    steps: dict[str, list[tuple[str, Line | None, Line | None]]] = {}
    for step, op, a, b in difference.rates:
        steps.setdefault(step, []).append((op, a, b))
    for step, lines in steps.items():
        table = plain_table(f"step {step}")
        table.show_edge = False
        table.add_column("op")
        for header in ("rows\nA", "rows\nB", "realised\nA", "realised\nB", "CER\nA", "CER\nB"):
            table.add_column(header, justify="right", no_wrap=True)
        for op, a, b in lines:
            rows, level, rate = ([show(line) if line else "" for line in (a, b)] for show in (_rows, realised, cer))
            table.add_row(Text(safe(op)), *rows, *level, *rate)
        console.print()
        console.print(table)


def _rows(line: Line) -> str:
    return f"{line.rows:,}"


def show_rows(console: Console, found: RowDifference) -> None:
    """Prints which rows and columns differ, then some of the rows."""
    console.print()
    order = "" if found.same_order else ", in another order"
    say(console, Text("rows", style="bold").append(f": {found.common:,} in both{order}", style="not bold"))
    for side, count, ids in (("A", found.only_a, found.ids_only_a), ("B", found.only_b, found.ids_only_b)):
        if count:
            shown = ", ".join(safe(i[:64]) for i in ids) + (", …" if count > len(ids) else "")
            say(console, f"{count:,} only in {side}: {shown}", indent=2)
    if not found.common:
        return
    say(console, f"{found.common - found.different:,} with equal values, {found.different:,} with others", indent=2)
    for name, count in found.columns.items():
        kinds = found.types.get(name)
        note = f" ({kinds[0]} in A, {kinds[1]} in B)" if kinds else ""
        say(console, safe(f"{name}: {count:,}{note}"), indent=4)
    for side, columns in (("A", found.columns_only_a), ("B", found.columns_only_b)):
        if columns:
            names = ", ".join(f"{name} ({kind})" for name, kind in columns.items())
            say(console, safe(f"columns only in {side}, not compared: {names}"), indent=2)
    both, a, b, neither = (found.touched[key] for key in ("both", "a", "b", "neither"))
    say(
        console,
        f"touched: {both:,} in both ({found.same_edits:,} with the same edits), {a:,} only in A, {b:,} only in B, "
        f"{neither:,} in neither",
        indent=2,
    )
    for pair in found.pairs:
        console.print()
        _show_pair(console, pair)
    if 0 < len(found.pairs) < found.different:
        console.print()
        say(console, f"{found.different - len(found.pairs):,} more such rows: --rows N", style="dim")


def _show_pair(console: Console, pair: Pair) -> None:
    ops = " / ".join(", ".join(map(safe, ops)) or "untouched" for ops in pair.ops)
    say(console, Text(safe(pair.row_id), style="bold").append(f"  {ops}", style="dim"))
    places = [place for name, (a, b) in pair.values.items() for place in _places(name, a, b)]
    for path, a, b in places[:_LEAVES]:
        line = Text(f"{safe(path)}: ", style="")
        line.append_text(_changed(a, b, has_colours(console)))
        say(console, line, indent=2)
    if len(places) > _LEAVES:
        say(console, f"… {len(places) - _LEAVES:,} more places of this row", indent=2, style="dim")


def _places(path: str, a: Any, b: Any) -> Iterator[tuple[str, Any, Any]]:
    """The texts and numbers inside a value that differ."""
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        for key in {**a, **b}:
            yield from _places(f"{path}.{key}", a.get(key), b.get(key))
    elif isinstance(a, list) and isinstance(b, list):
        for i, (x, y) in enumerate(zip_longest(a, b, fillvalue=_MISSING)):
            yield from _places(f"{path}[{i}]", x, y)
    elif type(a) is not type(b) or a != b:
        yield path, a, b


def _changed(a: Any, b: Any, colours: bool) -> Text:
    line = Text()
    if not (isinstance(a, str) and isinstance(b, str)):
        before, after = (_cut("" if value is _MISSING else _as_text(value)) for value in (a, b))
        _append(line, before, after, colours)
        return line
    from lope_data.report.pieces import text_pieces

    pieces = text_pieces(a, b)
    changes = 0
    for i, (kept, before, after) in enumerate(pieces):
        if kept:
            line.append(safe(_around(kept, first=i == 0, last=i == len(pieces) - 1)))
            continue
        changes += 1
        if changes > _CHANGES:
            return line.append("… more changes", style="dim")
        _append(line, _cut(before), _cut(after), colours)
    return line


def _as_text(value: Any) -> str:
    """A value as it would stand in JSON, so that `"5"`, `5` and `null` are distinct."""
    return json.dumps(value, ensure_ascii=False, default=str)


def _cut(text: str) -> str:
    return text if len(text) <= _CHANGE else f"{text[:_CHANGE]}… {len(text) - _CHANGE:,} characters more"


def _around(kept: str, *, first: bool, last: bool) -> str:
    head, tail = 0 if first else _AROUND, 0 if last else _AROUND
    if len(kept) <= head + tail + _AROUND:
        return kept
    return f"{kept[:head]} … {kept[len(kept) - tail :]}"

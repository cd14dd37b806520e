"""What a build did, for the terminal: a table of ops, and rows before and after with the edits coloured."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from lope_data.registry import level_of
from lope_data.shapes import OPS, ROW_ID, SHAPE, SHAPES
from lope_data.version import Version

_BIDI = (0x061C, 0x200E, 0x200F, *range(0x2028, 0x202F), *range(0x2066, 0x206A))  # would reorder or break the line
_CONTROL = dict.fromkeys((*range(32), *range(127, 160), *_BIDI), "�") | {10: "⏎"}


def show_build(console: Console, version: Version, parent: Version, examples: int = 5) -> None:
    """Prints the tables of ops, what was left untouched and why, and some touched rows, clean beside noisy."""
    manifest = version.manifest
    console.print(f"{manifest['name']}@{manifest['version']}", style="bold", highlight=False)
    for table in ops_tables(manifest["report"]):
        console.print(table)
    for line in remarks(manifest):
        console.print(line, style="dim", soft_wrap=True)
    console.print()
    show_samples(console, sample_edits(version.rows, parent.rows, version.edits, examples))


def show_samples(console: Console, samples: Sequence[Mapping[str, Any]]) -> None:
    """Prints rows before and after."""
    for sample in samples:
        console.print(before_after(sample))


def ops_tables(report: Sequence[Mapping[str, Any]]) -> list[Table]:
    """A table for each step: for each op rows asked and dealt; the level expected under the floor of one unit, the one
    realised with half its 95 % interval, and the character error rate.
    """
    return [_ops_table([line for line in report if line["step"] == step]) for step in dict.fromkeys(_steps(report))]


def _steps(report: Sequence[Mapping[str, Any]]) -> list[str]:
    return [line["step"] for line in report]


def _ops_table(lines: Sequence[Mapping[str, Any]]) -> Table:
    title = f"{lines[0]['step']}, level {lines[0]['level']:.4g}"
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    table.add_column("op", no_wrap=True)
    for header in ("rows\nasked", "rows", "level\nexpected", "realised\nwith 95 %", "CER", "units"):
        table.add_column(header, justify="right", no_wrap=True)
    for line in lines:
        table.add_row(
            line["op"],
            f"{line['rows_asked']:,.1f}",
            f"{line['rows']:,}",
            f"{line['expected'] / line['units']:.1%}" if line["units"] else "–",
            _realised(line),
            "–" if line["cer"] is None else f"{line['cer']:.1%}",
            f"{line['units']:,} {_short(line['unit'])}s",
        )
    return table


def _short(unit: str) -> str:
    """`word with a known misspelling` in a narrow column."""
    noun = unit.split()[0]
    return {"character": "char"}.get(noun, noun)


def _realised(line: Mapping[str, Any]) -> str:
    if not line["units"]:
        return "–"
    text = f"{line['changed'] / line['units']:.1%}"
    if line["interval"] is None or line["unit"] == "target":
        return text
    low, high = line["interval"]
    return f"{text} ±{50 * (high - low):.1f}"


def remarks(manifest: Mapping[str, Any]) -> list[str]:
    """What was left untouched and why: a sentence each."""
    touched, rows = manifest["touched"], manifest["rows"]
    lines = [f"{touched:,} of {rows:,} rows touched, {rows - touched:,} left as they were."]
    if manifest.get("shortfall"):
        lines.append(f"{manifest['shortfall']:,} rows fewer than asked: no op of the mix can change more.")
    for line in manifest["report"]:
        op, examined, eligible = line["op"], line["examined"], line["eligible"]
        if examined > eligible:
            lines.append(f"  {op} could change {eligible:,} of {examined:,} ranked rows: it needs {line['needs']}")
        if line["rows"] < line["rows_asked"] - 1:
            lines.append(
                f"  {op} got {line['rows']:,} rows of the {line['rows_asked']:,.1f} of its share; others took the rest"
            )
        if line["cer_unmeasured"]:
            lines.append(f"  {op}: the CER leaves out {line['cer_unmeasured']:,} texts that are very long")
    return lines


def sample_edits(rows: pa.Table, clean: pa.Table, edits: pa.Table, count: int) -> list[dict[str, Any]]:
    """Touched rows, the levels in turn, and for each text that changed what it was before and after the first step.

    Returns:
        Dictionaries `{row_id, ops, prompt, columns: [{path, pieces: [(kept, before, after)]}]}`; `prompt` is the row's
        clean text where only its target changed, else empty, and an answer is shown as its choice.
    """
    wanted: list[str] = []
    found = pc.unique(edits["op"]).to_pylist()
    for op in _alternating(found):
        ids = [i for i in pc.unique(edits.filter(pc.equal(edits["op"], op))["row_id"]).to_pylist() if i not in wanted]
        wanted += ids[: max(1, count // max(len(found), 1))]
        if len(wanted) >= count:
            break
    samples = []
    for row_id in wanted[:count]:
        place = pc.index(rows[ROW_ID], row_id).as_py()
        mine = edits.filter(pc.equal(edits["row_id"], row_id)).to_pylist()
        mine = [edit for edit in mine if edit["step"] == mine[0]["step"]]  # later steps' places are in text not kept
        before = clean.slice(place, 1).to_pylist()[0]
        columns = [
            {"path": path, "pieces": _pieces(value_at(before, path), [edit for edit in mine if edit["path"] == path])}
            for path in dict.fromkeys(edit["path"] for edit in mine)
        ]
        for column in columns:
            if column["path"] == "answer":
                column["pieces"] = [("", *(str(before["choices"][int(i)]) for i in column["pieces"][0][1:]))]
        samples.append(
            {
                "row_id": row_id,
                "ops": rows.slice(place, 1)[OPS].to_pylist()[0],
                "prompt": _prompt(before) if all(level_of(edit["op"]) == "label" for edit in mine) else "",
                "columns": columns,
            }
        )
    return samples


def value_at(row: Mapping[str, Any], path: str) -> Any:
    """The value that a path of an edit names: `input`, `messages[3].content`."""
    value: Any = row
    for name, index in re.findall(r"([^.\[\]]+)|\[(\d+)\]", path):
        value = value[name] if name else value[int(index)]
    return value


def _prompt(row: Mapping[str, Any]) -> str:
    """What a row asks: its first input, of a chat what the user said last."""
    shape = SHAPES[row[SHAPE]]
    if shape.name != "chat":
        return str(row[shape.key])
    said = [m for m in row["messages"] or () if isinstance(m, Mapping) and m.get("role") == "user"]
    return str(said[-1]["content"]) if said else ""


def _alternating(ops: Sequence[str]) -> list[str]:
    """One op of each level in turn, so that a few examples show every level."""
    groups: dict[str, list[str]] = {}
    for op in ops:
        groups.setdefault(level_of(op), []).append(op)
    longest = max(map(len, groups.values()), default=0)
    return [group[i] for i in range(longest) for group in groups.values() if i < len(group)]


def _pieces(value: Any, edits: list[dict[str, Any]]) -> list[tuple[str, str, str]]:
    """(kept, before, after) runs of one value under the edits of one op: kept text has empty before and after."""
    data = str(value).encode()
    pieces, at = [], 0
    for edit in edits:
        pieces.append((data[at : edit["start"]].decode(), "", ""))
        pieces.append(("", edit["before"], edit["after"]))
        at = edit["end"]
    return [piece for piece in (*pieces, (data[at:].decode(), "", "")) if any(piece)]


def before_after(sample: Mapping[str, Any]) -> Text:
    """One row of `sample_edits`, what goes in red and what comes in green."""
    text = Text()
    text.append(", ".join(sample["ops"]), style="bold")
    if sample["prompt"]:
        prompt = Text(_safe(sample["prompt"]))
        prompt.truncate(240, overflow="ellipsis")
        text.append("\n  of: ", style="dim").append_text(prompt)
    for column in sample["columns"]:
        clean, noisy = Text(), Text()
        for kept, before, after in column["pieces"]:
            clean.append(_safe(kept)).append(_safe(before), style="red strike")
            noisy.append(_safe(kept)).append(_safe(after), style="bold green")
        for name, line in (("clean", clean), ("noisy", noisy)):
            line.truncate(240, overflow="ellipsis")
            text.append(f"\n  {column['path']}, {name}: ", style="dim").append_text(line)
    return text.append("\n")


def _safe(text: str) -> str:
    """Text from a dataset without what could steer a terminal."""
    return text.translate(_CONTROL)

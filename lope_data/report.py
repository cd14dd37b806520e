"""What a build did, for the terminal: the table of ops, and rows before and after with the edits coloured."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow.compute as pc
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from lope_data.shapes import OPS, ROW_ID, SHAPE, SHAPES
from lope_data.store import Version

_CONTROL = {code: "�" for code in (*range(0x20), *range(0x7F, 0xA0)) if chr(code) != "\n"} | {10: "⏎"}


def show_build(console: Console, version: Version, parent: Version, examples: int = 5) -> None:
    """Prints the table of ops, what was left untouched and why, and some touched rows, clean beside noisy."""
    manifest = version.manifest
    console.print(ops_table(manifest))
    untouched = manifest["rows"] - manifest["touched"]
    console.print(f"{manifest['touched']:,} of {manifest['rows']:,} rows touched, {untouched:,} left as they were.")
    for line in manifest["report"]:
        if passed_over := line["examined"] - line["eligible"]:
            reason = (
                f"  {line['op']} passed over {passed_over:,} of {line['examined']:,} rows: it needs {line['needs']}"
            )
            console.print(reason, style="dim", soft_wrap=True)
    console.print()
    for sample in sample_edits(version, parent, examples):
        console.print(_before_after(sample))


def ops_table(manifest: Mapping[str, Any]) -> Table:
    """For each op: rows asked and dealt; the level asked, expected under the floor of one unit, and realised."""
    title = f"{manifest['name']}@{manifest['version']}"
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    table.add_column("op", no_wrap=True)
    for header in ("rows\nasked", "rows", "level\nasked", "expected", "realised", "of"):
        table.add_column(header, justify="right", no_wrap=True)
    for line in manifest["report"]:
        units = line["units"]
        table.add_row(
            line["op"],
            f"{line['rows_asked']:,.1f}",
            f"{line['rows']:,}",
            "–" if line["unit"] == "target" else f"{line['level']:.1%}",
            f"{line['expected'] / units:.1%}" if units else "–",
            f"{line['changed'] / units:.1%}" if units else "–",
            f"{units:,} {line['unit']}s",
        )
    return table


def sample_edits(version: Version, parent: Version, count: int) -> list[dict[str, Any]]:
    """Touched rows, the levels in turn, and for each column that changed its text before and after the first step.

    Returns:
        Dictionaries `{row_id, ops, prompt, columns: [{path, pieces: [(kept, before, after)]}]}`; `prompt` is the row's
        clean text where only its target changed, else empty, and an answer is shown as its choice.
    """
    rows, clean = version.rows, parent.rows
    edits = version.edits
    wanted: list[str] = []
    for op in _alternating([line["op"] for line in version.manifest["report"]]):
        ids = [i for i in pc.unique(edits.filter(pc.equal(edits["op"], op))["row_id"]).to_pylist() if i not in wanted]
        wanted += ids[:1]
        if len(wanted) == count:
            break
    samples = []
    for row_id in wanted:
        place = pc.index(rows[ROW_ID], row_id).as_py()
        mine = edits.filter(pc.equal(edits["row_id"], row_id)).to_pylist()
        mine = [edit for edit in mine if edit["step"] == mine[0]["step"]]  # later steps' places are in text not kept
        before = clean.slice(place, 1).to_pylist()[0]
        shape = SHAPES[before[SHAPE]]
        columns = [
            {"path": path, "pieces": _pieces(before[path], [edit for edit in mine if edit["path"] == path])}
            for path in dict.fromkeys(edit["path"] for edit in mine)
        ]
        for column in columns:
            if column["path"] == "answer":
                column["pieces"] = [("", *(str(before["choices"][int(i)]) for i in column["pieces"][0][1:]))]
        only_target = all(column["path"] == shape.target for column in columns)
        samples.append(
            {
                "row_id": row_id,
                "ops": rows.slice(place, 1)[OPS].to_pylist()[0],
                "prompt": before[shape.key] if only_target else "",
                "columns": columns,
            }
        )
    return samples


def _alternating(ops: list[str]) -> list[str]:
    """One op of each level in turn, so that a few examples show every level."""
    groups: dict[str, list[str]] = {}
    for op in ops:
        groups.setdefault(op.partition(".")[0], []).append(op)
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


def _before_after(sample: Mapping[str, Any]) -> Text:
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

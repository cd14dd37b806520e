"""Rows before and after noise, for the terminal, with the edits coloured."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from rich.console import Console
from rich.text import Text

from lope_common.shown import changed, safe
from lope_data.noise.registry import level_of
from lope_data.rows.shapes import OPS, ROW_ID, SHAPE, SHAPES


def show_samples(console: Console, samples: Sequence[Mapping[str, Any]]) -> None:
    """Prints rows before and after."""
    for sample in samples:
        console.print(before_after(sample))


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
    text.append(safe(", ".join(sample["ops"])), style="bold")
    if sample["prompt"]:
        prompt = Text(safe(sample["prompt"]))
        prompt.truncate(240, overflow="ellipsis")
        text.append("\n  of: ", style="dim").append_text(prompt)
    for column in sample["columns"]:
        clean, noisy = Text(), Text()
        for kept, before, after in column["pieces"]:
            took, put = changed(before, after)
            clean.append(safe(kept)).append(took, style="red strike")
            noisy.append(safe(kept)).append(put, style="bold green")
        for name, line in (("clean", clean), ("noisy", noisy)):
            line.truncate(240, overflow="ellipsis")
            text.append(f"\n  {safe(column['path'])}, {name}: ", style="dim").append_text(line)
    return text.append("\n")

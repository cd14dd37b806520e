"""Touched rows as they were and as they are, over all steps: the noisy rows, with their edits undone in them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, zip_longest
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from rich.console import Console
from rich.text import Text

from lope_common.conversations import role_of, usual_role
from lope_common.shown import changed, safe
from lope_data.errors import StoreError
from lope_data.noise.registry import level_of
from lope_data.report.pieces import Piece
from lope_data.report.statistics import EditStatistics, edit_shards
from lope_data.rows.fields import targets_of
from lope_data.rows.layout import Layout
from lope_data.rows.paths import value_at
from lope_data.rows.plain import messages_of, plain_rows, text_of_message
from lope_data.rows.shapes import OPS, ROW_ID, SHAPE, SHAPES
from lope_data.store.version import Version

_WIDTH = 240  # cells of a line on the terminal


@dataclass(frozen=True)
class Sample:
    """A touched row.

    Attributes:
        ops: what was done to it, in order.
        prompt: what the row asks, where only its target changed; else empty.
        texts: each text that changed: its path, and its pieces.
    """

    row_id: str
    ops: list[str]
    prompt: str
    texts: list[tuple[str, list[Piece]]]


def samples(rows: pa.Table, edits: pa.Table, count: int) -> list[Sample]:
    """Some of the touched rows, the levels in turn and their ops in turn.

    Args:
        rows: noisy, with their layout.
        edits: all of them, in the order of the rows.
    """
    ops = pc.unique(edits["op"]).to_pylist()
    ids = {op: pc.unique(edits.filter(pc.equal(edits["op"], op))["row_id"])[:count].to_pylist() for op in ops}
    return _samples(rows, [edits], _choose(ids, count))


def version_samples(version: Version, found: EditStatistics, count: int) -> list[Sample]:
    """The same of a version, whose edits need not be in memory all at once.

    Raises:
        StoreError: the edits cannot be read, or are not those of the rows.
    """
    try:
        return _samples(version.rows, edit_shards(version), _choose(found.first, count))
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise StoreError(
            f"the edits in {version.folder} are not those of its rows ({error}); remove it and build it again"
        ) from error


def show_samples(console: Console, samples: Iterable[Sample]) -> None:
    """Prints rows before and after."""
    for sample in samples:
        console.print(before_and_after_text(sample))


def before_and_after_text(sample: Sample) -> Text:
    """One row for the terminal, what goes in red and what comes in green."""
    text = Text()
    text.append(safe(", ".join(sample.ops)), style="bold")
    if sample.prompt:
        prompt = Text(safe(sample.prompt))
        prompt.truncate(_WIDTH, overflow="ellipsis")
        text.append("\n  of: ", style="dim").append_text(prompt)
    for path, pieces in sample.texts:
        clean, noisy = Text(), Text()
        for kept, before, after in pieces:
            took, put = changed(before, after)
            clean.append(safe(kept)).append(took, style="red strike")
            noisy.append(safe(kept)).append(put, style="bold green")
        for name, line in (("clean", clean), ("noisy", noisy)):
            line.truncate(_WIDTH, overflow="ellipsis")
            text.append(f"\n  {safe(path)}, {name}: ", style="dim").append_text(line)
    return text.append("\n")


def _samples(rows: pa.Table, shards: Iterable[pa.Table], wanted: Sequence[str]) -> list[Sample]:
    ids = pa.array(wanted, pa.string())
    edits: dict[str, list[dict[str, Any]]] = {}
    for shard in shards if wanted else ():
        for edit in shard.filter(pc.is_in(shard["row_id"], ids)).to_pylist():
            edits.setdefault(edit["row_id"], []).append(edit)
    kept = rows.filter(pc.is_in(rows[ROW_ID], ids))
    found = {row[ROW_ID]: row for row in plain_rows(kept)}
    targets = _targets(kept)
    layout = Layout.of(rows)
    return [_sample(found[row_id], edits[row_id], targets.get(row_id, {}), layout) for row_id in wanted]


@dataclass(frozen=True)
class _Target:
    """A target that is no text of its own: its text, as edits have it, and of a choice what can be chosen."""

    text: str | None
    choices: Sequence[str] | None


def _targets(rows: pa.Table) -> dict[str, dict[str, _Target]]:
    """Of each row its class or choice, by the path."""
    found: dict[str, dict[str, _Target]] = {}
    for kind in ("class", "choice"):
        targets = targets_of(rows, kind)
        for row, path in zip(targets.table.to_pylist(), targets.path.to_pylist(), strict=True):
            found.setdefault(row[ROW_ID], {})[path] = _Target(row["target"], row.get("choices"))
    return found


def _choose(first: Mapping[str, Sequence[str]], count: int) -> list[str]:
    """Row ids, from the first rows of each op."""
    levels: dict[str, list[str]] = {}
    for op in sorted(first):
        levels.setdefault(level_of(op), []).append(op)
    ops = [op for turn in zip_longest(*levels.values()) for op in turn if op is not None]
    chosen: dict[str, None] = {}
    for turn in zip_longest(*(first[op] for op in ops)):
        for row_id in turn:
            if row_id is not None and len(chosen) < count:
                chosen[row_id] = None
    return list(chosen)


def _sample(
    row: Mapping[str, Any], edits: Sequence[Mapping[str, Any]], targets: Mapping[str, _Target], layout: Layout
) -> Sample:
    paths = dict.fromkeys(edit["path"] for edit in edits)
    noisy = {name: row[name] for name in layout.noisy}
    texts = [
        (path, _pieces(noisy, path, [edit for edit in edits if edit["path"] == path], targets.get(path)))
        for path in paths
    ]
    labels_only = all(level_of(edit["op"]) == "label" for edit in edits)
    return Sample(row[ROW_ID], list(row[OPS] or ()), _prompt(row, layout) if labels_only else "", texts)


def _pieces(
    row: Mapping[str, Any], path: str, edits: Sequence[Mapping[str, Any]], target: _Target | None
) -> list[Piece]:
    pieces = undone((target.text if target else value_at(row, path)) or "", edits)
    if target and target.choices:
        chosen = [text or "" for text in target.choices]
        return [("", chosen[int(before)], chosen[int(after)]) for _, before, after in pieces]
    return pieces


def undone(noisy: str, edits: Sequence[Mapping[str, Any]]) -> list[Piece]:
    """A value and its edits by all steps, as pieces that read as the value before (kept and before) and after (kept
    and after).

    Args:
        edits: those of this value alone, in their order.

    Raises:
        ValueError: the edits do not end in this value.
    """
    pieces = [(noisy.encode(), b"", b"")]
    runs = [list(run) for _, run in groupby(edits, key=lambda edit: (edit["step"], edit["op"]))]
    for run in reversed(runs):
        pieces = _undo(pieces, run)
    merged: list[tuple[bytes, bytes, bytes]] = []
    for kept, before, after in pieces:
        if not kept and merged and not merged[-1][0]:
            merged[-1] = (b"", merged[-1][1] + before, merged[-1][2] + after)
        elif kept or before or after:
            merged.append((kept, before, after))
    return [(kept.decode(), before.decode(), after.decode()) for kept, before, after in merged]


def _undo(
    pieces: Sequence[tuple[bytes, bytes, bytes]], run: Iterable[Mapping[str, Any]]
) -> list[tuple[bytes, bytes, bytes]]:
    """The pieces with the edits of one op undone in what they read as before: their kept and before."""
    todo, done, at, shift = list(reversed(pieces)), [], 0, 0
    for edit in run:
        before, after = edit["before"].encode(), edit["after"].encode()
        start = edit["start"] + shift
        end, shift = start + len(after), shift + len(after) - len(before)
        removed = now_there = b""
        while todo and at < end:
            kept, was, now = todo.pop()
            cut = (start if at < start else end) - at
            text, rest = (kept or was)[:cut], (kept or was)[cut:]
            if rest:
                todo.append((rest, b"", b"") if kept else (b"", rest, b""))
            if at < start:
                done.append((text, b"", b"") if kept else (b"", text, now))
            else:
                removed += text
                now_there += text if kept else now
            at += len(text)
        if at != end or removed != after:
            raise ValueError(f"{edit['after']!r} is not at byte {start} of {edit['path']}")
        done.append((b"", before, now_there))
    return done + todo[::-1]


def _prompt(row: Mapping[str, Any], layout: Layout) -> str:
    """What a row asks: its inputs, of a conversation what the user said last."""
    has = layout.columns[row[SHAPE]]
    names = [has[role] for role in SHAPES[row[SHAPE]].inputs if role in has]
    return "\n".join(text for text in (_asked(row[name]) for name in names if isinstance(name, str)) if text)


def _asked(value: Any) -> str:
    if isinstance(value, str):
        return value
    said = ""
    for message in messages_of(value):
        if usual_role(role_of(message)) == "user":
            said = text_of_message(message) or said
    return said

"""Touched rows as they were and as they are, over all steps: the version's rows, with its edits undone in them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, zip_longest
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from lope_data.errors import StoreError
from lope_data.noise.registry import level_of
from lope_data.report.pieces import Piece
from lope_data.report.report import value_at
from lope_data.report.statistics import EditStatistics, edit_shards
from lope_data.rows.shapes import OPS, ROW_ID, SHAPE, SHAPES
from lope_data.store.version import Version


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


def samples(version: Version, found: EditStatistics, count: int) -> list[Sample]:
    """Some touched rows, the levels in turn and their ops in turn.

    Raises:
        StoreError: the edits cannot be read, or are not those of the rows.
    """
    wanted = _choose(found.first, count)
    edits = _edits_of(version, wanted)
    rows = _rows_of(version, wanted)
    try:
        return [_sample(rows[row_id], edits[row_id]) for row_id in wanted]
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise StoreError(
            f"the edits in {version.folder} are not those of its rows ({error}); remove it and build it again"
        ) from error


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


def _edits_of(version: Version, row_ids: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for shard in edit_shards(version) if row_ids else ():
        for edit in shard.filter(pc.is_in(shard["row_id"], pa.array(row_ids, pa.string()))).to_pylist():
            found.setdefault(edit["row_id"], []).append(edit)
    return found


def _rows_of(version: Version, row_ids: Sequence[str]) -> dict[str, dict[str, Any]]:
    mask = pc.is_in(version.rows[ROW_ID], pa.array(row_ids, pa.string()))
    return {row[ROW_ID]: row for row in version.rows.filter(mask).to_pylist()}


def _sample(row: Mapping[str, Any], edits: Sequence[Mapping[str, Any]]) -> Sample:
    paths = dict.fromkeys(edit["path"] for edit in edits)
    texts = [(path, _pieces(row, path, [edit for edit in edits if edit["path"] == path])) for path in paths]
    labels_only = all(level_of(edit["op"]) == "label" for edit in edits)
    return Sample(row[ROW_ID], list(row[OPS] or ()), _prompt(row) if labels_only else "", texts)


def _pieces(row: Mapping[str, Any], path: str, edits: Sequence[Mapping[str, Any]]) -> list[Piece]:
    value = value_at(row, path)
    pieces = undone("" if value is None else str(value), edits)
    if path == "answer" and isinstance(value, int):
        choices = row["choices"]
        return [("", str(choices[int(before)]), str(choices[int(after)])) for _, before, after in pieces]
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


def _prompt(row: Mapping[str, Any]) -> str:
    """What a row asks: its inputs, of a chat what the user said last."""
    shape = SHAPES[row[SHAPE]]
    if shape.name == "chat":
        return _last_said(row["messages"])
    return "\n".join(row[name] for name in shape.inputs if row.get(name))


def _last_said(messages: Any) -> str:
    said = ""
    for message in messages or ():
        if isinstance(message, list):
            said = _last_said(message) or said
        elif isinstance(message, Mapping) and message.get("role") == "user":
            said = _text_of(message.get("content")) or said
    return said


def _text_of(content: Any) -> str:
    """The text of a message, of one in parts what stands in them."""
    if isinstance(content, list):
        return "\n".join(text for text in map(_text_of, content) if text)
    if isinstance(content, Mapping):
        return _text_of(content.get("text"))
    return content or ""

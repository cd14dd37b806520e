"""The content digest: of the rows, edits and layout alone, whoever cuts them where."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from lope_common.files import canonical
from lope_data.builds import Options, build, ingest
from lope_data.recipe import Recipe
from lope_data.rows import Layout, as_json, is_json
from lope_data.store.digest import ContentDigest, content_digest
from lope_data.store.store import Store
from lope_data.store.version import Version

ROWS = 4100  # two blocks and a part of one


def _row(i: int) -> dict[str, Any]:
    said = [
        {"role": "user", "content": f"Tell me of number {i}, please"},
        {"role": "assistant", "content": f"It is {i}"},
    ]
    if i % 3 == 0:
        said.insert(1, {"role": "assistant", "tool_calls": [{"id": f"c{i}", "n": i}]})
    return {
        "messages": said,
        "rank": i / 7,
        "good": i % 2 == 0,
        "tags": ["x"] * (i % 3),
        "note": None if i % 5 else "é",
    }


@pytest.fixture
def made(tmp_path: Path, options: Options) -> Callable[[int], tuple[Version, Version]]:
    """Ingests and builds in a store of its own, in shards of so many rows."""
    (tmp_path / "chats.jsonl").write_text("".join(json.dumps(_row(i)) + "\n" for i in range(ROWS)))
    recipe = Recipe.model_validate({"steps": [{"ratio": 0.5, "mix": {"char.delete": 1, "label": 1}}]})

    def make(shard_rows: int) -> tuple[Version, Version]:
        mine = replace(options, store=Store(tmp_path / f"store-{shard_rows}"), shard_rows=shard_rows)
        clean = ingest(str(tmp_path / "chats.jsonl"), Recipe(), None, mine)
        return clean, build(clean, recipe, "noisy", mine)

    return make


def _cut(version: Version, sizes: Sequence[int]) -> str:
    """The digest of a version fed in parts of these sizes, in turn."""
    rows, edits = version.rows, version.edits
    place = {row_id: i for i, row_id in enumerate(rows["lope_row_id"].to_pylist())}
    owner = np.array([place[row_id] for row_id in edits["row_id"].to_pylist()], np.int64)
    digest = ContentDigest(len(rows))
    low, turn = 0, 0
    while low < len(rows):
        high = min(low + sizes[turn % len(sizes)], len(rows))
        first, last = np.searchsorted(owner, (low, high))
        digest.add(rows.slice(low, high - low), edits.slice(first, last - first))
        low, turn = high, turn + 1
    return digest.finish(rows.schema, version.layout)


def test_shards_are_no_part_of_it(made: Callable[[int], tuple[Version, Version]]) -> None:
    several = [made(size) for size in (97, 2000, 3000, 5000)]
    for one in zip(*several, strict=True):
        assert len({version.manifest.content_digest for version in one}) == 1
        assert len({version.manifest.version for version in one}) == 1
    assert len(several[0][1].data_files) == 43
    clean, noisy = several[2]
    assert noisy.manifest.touched > 2000
    for version in (clean, noisy):
        said = version.manifest.content_digest
        assert content_digest(version.rows, version.edits, version.layout) == said
        for sizes in ([7], [1, 1999, 3], [2000], [1999, 2], [4001, 1], [ROWS]):
            assert _cut(version, sizes) == said


def _table(**changes: Any) -> pa.Table:
    columns = {
        "lope_row_id": pa.array(["a", "b", "c"]),
        "text": pa.array(["one", None, ""]),
        "label": pa.array([0, 1, None]),
        "meta": as_json(pa.array(['{"a":1}', None, "{}"])),
        "tags": pa.array([["x"], [], None], pa.list_(pa.string())),
        "deep": pa.array([{"n": 1.5, "s": "t"}, None, {"n": None, "s": None}]),
    }
    return pa.table(columns | changes)


def _edits(ids: Sequence[str]) -> pa.Table:
    return pa.table({"row_id": pa.array(ids, pa.string()), "before": pa.array(["x"] * len(ids), pa.string())})


LAYOUT = Layout({"classification": {"text": "text", "label": "label"}}, {"label": ("no", "yes")}, ("meta",))


@pytest.mark.parametrize(
    "layout",
    [
        Layout({"classification": {"text": "text", "label": "meta"}}, LAYOUT.classes, LAYOUT.absent),
        Layout({"text": {"text": "text"}}, LAYOUT.classes, LAYOUT.absent),
        replace(LAYOUT, classes={"label": ("no", "maybe")}),
        replace(LAYOUT, classes={"label": ("yes", "no")}),
        replace(LAYOUT, classes={}),
        replace(LAYOUT, absent=()),
        replace(LAYOUT, absent=("meta", "tags")),
    ],
)
def test_another_layout_is_other_content(layout: Layout) -> None:
    assert content_digest(_table(), _edits("a"), layout) != content_digest(_table(), _edits("a"), LAYOUT)


@pytest.mark.parametrize(
    "changes",
    [
        {"text": pa.array(["one", "", ""])},
        {"text": pa.array(["on", None, "e"])},
        {"label": pa.array([0, 1, 0])},
        {"label": pa.array([0, 1, None], pa.int32())},
        {"label": pa.array([False, True, None])},
        {"meta": as_json(pa.array(['{"a": 1}', None, "{}"]))},
        {"meta": pa.array(['{"a":1}', None, "{}"])},
        {"tags": pa.array([["x"], None, []], pa.list_(pa.string()))},
        {"tags": pa.array([[], ["x"], None], pa.list_(pa.string()))},
        {"deep": pa.array([{"n": 1.5, "s": "t"}, {"n": None, "s": None}, None])},
        {"deep": pa.array([{"n": 1.5, "S": "t"}, None, {"n": None, "S": None}])},
        {"more": pa.array([None, None, None], pa.string())},
        {"lope_row_id": pa.array(["a", "b", "d"])},
    ],
    ids=range(13),
)
def test_another_value_or_type_is_other_content(changes: dict[str, Any]) -> None:
    assert content_digest(_table(**changes), _edits("a"), LAYOUT) != content_digest(_table(), _edits("a"), LAYOUT)


def test_it_is_what_the_format_says() -> None:
    """As FORMAT.md has it, in plain Python."""
    ids, before = [str(i) for i in range(2003)], ["xé"] * 2003
    rows = {
        "lope_row_id": ("string", ids),
        "n": ("int64", [None, *range(2002)]),
        "flag": ("bool", [True, None] + [False] * 2001),
    }
    rows |= {
        "meta": ("json", ["{}", None] + ['{"a":1}'] * 2001),
        "tags": ("list", [["x", None], [], None] + [["y"]] * 2000),
    }
    rows["deep"] = ("struct:s", [None, {"s": None}, *({"s": text} for text in ids[2:])])
    edits = {"row_id": ("string", ids), "before": ("string", before)}
    types = {"n": "int64", "flag": "bool", "meta": "json", "tags": "list<string>", "deep": "struct:s<string>"}
    blocks = [_block(rows, low, high) + _block(edits, low, high, "edits") for low, high in ((0, 2000), (2000, 2003))]
    said = {
        "format": 2,
        "rows": 2003,
        "layout": LAYOUT.plain,
        "columns": types | {"lope_row_id": "string"},
        "blocks": [sha256(block).hexdigest() for block in blocks],
    }
    table = pa.table({name: pa.array(values) for name, (_, values) in rows.items() if name != "meta"})
    table = table.append_column("meta", as_json(pa.array(rows["meta"][1])))
    made = content_digest(table, pa.table({name: values for name, (_, values) in edits.items()}), LAYOUT)
    assert made == "sha256:" + sha256(canonical(said)).hexdigest()


def _block(table: dict[str, tuple[str, list[Any]]], low: int, high: int, name: str = "rows") -> bytes:
    """A block's rows or edits."""
    found = f"{name}:{high - low}:{len(table)}\n".encode()
    for column, (kind, values) in sorted(table.items()):
        found += f"{len(column.encode())}:{column}\n".encode() + _values(kind, values[low:high])
    return found


def _values(kind: str, values: list[Any]) -> bytes:
    there = bytes(value is not None for value in values)
    lengths, data, inner = b"", b"", b""
    if kind == "list":
        lengths = struct.pack(f"<{len(values)}q", *(len(value or ()) for value in values))
        inner = _values("string", [item for value in values for item in value or ()])
    elif kind == "struct:s":
        inner = _values("string", [value and value["s"] for value in values])
    elif kind == "int64":
        data = struct.pack(f"<{len(values)}q", *(value or 0 for value in values))
    else:
        texts = ["" if value is None else str(value).lower() if kind == "bool" else value for value in values]
        lengths = struct.pack(f"<{len(texts)}q", *(len(text.encode()) for text in texts))
        data = "".join(texts).encode()
    hashes = b"".join(sha256(part).digest() for part in (there, lengths, data))
    return sha256(kind.encode() + hashes + inner).digest()


def test_edits_are_of_their_rows() -> None:
    found = {content_digest(_table(), _edits(ids), LAYOUT) for ids in (["a"], ["b"], ["a", "b"], ["a", "a"], [])}
    assert len(found) == 5


def test_widths_chunks_and_the_order_of_columns_are_no_part_of_it() -> None:
    table = _table()
    wide = pa.table(
        {
            "text": table["text"].cast(pa.large_string()),
            "tags": table["tags"].cast(pa.large_list(pa.large_string())),
            "meta": as_json(table["meta"].combine_chunks().storage.cast(pa.large_string())),
            **{name: table[name] for name in ("deep", "label", "lope_row_id")},
        }
    )
    assert is_json(wide["meta"].type)
    cut = pa.concat_tables([wide.slice(0, 1), wide.slice(1, 0), wide.slice(1)])
    said = content_digest(table, _edits("ab"), LAYOUT)
    assert content_digest(wide, _edits("ab"), LAYOUT) == said
    assert content_digest(cut, _edits("ab"), LAYOUT) == said


@pytest.mark.parametrize(
    ("ids", "said"), [(["a", "nobody"], "of a row that is not there"), (["b", "a"], "not in the order of the rows")]
)
def test_edits_of_other_rows_are_refused(ids: list[str], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        content_digest(_table(), _edits(ids), LAYOUT)
    digest = ContentDigest(3)
    with pytest.raises(ValueError, match=said):
        digest.add(_table(), _edits(ids))

"""Sources are read part after part: what comes of it is what the whole would give, and less lies in memory."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import lope_data as library
from lope_data.errors import SourceError
from lope_data.store import Version

Row = dict[str, Any]


def plain(i: int) -> Row:
    return {"instruction": f"Name {i % 70}, é\n", "input": "", "output": f"{i % 70}"}  # with equal rows


def odd(i: int) -> Row:
    """Types and keys that only later rows show."""
    row: Row = {"text": f"a text of {i}", "label": i if i < 150 else "many", "n": None if i < 99 else [i, 10**30]}
    return row | ({"late": {"a": 1}} if i > 120 else {}) | ({"late": {"b": 2}} if i == 140 else {})


def chat(i: int) -> Row:
    said = [{"role": "user", "content": f"What is {i}?"}, {"role": "assistant", "content": f"{i} is {i % 9}."}]
    return {"messages": said if i % 2 else [*said, *said], "id": 900 - i}


def as_jsonl(rows: list[Row], path: Path) -> Path:
    path = path.with_suffix(".jsonl")
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def as_json(rows: list[Row], path: Path) -> Path:
    path = path.with_suffix(".json")
    path.write_text(json.dumps(rows, indent=1), encoding="utf-8")
    return path


def as_parquet(rows: list[Row], path: Path) -> Path:
    path = path.with_suffix(".parquet")
    pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=30)
    return path


def as_csv(rows: list[Row], path: Path) -> Path:
    path = path.with_suffix(".csv")
    lines = [",".join(f'"{value}"' for value in row.values()) for row in rows]
    path.write_text("\n".join([",".join(rows[0]), *lines]), encoding="utf-8")
    return path


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """From then on a source has many parts, and the rows of a version are made a few at a time."""

    def make() -> None:
        for name, value in {
            "sources.chunks.SIZE": 300,
            "sources.plain_json.LEAST": 1,
            "sources.formats.arrow._SIZE": 500,
            "builds.clean._BLOCK": 11,
            "builds.clean._SIZE": 1,
            "rows.ids._ROWS": 13,
            "rows.ids._FEW": 3,
            "rows.ids._SORTED": 16,
            "rows.canonical._RANKED": 17,
        }.items():
            monkeypatch.setattr(f"lope_data.{name}", value)

    return make


@pytest.mark.parametrize(
    ("row", "write", "asked"),
    [
        (plain, as_jsonl, {}),
        (plain, as_json, {}),
        (plain, as_parquet, {}),
        (plain, as_csv, {}),
        (plain, as_jsonl, {"limit": 50}),
        (odd, as_jsonl, {}),
        (odd, as_json, {"limit": 120}),
        (chat, as_jsonl, {"columns": {"id": "id"}}),
        (chat, as_parquet, {"columns": {"id": "id"}, "limit": 60}),
    ],
)
def test_parts_give_what_the_whole_gives(
    tmp_path: Path,
    small_parts: Callable[[], None],
    row: Callable[[int], Row],
    write: Callable[[list[Row], Path], Path],
    asked: dict[str, Any],
) -> None:
    path = write([row(i) for i in range(200)], tmp_path / "rows")
    whole = library.ingest(path, store=tmp_path / "whole", workers=1, **asked)
    small_parts()
    for workers, shard_rows in ((1, None), (3, 50), (2, 7), (2, 2001)):
        store = tmp_path / f"{workers}-{shard_rows}"
        parts = library.ingest(path, store=store, workers=workers, shard_rows=shard_rows, **asked)
        assert parts.manifest.version == whole.manifest.version
        assert parts.manifest.content_digest == whole.manifest.content_digest
        assert parts.manifest.shapes == whole.manifest.shapes
        assert parts.layout == whole.layout
        assert rows_of(parts) == rows_of(whole)


def test_more_text_than_32_bits_count(
    tmp_path: Path, small_parts: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a column, not in a part: also of chats, and of JSON."""
    path = as_jsonl([chat(i) | {"meta": {str(i): "x" * 40}, "note": "y"} for i in range(100)], tmp_path / "rows")
    narrow = library.ingest(path, store=tmp_path / "narrow")
    small_parts()
    monkeypatch.setattr("lope_data.rows.canonical.WIDE", 3000)
    wide = library.ingest(path, store=tmp_path / "wide")
    kinds = wide.rows.schema
    assert kinds.field("messages").type.value_type.field("content").type == pa.large_string()
    assert kinds.field("meta").type.storage_type == pa.large_string()
    assert kinds.field("note").type == pa.string()
    assert rows_of(wide) == rows_of(narrow)
    assert wide.manifest.content_digest == narrow.manifest.content_digest
    assert wide.dataset[3]["messages"] == narrow.dataset[3]["messages"]


def test_rows_do_not_all_lie_in_memory(tmp_path: Path, small_parts: Callable[[], None]) -> None:
    """Of careful JSON, which makes the most of each row."""
    path = as_jsonl([chat(i) | {"more": "z" * 2000, "n": i} for i in range(400)], tmp_path / "rows")
    library.ingest(path, store=tmp_path / "first")  # what is loaded once
    small_parts()
    before = pa.total_allocated_bytes()
    most = 0

    def look(*_: object) -> None:
        nonlocal most
        most = max(most, pa.total_allocated_bytes() - before)

    library.ingest(path, store=tmp_path / "store", workers=1, progress=look)
    assert 0 < most < path.stat().st_size / 4


def test_a_file_that_changes_while_it_is_read(tmp_path: Path, small_parts: Callable[[], None]) -> None:
    small_parts()
    for number, change in enumerate(("shorter", "longer", "other")):
        path = as_jsonl([plain(i) for i in range(200)], tmp_path / f"rows{number}")
        text = path.read_text(encoding="utf-8")
        changed = {"shorter": text[:100], "longer": text + text[:100], "other": text.upper()}[change]

        def write(what: str, done: int, _: int, path: Path = path, changed: str = changed) -> None:
            if what.startswith("read") and done > 50:
                path.write_text(changed, encoding="utf-8")

        with pytest.raises(SourceError, match=r"rows\d.jsonl.*(changed while it was read|not valid JSON)"):
            library.ingest(path, store=tmp_path / "store", progress=write, workers=1)
        assert not list((tmp_path / "store").glob("rows*"))


def rows_of(version: Version) -> list[Row]:
    return [dict(row) for row in version.rows.to_pylist()]

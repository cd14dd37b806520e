"""A row's id is made of its own values: whatever stands beside it, and in whatever kind of file, it is the same row."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lope_data.builds import Options, build, ingest
from lope_data.recipe import Recipe
from lope_data.rows import ROW_ID, is_json
from lope_data.rows.ids import ContentIds, content_digests
from lope_data.store import Version

MakeRecipe = Callable[..., Recipe]


def ingested(folder: Path, rows: list[Any], options: Options, name: str = "rows") -> Version:
    path = folder / f"{name}.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return ingest(str(path), Recipe(), None, options)


def chat(i: int, **more: Any) -> dict[str, Any]:
    said = [("user", f"Tell me of the number {i}, please"), ("assistant", f"The number {i} is a fine one")]
    return {"messages": [{"role": role, "content": content} for role, content in said], "score": i, **more}


CALL = {"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": {"a": 1}}}]}
OTHERS: dict[str, Any] = {
    "a number of another type": chat(99, score=0.5),
    "a number beyond 64 bits": chat(99, score=10**30),
    "text where others have numbers": chat(99, score="none"),
    "one key more": chat(99, meta={"a": []}),
    "one key less": {"messages": chat(99)["messages"]},
    "null": chat(99, score=None),
    "another order": {"score": 99, "messages": chat(99)["messages"]},
    "a message with one key more": {"messages": [*chat(99)["messages"], CALL], "score": 99},
    "content in parts": {
        "messages": [{"role": "user", "content": [{"type": "text", "text": "What is this thing here?"}]}],
        "score": 99,
    },
    "another shape": {"instruction": "Say a number aloud", "input": "", "output": "It is 9."},
    "half a surrogate pair": chat(99, score="\ud800"),
}


@pytest.mark.parametrize("other", OTHERS)
@pytest.mark.parametrize("first", [True, False], ids=["before", "after"])
def test_a_row_more_changes_no_other(
    tmp_path: Path, options: Options, make_recipe: MakeRecipe, other: str, first: bool
) -> None:
    rows = [chat(i) for i in range(30)]
    more = [OTHERS[other], *rows] if first else [*rows, OTHERS[other]]
    recipe = make_recipe(ratio=1.0, mix={"word.shuffle": 1}, level=0.5)
    noise = []
    for name, each in (("few", rows), ("more", more)):
        clean = ingested(tmp_path, each, options, name)
        noisy = build(clean, recipe, None, options)
        assert noisy.manifest.touched == len(each)
        assert clean.rows[ROW_ID].equals(noisy.rows[ROW_ID])
        noise.append({edit["row_id"]: [] for edit in noisy.edits.to_pylist()})
        for edit in noisy.edits.to_pylist():
            noise[-1][edit["row_id"]].append(edit)
    assert len(noise[0]) == 30
    assert {row: noise[1][row] for row in noise[0]} == noise[0]


def test_a_row_is_the_same_in_every_kind_of_file(tmp_path: Path, options: Options) -> None:
    rows = [{"text": f"a text {i}", "label": str(i % 3)} for i in range(9)]
    ids = ingested(tmp_path, rows, options, "a").rows[ROW_ID].to_pylist()
    with (tmp_path / "b.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ["label", "text"])
        writer.writeheader()
        writer.writerows(rows)
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "c.parquet")
    pq.write_table(pa.Table.from_pylist([row | {"label": i % 3} for i, row in enumerate(rows)]), tmp_path / "d.parquet")
    for name in ("b.csv", "c.parquet", "d.parquet"):
        assert ingest(str(tmp_path / name), Recipe(), None, options).rows[ROW_ID].to_pylist() == ids


def test_ids_do_not_hang_on_how_a_column_is_held(
    ingest_rows: Callable[..., pa.Table], tmp_path: Path, options: Options
) -> None:
    """Structs of Arrow's and JSON hold the same values."""
    rows = [chat(i, meta={"a": i, "b": [1.5, None]}) for i in range(5)]
    plain = ingest_rows(rows)
    assert not is_json(plain["meta"].type)
    held = ingested(tmp_path, [*rows, {"messages": [CALL], "meta": {}}], options).rows
    assert is_json(held["messages"].type)
    assert is_json(held["meta"].type)
    assert held[ROW_ID].to_pylist()[:5] == plain[ROW_ID].to_pylist()


def test_no_text_can_pass_for_another_column(ingest_rows: Callable[..., pa.Table]) -> None:
    """Rows that are not equal have ids that are not those of equal rows."""
    rows: list[dict[str, Any]] = [
        {"text": "2", "u": "b=:8XXXXXXXX", "label": "l"},
        {"text": "2b=:1x", "label": "l"},
        {"text": "2", "b": "x", "label": "l"},
        {"text": "2", "a": "2", "b=:8": "l"},
        {"text": "2", "a": "2b=:81l"},
        {"text": "XXXXXXXX", "a": "2", "b": "=:"},
        {"text": "XXXXXXXX", "a": "2b=:2=:"},
    ]
    ids = ingest_rows([row | {"label": "l"} for row in rows])[ROW_ID].to_pylist()
    assert len({row_id.partition("-")[0] for row_id in ids}) == len(rows)


def test_ids_that_could_be_read_in_two_ways() -> None:
    """The hash is over names, lengths and texts in a row, which could be other names, lengths and texts."""
    digests = content_digests(pa.table({"a": ["2", "b=:8XXXXXXXX"], "b": ["XXXXXXXX", None]}), "here")
    ids = ContentIds(np.frombuffer(digests, np.uint64).reshape(-1, 2)).take(np.arange(2)).to_pylist()
    assert ids[0] != ids[1].partition("-")[0]

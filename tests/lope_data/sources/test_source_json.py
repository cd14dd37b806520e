"""JSON and JSON lines: values keep their types, and whatever is wrong is named by its line and row."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from lope_data.errors import SourceError
from lope_data.sources import Reading, open_source, text
from lope_data.sources.formats import json_lines


@pytest.fixture(params=["one block", "many"])
def small_blocks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Files are read in one piece, or in pieces of 64 bytes and 2 rows."""
    if request.param == "many":
        monkeypatch.setattr(text, "_BLOCK", 64)
        monkeypatch.setattr(json_lines, "_ROWS", 2)
    return bool(request.param == "many")


def read(path: Path, content: str | bytes, encoding: str = "utf-8") -> pa.Table:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return open_source(str(path), Reading(encoding=encoding)).read()


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r", "\n\n \n"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
def test_line_ends_blank_lines_and_encodings(tmp_path: Path, ends: str, encoding: str) -> None:
    rows = [{"a": f"é {i}", "b": [i, None]} for i in range(9)]
    content = ends.join(json.dumps(row, ensure_ascii=False) for row in rows).encode(encoding)
    assert read(tmp_path / "r.jsonl", content, encoding).to_pylist() == rows
    array = json.dumps(rows, ensure_ascii=False, indent=1).encode(encoding)
    assert read(tmp_path / "r.json", array, encoding).to_pylist() == rows


@pytest.mark.usefixtures("small_blocks")
def test_types_are_one_over_the_whole_file(tmp_path: Path) -> None:
    values: list[Any] = [None, None, 1, None, 2.5, None]
    nested: list[Any] = [[], None, [{"x": 1}], [], [{"y": "s"}], [{}]]
    rows = [{"value": value, "nested": inner} for value, inner in zip(values, nested, strict=True)]
    rows[4:] = [row | {"late": "l"} for row in rows[4:]]
    table = read(tmp_path / "r.jsonl", "\n".join(map(json.dumps, rows)))
    assert table.schema.types == [
        pa.float64(),
        pa.list_(pa.struct([("x", pa.int64()), ("y", pa.string())])),
        pa.string(),
    ]
    assert table["value"].to_pylist() == [None, None, 1.0, None, 2.5, None]
    assert table["late"].to_pylist() == [None] * 4 + ["l"] * 2


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize(
    ("odd", "message"),
    [
        ('{"a": 5}', "line 8, row 6, column 'a': 5 is int"),
        ('{"a": true}', "line 8, row 6, column 'a': true is bool"),
        ('{"a": ["s"]}', "line 8, row 6, column 'a': [\"s\"] is list"),
        ('{"a": "\\ud800"}', "line 8, row 6, column 'a': \"\\ud800\" cannot be held"),
        ('{"a": "s"', "line 8: not valid JSON"),
        ("[1]", "line 8, row 6: list, where an object is needed"),
        ("null", "line 8, row 6: null, where an object is needed"),
        ('{"a": "s"} {}', "line 8: not valid JSON (Extra data"),
        ("[" * 5000, "line 8: not valid JSON (nested too deeply)"),
        ('{"\\ud800": 1}', "is not valid Unicode"),
    ],
)
def test_the_odd_one_out_is_named(tmp_path: Path, odd: str, message: str) -> None:
    lines = ['{"a": "s"}'] * 6 + ["", odd] + ['{"a": "s"}'] * 3
    with pytest.raises(SourceError, match=re.escape(message)):
        read(tmp_path / "r.jsonl", "\n".join(lines))


def test_chats_that_mix_texts_and_parts(tmp_path: Path) -> None:
    plain = {"messages": [{"role": "user", "content": "Hello"}]}
    parts = {"messages": [{"role": "user", "content": [{"type": "text", "text": "Hello"}]}]}
    with pytest.raises(SourceError, match=r"line 3, row 2, column 'messages': at \[\].content: .* is list, other rows"):
        read(tmp_path / "r.jsonl", "\n".join(map(json.dumps, [plain, plain, parts, plain])))


def test_numbers_are_what_is_written(tmp_path: Path) -> None:
    rows = '[{"a": 9223372036854775807, "b": 1e300, "c": NaN}, {"a": -1, "b": 2, "c": Infinity}]'
    table = read(tmp_path / "r.json", rows)
    assert table["a"].to_pylist() == [2**63 - 1, -1]
    assert table["b"].to_pylist() == [1e300, 2.0]
    assert str(table["c"].to_pylist()) == "[nan, inf]"
    for name, content in (("r.json", '[{"a": 1}, {"a": 99999999999999999999}]'), ("r.jsonl", '{"a": 1}\n{"a": 1e20}')):
        read(tmp_path / name, content.replace("99999999999999999999", "1e20"))
        with pytest.raises(SourceError, match=r"row 1, column 'a': 99999999999999999999 (is an int|cannot be)"):
            read(tmp_path / name, content.replace("1e20", "99999999999999999999"))


def test_the_last_of_equal_keys_and_rows_without_any(tmp_path: Path) -> None:
    assert read(tmp_path / "r.jsonl", '{}\n{"a": 1, "a": 2}\n{}').to_pylist() == [{"a": None}, {"a": 2}, {"a": None}]


@pytest.mark.parametrize("content", ["\n \n", "\ufeff", "[]", "[ ]\n"])
def test_no_rows(tmp_path: Path, content: str) -> None:
    assert len(read(tmp_path / "r.json", content)) == 0


def test_an_object_around_the_rows(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"one object, whose 'data' holds 1 rows; write that list alone, as in jq"):
        read(tmp_path / "r.json", json.dumps({"version": 1, "data": [{"text": "a"}]}, indent=2))
    chat = {"messages": [{"role": "user", "content": "a"}]}
    assert read(tmp_path / "r.json", json.dumps(chat)).to_pylist() == [chat]


@pytest.mark.parametrize(
    ("text", "refused"),
    [
        ('{"text": {"0": "a", "1": "b"}, "label": {"0": "x", "1": "y"}}', True),  # as pandas' to_json has it
        ('{"text": ["a", "b"], "label": ["x", "y"]}', True),
        ('{"text": {"0": "a", "1": "b"}, "label": {"0": "x"}}', False),
        ('{"text": ["a", "b"], "label": ["x"]}', False),
        ('{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}', False),
        ('{"messages": [{"role": "user"}, {"role": "assistant"}], "tags": ["x", "y"]}', False),
        ('{"text": "a", "label": "x"}', False),
    ],
)
def test_an_object_of_columns_is_refused_with_how_to_turn_it(tmp_path: Path, text: str, refused: bool) -> None:
    (tmp_path / "rows.json").write_text(text)
    if refused:
        with pytest.raises(
            SourceError, match=r"one object of columns.*df.to_json\(path, orient='records', lines=True\)"
        ):
            open_source(str(tmp_path / "rows.json")).read()
    else:
        assert len(open_source(str(tmp_path / "rows.json")).read()) == 1

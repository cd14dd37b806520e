"""JSON and JSON lines: values keep their types, and whatever is wrong is named by its line and row."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from lope_data.errors import SourceError
from lope_data.rows import ABSENT, KEYS, Columns, as_json, ingest_table, is_json
from lope_data.sources import Reading, chunks, open_source, plain_json, text

NESTED = pa.list_(pa.struct([("x", pa.int64()), ("y", pa.list_(pa.string()))]))


@pytest.fixture(params=["one block", "many"])
def small_blocks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Files are read in one piece, or in pieces of 64 bytes and 2 rows."""
    if request.param == "many":
        monkeypatch.setattr(text, "_BLOCK", 64)
        monkeypatch.setattr(chunks, "SIZE", 64)
        monkeypatch.setattr(plain_json, "LEAST", 1)
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
def test_a_type_is_one_over_the_whole_file(tmp_path: Path) -> None:
    """One of Arrow's where it changes no value; else JSON."""
    values: dict[str, tuple[list[Any], pa.DataType]] = {
        "whole": ([None, None, 1, None, 2, None], pa.int64()),
        "nested": ([[], None, [{"x": 1, "y": []}], [], [{"x": None, "y": ["s"]}], []], NESTED),
        "nothing": ([[None], [], None, None, [], []], pa.list_(pa.string())),
        "numbers": ([None, None, 1, None, 2.5, None], pa.json_()),
        "keys": ([[], None, [{"x": 1}], [], [{"y": "s"}], [{}]], pa.json_()),
        "orders": ([{"x": 1, "y": 2}] * 5 + [{"y": 1, "x": 2}], pa.json_()),
        "empty": ([{}] * 6, pa.json_()),
        "wide": ([1, 2, 3, 4, 5, 10**30], pa.json_()),
        "unsigned": ([2**63] * 6, pa.json_()),
    }
    rows = [{name: column[i] for name, (column, _) in values.items()} for i in range(6)]
    rows[4:] = [row | {"late": "l"} for row in rows[4:]]
    table = read(tmp_path / "r.jsonl", "\n".join(map(json.dumps, rows)))
    for name, (column, kind) in values.items():
        assert table[name].type == kind
        held = table[name].to_pylist()
        assert ([text and json.loads(text) for text in held] if kind == pa.json_() else held) == column
    assert table["late"].to_pylist() == [None] * 4 + ["l"] * 2
    assert json.loads(table.schema.metadata[ABSENT]) == ["late"]
    assert KEYS not in table.column_names


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize(
    ("rows", "columns", "absent", "keys"),
    [
        ([{"a": 1, "c": 1}, {"a": 2, "b": 1, "c": 2}], ["a", "b", "c"], ["b"], False),
        ([{"a": 1}, {"a": None}, {"a": 2}], ["a"], [], False),
        ([{"a": 1, "b": 1}, {"b": 1, "a": 2}], ["a", "b"], [], True),
        ([{"a": 1, "b": None}, {"a": 2}], ["a", "b"], [], True),
        ([{"a": 1, "b": None}, {"a": 2}, {"a": 1}, {"a": 1, "b": 1}], ["a", "b"], [], True),
        ([{}, {"a": 1}], ["a"], ["a"], False),
    ],
)
def test_what_a_row_lacks_is_told_from_null(
    tmp_path: Path, rows: list[Any], columns: list[str], absent: list[str], keys: bool
) -> None:
    table = read(tmp_path / "r.jsonl", "\n".join(map(json.dumps, rows)))
    assert table.column_names == columns + [KEYS] * keys
    assert json.loads(table.schema.metadata[ABSENT]) == absent
    if keys:
        assert table[KEYS].to_pylist() == [list(row) for row in rows]


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize(
    ("odd", "message"),
    [
        ('{"a": "s"', "line 8: not valid JSON"),
        ("[1]", "line 8: list, where an object is needed"),
        ("null", "line 8: null, where an object is needed"),
        ('{"a": "s"} {}', "line 8: not valid JSON (Extra data"),
        ("[" * 5000, "line 8: not valid JSON (nested too deeply)"),
        ('{"\\ud800": 1}', "is not valid Unicode"),
        ('{"lope_keys": 1}', "column 'lope_keys' has a name that versions use"),
    ],
)
def test_the_odd_one_out_is_named(tmp_path: Path, odd: str, message: str) -> None:
    lines = ['{"a": "s"}'] * 6 + ["", odd] + ['{"a": "s"}'] * 3
    with pytest.raises(SourceError, match=re.escape(message)):
        read(tmp_path / "r.jsonl", "\n".join(lines))


def test_chats_that_mix_texts_and_parts(tmp_path: Path) -> None:
    plain = {"messages": [{"role": "user", "content": "Hello"}]}
    parts = {"messages": [{"role": "user", "content": [{"type": "text", "text": "Hello"}]}]}
    rows = [plain, plain, parts, plain]
    table = read(tmp_path / "r.jsonl", "\n".join(map(json.dumps, rows)))
    assert [{"messages": json.loads(text)} for text in table["messages"].to_pylist()] == rows


def test_numbers_are_what_is_written(tmp_path: Path) -> None:
    rows = '[{"a": 9223372036854775807, "b": 1e300, "c": NaN, "d": 1}, {"a": -1, "b": 2.0, "c": Infinity, "d": 1.0}]'
    table = read(tmp_path / "r.json", rows)
    assert table["a"].to_pylist() == [2**63 - 1, -1]
    assert table["b"].to_pylist() == [1e300, 2.0]
    assert table["c"].to_pylist() == ["NaN", "Infinity"]  # JSON, since typed columns export them as text
    assert table["d"].to_pylist() == ["1", "1.0"]
    wide = "99999999999999999999"
    for name, content in (
        ("r.json", f'[{{"a": 1}}, {{"a": {wide}}}]'),
        ("r.jsonl", f'{{"a": 1}}\n{{"a": {wide}}}'),
        ("r.jsonl", f'{{"a": 1.5}}\n{{"a": {wide}}}'),
        ("r.jsonl", f'{{"a": {{"b": 1}}}}\n{{"a": {{"b": [{wide}]}}}}'),
    ):
        assert wide in read(tmp_path / name, content)["a"].to_pylist()[1]
    assert read(tmp_path / "r.jsonl", '{"a": 1e20}\n{"a": 1.5}')["a"].to_pylist() == [1e20, 1.5]
    surrogate = '{"a": "\\ud800"}'
    assert json.loads(read(tmp_path / "r.jsonl", surrogate)["a"].to_pylist()[0]) == "\ud800"


def test_a_key_that_is_half_a_surrogate_pair(tmp_path: Path) -> None:
    table = read(tmp_path / "r.jsonl", '{"a": {"\\ud800": 1}}')
    assert json.loads(table["a"].to_pylist()[0]) == {"\ud800": 1}


@pytest.mark.parametrize("levels", [30, 39, 40, 250])
@pytest.mark.parametrize("around", [("[", "]"), ('{"a":', "}")])
def test_nesting_beyond_what_arrow_holds(tmp_path: Path, levels: int, around: tuple[str, str]) -> None:
    """There it is JSON."""
    value = around[0] * levels + "1" + around[1] * levels
    table = read(tmp_path / "r.jsonl", f'{{"text": "a", "label": "b", "a": {value}}}')
    column = ingest_table(table, "rows", None, Columns(), None, 0)["a"]
    assert is_json(column.type) == (levels > 39)
    held = column[0].as_py()
    assert (json.loads(held) if is_json(column.type) else held) == json.loads(value)


@pytest.mark.parametrize("levels", [251, 500, 980, 1010, 5000])
@pytest.mark.parametrize("name", ["a", "messages"])
def test_nesting_beyond_what_python_bears(tmp_path: Path, levels: int, name: str) -> None:
    """Also of JSON that another program wrote, in text and in a column of its own."""
    value = "[" * levels + "]" * levels
    rest = {} if name == "messages" else {"text": "a", "label": "b"}
    row = json.dumps(rest)[:-1] + (", " if rest else "") + f'"{name}": {value}}}'

    tables: list[Callable[[], pa.Table]] = [
        lambda: read(tmp_path / "r.jsonl", row),
        lambda: pa.table({**{key: [one] for key, one in rest.items()}, name: as_json(pa.array([value]))}),
    ]
    if name == "messages":
        tables.append(lambda: pa.table({name: [value]}))
    for table in tables:
        with pytest.raises(SourceError, match=r"nested (too deeply|more than 250 deep)"):
            ingest_table(table(), "rows", None, Columns(), None, 0)


def test_brackets_in_strings_nest_nothing() -> None:
    texts = [json.dumps({"a": '\\"' + "[" * 300 + '"', "b": [[]] * 300})]
    table = pa.table({"text": ["a"], "label": ["b"], "m": as_json(pa.array(texts))})
    assert len(ingest_table(table, "rows", None, Columns(), None, 0)) == 1


def test_the_last_of_equal_keys_and_rows_without_any(tmp_path: Path) -> None:
    assert read(tmp_path / "r.jsonl", '{}\n{"a": 1, "a": 2}\n{}').to_pylist() == [{"a": None}, {"a": 2}, {"a": None}]


@pytest.mark.parametrize("content", ["\n \n", "\ufeff", "[]", "[ ]\n"])
def test_no_rows(tmp_path: Path, content: str) -> None:
    assert len(read(tmp_path / "r.json", content)) == 0


def test_an_object_around_the_rows(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"one object, whose 'data' holds 1 rows; write that list alone, as in jq"):
        read(tmp_path / "r.json", json.dumps({"version": 1, "data": [{"text": "a"}]}, indent=2))
    chat = {"messages": [{"role": "user", "content": "a"}]}
    for indent in (None, 2):
        assert read(tmp_path / "r.json", json.dumps(chat, indent=indent)).to_pylist() == [chat]
    wide = json.dumps({"a": 10**30}, indent=2)
    assert read(tmp_path / "r.json", wide)["a"].to_pylist() == [str(10**30)]


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

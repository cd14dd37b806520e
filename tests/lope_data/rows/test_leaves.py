"""The texts inside a column, and the way back: what is put changes these texts and nothing else."""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lope_common.conversations import NOBODY
from lope_data.rows.json_type import json_column
from lope_data.rows.leaves import leaves

PART = pa.struct([("type", pa.string()), ("text", pa.large_string())])


def message(content: pa.DataType) -> pa.DataType:
    return pa.struct(
        [("name", pa.int8()), ("role", pa.string()), ("content", content), ("tags", pa.list_(pa.string()))]
    )


TYPES = [
    pa.string(),
    pa.large_string(),
    pa.list_(message(pa.string())),
    pa.large_list(message(pa.large_string())),
    pa.list_(pa.large_list(message(pa.string()))),
    pa.list_(message(pa.list_(PART))),
    pa.large_list(message(pa.list_(pa.string()))),
    pa.list_(message(pa.list_(pa.list_(PART)))),
]


def values_of(kind: pa.DataType) -> st.SearchStrategy[Any]:
    """Values of a type, nulls at every depth."""
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return st.none() | st.lists(values_of(kind.value_type), max_size=3)
    if pa.types.is_struct(kind):
        return st.none() | st.fixed_dictionaries({field.name: values_of(field.type) for field in kind})
    if pa.types.is_int8(kind):
        return st.none() | st.integers(0, 9)
    return st.none() | st.sampled_from(["user", "assistant", "", "é日", "a b"])


@st.composite
def columns(draw: st.DrawFn) -> pa.Array:
    """A column of any of the types, often a slice of a longer one."""
    kind = draw(st.sampled_from(TYPES))
    rows = draw(st.lists(values_of(kind), max_size=6))
    low = draw(st.integers(0, len(rows)))
    return pa.array(rows, kind).slice(low, draw(st.integers(0, len(rows))))


def keys_of(path: str) -> list[str | int]:
    """The steps of a path below its column."""
    return [int(number) if number else name for number, name in re.findall(r"\[(\d+)\]|\.(\w+)", path)]


def at(row: Any, keys: list[str | int]) -> Any:
    for key in keys:
        row = row[key]
    return row


def with_value(row: Any, keys: list[str | int], value: str) -> Any:
    if not keys:
        return value
    at(row, keys[:-1])[keys[-1]] = value
    return row


def texts_in(value: Any, kind: pa.DataType) -> int:
    """How many places for text a value has, counted another way."""
    if value is None and not pa.types.is_string(kind) and not pa.types.is_large_string(kind):
        return 1 if pa.types.is_struct(kind) and not pa.types.is_list(_inner(kind)) else 0
    if isinstance(value, list):
        return sum(texts_in(item, kind.value_type) for item in value)
    if isinstance(value, dict):
        name = "content" if "content" in value else "text"
        return texts_in(value[name], kind.field(name).type)
    return 1


def _inner(kind: pa.DataType) -> pa.DataType:
    return kind.field("content" if kind.get_field_index("content") >= 0 else "text").type


@given(columns())
def test_leaves_are_where_their_paths_say(column: pa.Array) -> None:
    found, rows = leaves("messages", column), column.to_pylist()
    assert found.row.tolist() == sorted(found.row.tolist())
    assert len(found.values) == len(found.path) == len(found.row) == sum(texts_in(row, column.type) for row in rows)
    roles = found.role.to_pylist()
    for row, path, value, role in zip(found.row, found.path.to_pylist(), found.values.to_pylist(), roles, strict=True):
        assert path.startswith("messages")
        keys = keys_of(path)
        if value is not None:
            assert at(rows[row], keys) == value
            said = at(rows[row], keys[: keys.index("content")])["role"] if "content" in keys else None
            assert role == (said if said in ("user", "assistant") else NOBODY if "content" in keys else None)


@given(columns())
def test_putting_the_same_texts_gives_the_same_column(column: pa.Array) -> None:
    found = leaves("messages", column)
    again = found.put(found.values)
    assert again.type == column.type
    assert again.to_pylist() == column.to_pylist()
    again.validate(full=True)


@given(columns(), st.randoms(use_true_random=False))
def test_what_is_put_changes_its_places_alone(column: pa.Array, random: Any) -> None:
    found = leaves("messages", column)
    found = found.present(np.array([random.random() < 0.7 for _ in range(len(column))], np.bool_))
    found = found.select(np.array([random.random() < 0.5 for _ in range(len(found.row))], np.bool_))
    assert found.values.null_count == 0
    expected = column.to_pylist()
    new = [f"new {i}" for i in range(len(found.row))]
    for row, path, value in zip(found.row.tolist(), found.path.to_pylist(), new, strict=True):
        expected[row] = with_value(expected[row], keys_of(path), value)
    after = found.put(pa.array(new, pa.large_string()))
    after.validate(full=True)
    assert after.type == column.type
    assert after.to_pylist() == expected


@pytest.mark.parametrize("kind", [pa.int64(), pa.list_(pa.float64()), pa.struct([("n", pa.string())]), pa.null()])
def test_a_column_without_texts_has_no_leaves(kind: pa.DataType) -> None:
    column = pa.nulls(3, kind)
    found = leaves("other", column)
    assert not len(found.values)
    assert found.put(found.values).equals(column)


def test_nulls_that_hide_values_are_skipped() -> None:
    """A null list may still own items in the array of values; they are no one's texts."""
    kind = pa.list_(pa.string())
    hidden = pa.Array.from_buffers(
        kind,
        3,
        [pa.py_buffer(b"\x05"), pa.array([0, 1, 2, 3], pa.int32()).buffers()[1]],
        children=[pa.array(["a", "hidden", "b"])],
    )
    found = leaves("c", hidden)
    assert found.values.to_pylist() == ["a", "b"]
    assert found.path.to_pylist() == ["c[0]", "c[0]"]
    assert found.put(pa.array(["x", "y"], pa.large_string())).to_pylist() == [["x"], None, ["y"]]


@settings(max_examples=200, deadline=None, derandomize=True)
@given(columns(), st.booleans())
def test_json_holds_the_same_texts_in_the_same_places(column: pa.Array, written: bool) -> None:
    """As a column of JSON, or as conversations in strings."""
    if written and (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        return
    values = column.to_pylist()
    documents = json_column(values)
    native, found = (
        leaves("a", column).present(np.ones(len(column), np.bool_)),
        leaves("a", documents.storage if written else documents, written=written),
    )
    assert found.values.equals(native.values)
    assert found.path.equals(native.path)
    assert found.row.tolist() == native.row.tolist()
    assert found.role.equals(native.role)
    changed = pc.binary_join_element_wise(
        native.values, pa.scalar("!", pa.large_string()), pa.scalar("", pa.large_string())
    )
    put = found.put(changed)
    assert put.type == (documents.storage if written else documents).type
    assert [text and json.loads(text) for text in put.to_pylist()] == native.put(changed).to_pylist()

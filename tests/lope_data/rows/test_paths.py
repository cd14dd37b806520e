"""Paths of edits, and rows as Python values."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pytest

from lope_data.rows.json_type import as_json
from lope_data.rows.layout import Layout
from lope_data.rows.paths import place_of, value_at
from lope_data.rows.plain import messages_of, plain_rows, text_of_message

COLUMNS = ["a", "a.b", "a.b[0]", "user.text", "messages", "text", "user"]


@pytest.mark.parametrize(
    ("path", "column", "keys"),
    [
        ("a", "a", ()),
        ("a.c", "a", ("c",)),
        ("a.b", "a.b", ()),
        ("a.b[0]", "a.b[0]", ()),
        ("a.b[1]", "a.b", (1,)),
        ("a.b[0].content", "a.b[0]", ("content",)),
        ("a.bc", "a", ("bc",)),
        ("user.text", "user.text", ()),
        ("user.text[12].content[3].text", "user.text", (12, "content", 3, "text")),
        ("user.texts", "user", ("texts",)),
        ("messages.content[3]", "messages", ("content", 3)),
        ("messages[1][3].value", "messages", (1, 3, "value")),
    ],
)
def test_a_path_begins_with_the_longest_column(path: str, column: str, keys: tuple[str | int, ...]) -> None:
    place = place_of(path, COLUMNS)
    assert (place.column, place.keys) == (column, keys)


def test_the_pattern_of_a_path_has_no_numbers_but_those_of_its_column() -> None:
    assert place_of("messages[1][3].value", COLUMNS).pattern == "messages[][].value"
    assert place_of("a.b[0][7].text", COLUMNS).pattern == "a.b[0][].text"


@pytest.mark.parametrize("path", ["", "b", "texts", "text[x]", "text[1", "text.", "text]", "text[1]x"])
def test_a_path_in_no_column(path: str) -> None:
    with pytest.raises(LookupError, match="is in no column"):
        place_of(path, COLUMNS)


def plain(columns: dict[str, Any], layout: dict[str, Any]) -> dict[str, Any]:
    (row,) = plain_rows(Layout(layout.get("columns", {}), layout.get("classes", {})).on(pa.table(columns)))
    return row


def test_json_is_read_in_columns_of_json_and_where_messages_are_json() -> None:
    said = json.dumps([{"role": "user", "content": [{"type": "text", "text": "hello"}]}])
    columns = {
        "messages": [said],
        "other": [said],
        "meta": as_json(pa.array(['{"n":18446744073709551617,"e":{}}'])),
        "none": as_json(pa.array([None], pa.string())),
    }
    row = plain(columns, {"columns": {"chat": {"messages": "messages"}}})
    assert value_at(row, "messages[0].content[0].text") == "hello"
    assert row["other"] == said  # a text of the source's is not read
    assert row["meta"] == {"n": 18446744073709551617, "e": {}}
    assert row["none"] is None


def test_a_prompt_that_is_a_text_in_a_column_of_json() -> None:
    row = plain(
        {"prompt": as_json(pa.array(['"say it"'])), "completion": as_json(pa.array(['[{"role":"gpt","value":"x"}]']))},
        {"columns": {"prompt_completion": {"prompt": "prompt", "completion": "completion"}}},
    )
    assert value_at(row, "prompt") == "say it"
    with pytest.raises(LookupError):
        value_at(row, "completion[1].value")


def test_classes_have_their_names_wherever_they_are() -> None:
    row = plain(
        {
            "label": [1],
            "tags": [[0, 1, None, -1, 7]],
            "deep": [{"in": [[1]], "n": 1}],
            "labels": [1],
            "flag": [True],
        },
        {"classes": {"label": ("no", "yes"), "tags[]": ("a", "b"), "deep.in[][]": ("x", "y")}},
    )
    assert row == {
        "label": "yes",
        "tags": ["a", "b", None, -1, 7],
        "deep": {"in": [["y"]], "n": 1},
        "labels": 1,
        "flag": True,
    }


def test_turns_of_every_spelling() -> None:
    said = [("user", "a"), ("assistant", "b")]
    spellings: list[Any] = [
        [{"role": role, "content": text} for role, text in said],
        [[{"role": role, "content": text}] for role, text in said],
        {"role": ["user", "assistant"], "content": ["a", "b"]},
        {"from": ["user", "assistant"], "value": ["a", "b"]},
        [{"from": role, "value": text} for role, text in said],
        [{"role": role, "content": [{"type": "text", "text": text}, {"type": "image"}]} for role, text in said],
    ]
    for value in spellings:
        assert [text_of_message(message) for message in messages_of(value)] == ["a", "b"]
    assert list(messages_of(None)) == list(messages_of([])) == list(messages_of("text")) == []
    assert text_of_message({"role": "assistant", "tool_calls": [{"id": 1}]}) == ""

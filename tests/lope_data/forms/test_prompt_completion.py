"""Prompt and completion: texts where there is one exchange, lists of messages of conversations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.lope_data.forms.rows import CALLS, CHOICE, HISTORY, INSTRUCTION, LABELLED, PAIR, TALK, TEXT, said

FORM = "prompt-completion"
TURNS = said("a b", "c", "d", "e")["messages"]


@pytest.mark.parametrize(
    ("row", "wanted"),
    [
        (INSTRUCTION, {"prompt": "Add them.\n\n2 and 3", "completion": "5", "source": "sums"}),
        (PAIR, PAIR),
        (LABELLED, {"prompt": "a good film", "completion": "pos"}),
        ({"text": "a good film", "label": 4.5}, {"prompt": "a good film", "completion": "4.5"}),
        ({"text": "a good film", "label": ["x", "y"]}, {"prompt": "a good film", "completion": '["x","y"]'}),
        (CHOICE, {"prompt": "Which is a fruit?", "completion": "an apple", "choices": CHOICE["choices"], "answer": 1}),
        (TALK, {"prompt": TALK["messages"][:-1], "completion": TALK["messages"][-1:], "id": 7}),
        (CALLS, {"prompt": CALLS["messages"][:-1], "completion": CALLS["messages"][-1:], "tools": CALLS["tools"]}),
        ({"prompt": TURNS[:1], "completion": TURNS[1:]},) * 2,
        ({"prompt": TURNS[:3], "completion": "e"}, {"prompt": TURNS[:3], "completion": TURNS[3:]}),
    ],
)
def test_rows(row: dict[str, Any], wanted: dict[str, Any], converted: Callable[..., Any]) -> None:
    assert converted(FORM, [row]) == [wanted]


def test_labels_of_several_types_are_without_quotes(converted: Callable[..., Any]) -> None:
    labels = ["good", 4, True, ["x", "y"]]
    rows = converted(FORM, [{"text": "a film", "label": label} for label in labels])
    assert [row["completion"] for row in rows] == ["good", "4", "true", '["x","y"]']


def test_of_instructions_with_turns_before_them_all_are_messages(converted: Callable[..., Any]) -> None:
    plain = {"instruction": "Hello there.", "output": "Good day.", "system": None, "history": []}
    first, second = converted(FORM, [HISTORY, plain])
    assert [len(first["prompt"]), len(second["prompt"])] == [4, 1]
    assert second["completion"] == [{"role": "assistant", "content": "Good day."}]


@pytest.mark.parametrize(
    ("row", "why"),
    [
        (said("a b", "c", "d e"), "its last message is not the assistant's answer to another"),
        (TEXT, "text rows have no such form"),
    ],
)
def test_what_it_cannot_hold(row: dict[str, Any], why: str, refused: Callable[..., str]) -> None:
    assert why in refused(FORM, [row])

"""Messages: everything that is a conversation, ShareGPT's tools as OpenAI writes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.lope_data.forms.rows import CALLS, CHOICE, HISTORY, INSTRUCTION, LABELLED, PAIR, SHAREGPT, TALK, TEXT, said

FORM = "messages"


@pytest.mark.parametrize(
    ("row", "wanted"),
    [
        (INSTRUCTION, said("Add them.\n\n2 and 3", "5", source="sums")),
        (TALK, TALK),
        (CALLS, CALLS),
        (SHAREGPT, CALLS),
        (CHOICE, said("Which is a fruit?", "an apple", choices=CHOICE["choices"], answer=1)),
        (PAIR, said("The sky is", " blue.")),
        ({"prompt": said("a b")["messages"], "completion": "c"}, said("a b", "c")),
        ({"messages": '[{"from": "human", "value": "a b"}, {"from": "gpt", "value": "c"}]'}, said("a b", "c")),
        ({"messages": {"role": ["user", "assistant"], "content": ["a b", "c"]}}, said("a b", "c")),
        ({"messages": [{"role": "user", "content": "a b", "name": None, "tool_calls": []}]}, said("a b")),
        (said([{"type": "text", "text": "a b", "image": None}], "c"), said([{"type": "text", "text": "a b"}], "c")),
        (said([{"type": "image"}, {"type": "text", "text": "a b"}], "c"),) * 2,
    ],
)
def test_rows(row: dict[str, Any], wanted: dict[str, Any], converted: Callable[..., Any]) -> None:
    assert converted(FORM, [row]) == [wanted]


def test_history_and_system_come_first(converted: Callable[..., Any]) -> None:
    (row,) = converted(FORM, [HISTORY])
    wanted = said("How is it today?", "Rain.", "And tomorrow?", "Rain again.")
    assert row["messages"] == [{"role": "system", "content": "You know the weather."}, *wanted["messages"]]


@pytest.mark.parametrize(
    ("row", "why"),
    [
        (TEXT, "text rows have no such form; they can be source or text"),
        (LABELLED, "classification rows have no such form"),
        ({"messages": [said("a b", "c")["messages"]] * 2}, "it holds several conversations"),
        ({"messages": [{"role": None, "content": "a b"}]}, "a message has no role"),
        ({"messages": [{"role": "user", "content": "a b"}, None]}, "a message is null"),
        ({"messages": [{"role": "user", "content": "a b"}, {"role": "assistant"}]}, "by 'assistant' has no content"),
        ({"conversations": [{"from": "human", "value": "a b"}, {"from": "function_call", "value": "f(x)"}]}, "'f(x)'"),
        ({**CHOICE, "answer": 5}, "its answer is 5, and it has 2 choices"),
        ({**HISTORY, "history": ["a"]}, "its history is not a list of pairs of texts"),
        (said("a b", "c", system={"a": 1}), "its system is {'a': 1}, which is no text"),
    ],
)
def test_what_it_cannot_hold(row: dict[str, Any], why: str, refused: Callable[..., str]) -> None:
    assert why in refused(FORM, [row])

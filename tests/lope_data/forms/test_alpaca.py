"""Alpaca: what has one instruction and one output; turns before them are the history."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.lope_data.forms.rows import CALLS, CHOICE, HISTORY, INSTRUCTION, LABELLED, PAIR, TALK, said

FORM = "alpaca"


@pytest.mark.parametrize(
    ("row", "wanted"),
    [
        (INSTRUCTION, INSTRUCTION),
        (HISTORY, {**HISTORY, "input": ""}),
        (
            {"question": "2 + 3?", "answer": "5", "level": 1},
            {"instruction": "2 + 3?", "input": "", "output": "5", "level": 1},
        ),
        (CHOICE, {"instruction": "Which is a fruit?", "input": "", "output": "an apple", **CHOICE}),
        (PAIR, {"instruction": "The sky is", "input": "", "output": " blue."}),
        (
            TALK,
            {
                "instruction": "And a bee?",
                "input": "",
                "output": "Six.",
                "system": "Be brief.",
                "history": [["How many legs has a spider?", "Eight."]],
                "id": 7,
            },
        ),
    ],
)
def test_rows(row: dict[str, Any], wanted: dict[str, Any], converted: Callable[..., Any]) -> None:
    assert converted(FORM, [row]) == [{key: value for key, value in wanted.items() if key != "question"}]


@pytest.mark.parametrize(
    ("row", "why"),
    [
        (CALLS, "not the user's and the assistant's in turn ('tool')"),
        (said("a b", "c", "d e"), "its last message is not the assistant's"),
        (said([{"type": "image", "image": "a.png"}, {"type": "text", "text": "a b"}], "c"), "a part of type 'image'"),
        ({"messages": [*said("a b", "c")["messages"], *said("d", "e")["messages"][::-1]]}, "in turn ('assistant')"),
        ({"messages": [{"role": "user", "content": "a b", "name": "Ann"}, said("", "c")["messages"][1]]}, "has 'name'"),
        ({"messages": [said("a b", "c")["messages"]] * 2}, "several conversations; --as source holds every row"),
        (LABELLED, "classification rows have no such form; they can be source, prompt-completion or text"),
    ],
)
def test_what_it_cannot_hold(row: dict[str, Any], why: str, refused: Callable[..., str]) -> None:
    assert why in refused(FORM, [row])

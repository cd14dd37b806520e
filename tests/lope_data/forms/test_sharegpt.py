"""ShareGPT: conversations of texts, the system's and the tools beside them, calls of tools as messages of their own."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.lope_data.forms.rows import CALLS, HISTORY, LABELLED, SHAREGPT, TALK, said

FORM = "sharegpt"


@pytest.mark.parametrize("row", [SHAREGPT, CALLS])
def test_tools(row: dict[str, Any], converted: Callable[..., Any]) -> None:
    assert converted(FORM, [row]) == [SHAREGPT]


def test_ids_of_calls_are_left_out_and_several_calls_are_a_list(converted: Callable[..., Any]) -> None:
    row = copy.deepcopy(CALLS)
    call = {"name": "weather", "arguments": '{"city": "Oslo"}'}
    row["messages"][2]["tool_calls"] = [{"id": "1", "type": "function", "function": call}, {**call, "id": "2"}]
    row["messages"][3] |= {"tool_call_id": "1", "name": "weather"}
    (made,) = converted(FORM, [row])
    assert json.loads(made["conversations"][1]["value"]) == [{"name": "weather", "arguments": {"city": "Oslo"}}] * 2
    assert made["conversations"][2] == {"from": "observation", "value": '{"temp": 4}'}


def test_turns(converted: Callable[..., Any]) -> None:
    (made,) = converted(FORM, [TALK])
    assert [turn["from"] for turn in made["conversations"]] == ["human", "gpt", "human", "gpt"]
    assert (made["system"], made["id"]) == ("Be brief.", 7)
    (made,) = converted(FORM, [HISTORY])
    assert [turn["value"] for turn in made["conversations"]][1:3] == ["Rain.", "And tomorrow?"]
    (made,) = converted(FORM, [said([{"type": "text", "text": "a "}, {"type": "text", "text": "b"}], "c")])
    assert made["conversations"][0] == {"from": "human", "value": "a b"}


def changed(**call: Any) -> dict[str, Any]:
    row = copy.deepcopy(CALLS)
    row["messages"][2] |= call
    return row


@pytest.mark.parametrize(
    ("row", "why"),
    [
        (changed(content="Let me see."), "says something and calls a tool"),
        (changed(tool_calls=[{"code": "f(x)"}]), "a tool call is not {name, arguments}"),
        (changed(reasoning="I need a tool."), "has 'reasoning' beside role and content"),
        (said([{"type": "image", "image": "a.png"}, "a b"], "c"), "a part of type 'image', which is no text"),
        ({"messages": [{"role": "developer", "content": "Be brief."}, *said("a b", "c")["messages"]]}, "'developer'"),
        (LABELLED, "classification rows have no such form"),
    ],
)
def test_what_it_cannot_hold(row: dict[str, Any], why: str, refused: Callable[..., str]) -> None:
    assert why in refused(FORM, [row])

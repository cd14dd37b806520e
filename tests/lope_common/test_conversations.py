"""Conversations in every way that sources write them come out as one."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lope_common.conversations import conversation, parsed, text_key, turns, usual_role

TALK = [{"role": "user", "content": "How tall?"}, {"role": "assistant", "content": "300 m"}]
WRITTEN: dict[str, Any] = {
    "openai": TALK,
    "sharegpt": [{"from": "human", "value": "How tall?"}, {"from": "gpt", "value": "300 m"}],
    "cases": [{"role": "User", "content": "How tall?"}, {"role": "Model", "content": "300 m"}],
    "columns": {"role": ["user", "assistant"], "content": ["How tall?", "300 m"]},
    "sharegpt columns": {"from": ["human", "gpt"], "value": ["How tall?", "300 m"]},
}


@pytest.mark.parametrize("way", WRITTEN)
def test_every_way_of_writing_is_one_conversation(way: str) -> None:
    assert conversation(WRITTEN[way]) == TALK
    assert conversation([WRITTEN[way], WRITTEN[way]]) == [TALK, TALK]
    assert conversation(parsed(json.dumps(WRITTEN[way]))) == TALK
    assert turns(WRITTEN[way], "user") == TALK


def test_all_else_in_a_message_is_kept() -> None:
    call = {"role": "assistant", "tool_calls": [{"name": "f"}], "weight": None}
    parts = {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "a"}], "name": "Ann"}
    assert conversation([parts, call, {"content": "a"}, {"role": "Observation", "content": "b"}, None]) == [
        parts,
        {"role": "assistant", "content": None, "tool_calls": [{"name": "f"}], "weight": None},
        {"role": None, "content": "a"},
        {"role": "observation", "content": "b"},
        None,
    ]


def test_what_is_no_conversation() -> None:
    assert [conversation(value) for value in ("a", 3, None, {"a": "b"})] == [None] * 4
    assert [parsed(value) for value in ("a", "[" * 100_000, 3)] == [None, None, 3]
    assert turns("a", "user") == [{"role": "user", "content": "a"}]
    assert [turns(value, "user") for value in (None, 3, [TALK, TALK])] == [None] * 3


def test_the_text_of_a_message_is_where_noise_goes() -> None:
    assert text_key(["from", "value", "content"]) == "value"
    assert text_key(["role", "content", "from", "value"]) == "content"
    assert text_key(["text", "content"]) == "content"
    assert text_key(["type", "image"]) is None


def test_roles() -> None:
    assert [usual_role(role) for role in ("Human", "GPT", "system", "ipython", None, "narrator")] == [
        "user",
        "assistant",
        "system",
        "ipython",
        "",
        None,
    ]
